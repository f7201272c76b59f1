"""manage.py derive_bars DATASET --by time|volume|dollar|trades --size 5min: bars out of trades or an order book."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.engine.tape.derive import RULES
from apps.marketdata.management.reading import progress_on_stderr
from apps.marketdata.presenters import dataset_document
from apps.marketdata.selectors import dataset_by_name
from apps.marketdata.services import dataset_bars
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "Make a dataset of bars from trades, or from the midpoints of an order book that tells of none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("--by", default="time", choices=RULES)
        parser.add_argument("--size", default="5min", help="5min, 1h, 1d …; or the volume, money or trades of one bar")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with refusals_as_errors(), progress_on_stderr() as progress:
                dataset = dataset_by_name(None, options["dataset"])
                made = dataset_bars(dataset, rule=options["by"], size=options["size"], actor=None, on_progress=progress)
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing was made.") from None
        text = f"{made}: {made.rows:,} bars, {made.verdict}"
        self.stdout.write(json.dumps(dataset_document(made)) if options["json"] else text)
