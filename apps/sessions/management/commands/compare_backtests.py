"""Prints up to eight backtests side by side."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.sessions.report_tables import compared, comparison


class Command(BaseCommand):
    help = "Compare up to eight completed backtests, a metric a row."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sessions", nargs="+", help="their numbers")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        runs = compared(None, ",".join(options["sessions"]))
        if not runs:
            raise CommandError("None of these is a completed backtest with a report.")
        rows = comparison(runs)
        if options["json"]:
            found = [{"metric": row["name"], "values": row["values"]} for row in rows]
            self.stdout.write(json.dumps({"sessions": [run.session.pk for run in runs], "rows": found}, indent=2))
            return
        self.stdout.write(f"{'':<26}" + "".join(f"{run.session.pk:>16}" for run in runs))
        for row in rows:
            self.stdout.write(f"{row['name']:<26}" + "".join(f"{cell['text']:>16}" for cell in row["cells"]))
