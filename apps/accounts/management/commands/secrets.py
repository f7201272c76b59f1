"""``manage.py secrets``: the vault's keys and what they seal."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.accounts import credentials, vault
from apps.accounts.models import Credential


class Command(BaseCommand):
    help = "Rotate the key that seals stored secrets, or tell how many there are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        acts.add_parser("new-key", help="print a new key for QP_VAULT_KEYS")
        rotate = acts.add_parser("rotate", help="seal everything again under the newest key")
        rotate.add_argument("--new-key", action="store_true", help="make a key first (where VAR_DIR keeps them)")
        rotate.add_argument(
            "--drop-old", action="store_true", help="and forget the former keys (where VAR_DIR keeps them)"
        )
        status = acts.add_parser("status", help="how many secrets there are, and whether each opens")
        status.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["act"] == "new-key":
            self.stdout.write(Fernet.generate_key().decode("ascii"))
        elif options["act"] == "status":
            self.status(as_json=options["json"])
        else:
            self.rotate(new_key=options["new_key"], drop_old=options["drop_old"])

    def rotate(self, *, new_key: bool, drop_old: bool) -> None:
        if (new_key or drop_old) and settings.QP_VAULT_KEYS:
            raise CommandError("QP_VAULT_KEYS gives the keys: put a new one first there, rotate, then remove the old.")
        if new_key:
            self.keep([Fernet.generate_key().decode("ascii"), *settings.VAULT_KEYS])
        try:
            count = credentials.rotate_all()
        except InvalidToken:
            raise CommandError(
                "A secret opens with none of the keys; nothing was changed. See `secrets status`."
            ) from None
        if drop_old:
            self.keep(settings.VAULT_KEYS[:1])
        self.stdout.write(f"{count} secrets sealed under the newest of {len(settings.VAULT_KEYS)} keys")

    def keep(self, keys: list[str]) -> None:
        """Write the keys of this installation, whole or not at all; running processes read them at their next start."""
        path = Path(settings.VAR_DIR) / "vault_keys"
        partial = path.with_suffix(".tmp")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write("\n".join(keys) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        settings.VAULT_KEYS = keys

    def status(self, *, as_json: bool) -> None:
        opens = 0
        rows = list(Credential.objects.all())
        for row in rows:
            try:
                vault.fernet().decrypt(row.sealed.encode("ascii"))
                opens += 1
            except InvalidToken:
                self.stderr.write(f"{row.owner}: {row.name} does not open")
        document = {"secrets": len(rows), "open": opens, "keys": len(settings.VAULT_KEYS)}
        self.stdout.write(
            json.dumps(document) if as_json else f"{opens} of {len(rows)} secrets open, {document['keys']} keys"
        )
