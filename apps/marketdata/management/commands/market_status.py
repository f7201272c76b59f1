"""``manage.py market_status [CALENDAR …]``: which markets are open."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.marketdata.engine.market_status import MARKETS
from apps.marketdata.market_api import known_status, status_or_reason
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "Say which markets are open, and until when (times are UTC)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("calendars", nargs="*", metavar="CALENDAR", help=f"such as {', '.join(MARKETS)}")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, calendars: list[str], **options: Any) -> None:
        with refusals_as_errors():
            found = [known_status(name) for name in calendars] or [status_or_reason(name) for name in MARKETS]
        if options["json"]:
            self.stdout.write(json.dumps({"markets": found}, indent=1))
            return
        for row in found:
            until = row.get("next_close") if row["state"] == "open" else row.get("next_open")
            self.stdout.write(f"{row['calendar']:<6} {row['state']:<8} {row.get('detail') or (until or '')}")
