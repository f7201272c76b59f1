"""manage.py quality_report: the quality of every dataset over a period; --every repeats the checks."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.marketdata.quality_report import quality_report, report_csv, report_rows
from apps.marketdata.scheduling import CHECK_ALL, EVERY_WEEK
from apps.marketdata.tasks import check_all
from apps.ui.commands import number_in

EVERY = {"daily": "D", "weekly": "W", "monthly": "M"}


class Command(BaseCommand):
    help = "Print the quality report of a period, check all datasets now, or have that done regularly."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=number_in(1, 36_500), default=30, help="length of the period")
        parser.add_argument("--check", action="store_true", help="check every dataset again first")
        parser.add_argument("--every", choices=(*EVERY, "never"), help="let the worker check every dataset this often")
        parser.add_argument("--csv", action="store_true", help="print CSV")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["every"]:
            self._schedule(options["every"])
        if options["check"]:
            check_all()
        report = quality_report(None, days=options["days"])
        if options["json"]:
            document = {"since": report.since.isoformat(), "until": report.until.isoformat(),
                        "datasets": report_rows(report), "kinds": report.kinds}  # fmt: skip
            self.stdout.write(json.dumps(document))
        elif options["csv"]:
            self.stdout.write(report_csv(report))
        else:
            for row in report_rows(report):
                self.stdout.write(f"{row['verdict']:<10}{row['dataset']:<32}{row['errors']} block, {row['trend']}")

    def _schedule(self, every: str) -> None:
        from django_q.models import Schedule

        # Kept with no repeats left, so that the next migrate does not make it anew.
        values = {"repeats": 0} if every == "never" else {"repeats": -1, "schedule_type": EVERY[every]}
        Schedule.objects.update_or_create(func=CHECK_ALL, defaults=values, create_defaults={**EVERY_WEEK, **values})
        self.stderr.write(f"Checks of all datasets: {every}.")
