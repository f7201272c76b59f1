"""manage.py diff_data BEFORE AFTER: what differs between two datasets or versions."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.marketdata.presenters import difference_document
from apps.marketdata.selectors import dataset_by_name
from apps.marketdata.services import dataset_diff
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "Show what differs between two datasets or versions (name@1 name@2)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("before")
        parser.add_argument("after")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            pair = [dataset_by_name(None, options[name]) for name in ("before", "after")]
            document = difference_document(dataset_diff(*pair))
        if options["json"]:
            self.stdout.write(json.dumps(document))
            return
        for name, value in document.items():
            if name != "changes":
                self.stdout.write(f"{name.replace('_', ' '):<18}{value}")
        for change in document["changes"][:20]:
            self.stdout.write(
                f"{change['symbol']} {change['time']} {change['field']}: {change['before']} → {change['after']}"
            )
