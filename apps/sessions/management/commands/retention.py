"""Archives the logs of finished runs and drops old rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.marketdata.services.quotes import quotes_drop
from apps.sessions.models import Session
from apps.sessions.services.archiving import retain
from apps.ui.commands import number_in


class Command(BaseCommand):
    help = (
        "Write the logs of finished sessions into their archives, drop the rows of those that ended long ago, and old "
        "raw quotes. "
        "It may be stopped at any time and goes on where it was."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days",
            type=number_in(0, 36_500),
            help="keep rows so many days (default: QP_RETENTION_EVENTS_DAYS; 0: for ever)",
        )
        parser.add_argument(
            "--quote-days",
            type=number_in(0, 36_500),
            help="keep raw quotes so many days (default: QP_RETENTION_QUOTES_DAYS; 0: for ever)",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument("--json", action="store_true", help="print the figures as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        days, quote_days, quiet = options["days"], options["quote_days"], options["json"]

        def told(what: str, session: Session, count: int) -> None:
            if not quiet:
                self.stdout.write(f"session {session.pk}: {what}{f' ({count:,} events)' if count else ''}")

        found = retain(days=days, dry_run=options["dry_run"], told=told)
        quotes = quotes_drop(days=quote_days, dry_run=options["dry_run"])
        if quiet:
            self.stdout.write(json.dumps({**asdict(found), "dropped_quotes": quotes}))
            return
        would = "would be " if options["dry_run"] else ""
        self.stdout.write(
            f"{found.archived} sessions {would}archived ({found.archived_events:,} events), "
            f"rows of {found.emptied} {would}dropped ({found.dropped_rows:,}), {found.damaged} left as they are; "
            f"{quotes:,} raw quotes {would}dropped"
        )
