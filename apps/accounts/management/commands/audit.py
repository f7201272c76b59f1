"""``manage.py audit verify`` checks the chain, ``audit export`` writes the trail."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from apps.accounts import audit_chain, audit_pages
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "Check the audit's chain, or export the trail."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        verify = acts.add_parser("verify", help="exit 1 and name the rows where table and chain disagree")
        verify.add_argument("--head", default="", help="a chain value printed earlier that must still be there")
        verify.add_argument("--json", action="store_true")
        export = acts.add_parser("export", help="the trail with its chain, oldest first")
        export.add_argument("path", nargs="?", default="-", help="a file; - is standard output")
        export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl")
        for name in ("actor", "action"):
            export.add_argument(f"--{name}", default="")
        for name in ("start", "end"):
            export.add_argument(f"--{name}", type=date.fromisoformat, help="a day, such as 2026-01-31")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["act"] == "verify":
            self.verify(options["head"], as_json=options["json"])
        else:
            self.export(options)

    def verify(self, head: str, *, as_json: bool) -> None:
        found = audit_chain.verify(head)
        position, value = audit_chain.head()
        if as_json:
            document = {"ok": not found, "entries": position, "head": value, "findings": [vars(one) for one in found]}
            self.stdout.write(json.dumps(document))
        else:
            for one in found:
                self.stdout.write(f"link {one.position or '-'}, row {one.entry_id or '-'}: {one.problem}")
            verdict = f"{len(found)} findings" if found else "the chain is whole"
            self.stdout.write(f"{position} entries, head {value}: {verdict}")
        if found:
            sys.exit(1)

    def export(self, options: dict[str, Any]) -> None:
        rows = audit_pages.audit_list(None, options)
        lines = audit_pages.as_csv(rows) if options["format"] == "csv" else audit_pages.as_jsonl(rows)
        if options["path"] == "-":
            for line in lines:
                self.stdout.write(line, ending="")
            return
        with refusals_as_errors(), Path(options["path"]).open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
