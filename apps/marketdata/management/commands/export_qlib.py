"""manage.py export_qlib DATASET PATH: Qlib's data folder, read back by the real Qlib."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.qlib import dataset_export_qlib
from apps.marketdata.selectors import dataset_by_name
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "Write a dataset in Qlib's layout, load it with Qlib and compare every value."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("path", type=Path)
        parser.add_argument("--no-check", action="store_true", help="do not load the result with Qlib")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            dataset = dataset_by_name(None, options["dataset"])
            result = dataset_export_qlib(dataset, options["path"], check=not options["no_check"])
        read_back = result.get("qlib")
        if options["json"]:
            self.stdout.write(json.dumps(result))
        else:
            self.stdout.write(
                f"{result['path']}: {result['symbols']} symbols, {result['times']} times, {result['files']} files"
            )
            if read_back:
                self.stdout.write(f"Qlib: {read_back['verdict']}, {read_back['compared']:,} values compared")
        if read_back and read_back["verdict"] != "equal":
            raise CommandError(
                f"Qlib reads other values: {read_back['first_difference'] or read_back['missing_symbols']}"
            )
