"""Runs a session again and says whether it is the same run."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import Http404

from apps.sessions.management.following import acting_user, follow, refused
from apps.sessions.notices import reason_text
from apps.sessions.selectors import session_for_user
from apps.sessions.services.verifying import session_verify
from apps.sessions.verdicts import verification_document
from apps.ui.engine.refusal import Refusal


class Command(BaseCommand):
    help = "Run a completed session again: identical, within tolerance, or the first step that differs."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=int)
        parser.add_argument("--user", default="", help="who verifies; the first administrator without")
        parser.add_argument("--watch", action="store_true", help="show a progress bar")
        parser.add_argument("--json", action="store_true", help="print the verdict's document and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        user = acting_user(options["user"])
        try:
            run = session_verify(session=session_for_user(user, options["session"]), actor=user)
        except Http404:
            raise CommandError(f"There is no session {options['session']}.") from None
        except Refusal as refusal:
            raise refused(refusal) from refusal
        run = follow(run, watch=options["watch"] or sys.stderr.isatty())
        if not run.verdict:
            raise CommandError(f"{run.status}: {reason_text(run.reason_code, run.reason)}")
        document = verification_document(run)
        if options["json"]:
            self.stdout.write(json.dumps(document, indent=1, ensure_ascii=False, default=str))
        else:
            self._print(document)
        if run.verdict == "different":
            sys.exit(1)

    def _print(self, document: dict[str, Any]) -> None:
        self.stdout.write(f"session {document['original']}: {document['verdict']} ({document['compared']} values)")
        first = document["first_difference"]
        if first:
            where = first["when"] or ("" if first["step"] is None else f"step {first['step']:g}")
            self.stdout.write(f"first difference: {first['metric']} {where}: {first['original']}, now {first['again']}")
        for one in document["capsule"]:
            self.stdout.write(f"{one['name']}: {one['original']}, now {one['again']}")
