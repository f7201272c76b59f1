"""manage.py adjust_data DATASET --mode forward|backward: adjusted prices as a dataset of their own."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.marketdata.exports import chosen_mode
from apps.marketdata.presenters import dataset_document
from apps.marketdata.selectors import dataset_by_name
from apps.marketdata.services import dataset_adjust
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "Make a dataset of forward or backward adjusted prices from a raw one and its corporate actions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("--mode", default="forward", choices=("forward", "backward"))
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            dataset = dataset_by_name(None, options["dataset"])
            made = dataset_adjust(dataset, mode=chosen_mode(options["mode"]), actor=None)
        self.stdout.write(json.dumps(dataset_document(made)) if options["json"] else f"{made}: {made.verdict}")
