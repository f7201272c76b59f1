"""manage.py calendars: list, define and remove calendars of one's own."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.engine.calendars import EXAMPLE
from apps.marketdata.management.reading import user_named
from apps.marketdata.models import Calendar
from apps.marketdata.services.calendars import (
    calendar_delete,
    calendar_document,
    calendar_save,
    read_day,
    read_days,
)
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "List calendars of your own, define one (save) or take one away (delete)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", nargs="?", default="list", choices=("list", "save", "delete"))
        parser.add_argument("name", nargs="?", default="", help="like MYEX")
        parser.add_argument("--title", default="")
        parser.add_argument("--time-zone", default="UTC")
        parser.add_argument("--week", default="", help=f"days and hours like '{EXAMPLE}'")
        parser.add_argument("--first", default="", help="first day that is known")
        parser.add_argument("--last", default="", help="last day that is known; beyond it nothing is guessed")
        parser.add_argument("--closed", default="", help="holidays, separated by commas")
        parser.add_argument("--extra", default="", help="sessions on other days, separated by commas")
        parser.add_argument("--user", default="", help="who does it; without it the program itself")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = user_named(options["user"])
        with refusals_as_errors():
            if options["action"] == "save":
                self._save(actor, options)
            elif options["action"] == "delete":
                row = Calendar.objects.filter(name=options["name"]).first()
                if row is None:
                    raise CommandError(f"There is no calendar {options['name']} of yours.")
                calendar_delete(actor=actor, row=row)
        found = [calendar_document(row) for row in Calendar.objects.all()]
        if options["json"]:
            self.stdout.write(json.dumps({"calendars": found}))
            return
        for item in found:
            self.stdout.write(
                f"{item['name']:<17}{item['first']} to {item['last']}  {item['time_zone']}  {item['week']}"
                f"  ({len(item['closed'])} closed, {len(item['extra'])} extra)"
            )

    @staticmethod
    def _save(actor: Any, options: dict[str, Any]) -> None:
        calendar_save(
            actor=actor, name=options["name"], title=options["title"], time_zone=options["time_zone"],
            week=options["week"], first=read_day(options["first"], "first"), last=read_day(options["last"], "last"),
            closed=read_days(options["closed"], "closed"), extra=read_days(options["extra"], "extra"),
        )  # fmt: skip
