"""manage.py export_data DATASET PATH --format csv|parquet|arrow|qlib: a dataset as files."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.exports import chosen_mode, export_file
from apps.marketdata.models import Content
from apps.marketdata.qlib import dataset_export_qlib
from apps.marketdata.selectors import dataset_by_name
from apps.marketdata.tape_exports import tape_file
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "Write a dataset as CSV, Parquet, Arrow or Qlib's folder, raw or adjusted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("path", type=Path)
        parser.add_argument("--format", default="parquet", choices=("csv", "parquet", "arrow", "qlib"))
        parser.add_argument("--symbol", default="", help="only this symbol")
        parser.add_argument("--mode", default="raw", choices=("raw", "forward", "backward"))
        parser.add_argument("--start", default="", help="of trades and books: from this instant (UTC)")
        parser.add_argument("--end", default="", help="of trades and books: to this instant (UTC)")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            dataset = dataset_by_name(None, options["dataset"])
            if dataset.content != Content.BARS:
                result = tape_file(
                    dataset, options["path"], kind=options["format"], symbol=options["symbol"], start=options["start"],
                    end=options["end"],
                )  # fmt: skip
            elif options["start"] or options["end"]:
                raise CommandError("--start and --end are for trades and books; bars are exported whole.")
            elif options["format"] == "qlib":
                result = dataset_export_qlib(dataset, options["path"])
            else:
                result = export_file(
                    dataset, options["path"], kind=options["format"], mode=chosen_mode(options["mode"]),
                    symbol=options["symbol"],
                )  # fmt: skip
        found = f"{result['rows']} rows" if "rows" in result else f"{result['symbols']} symbols"
        self.stdout.write(json.dumps(result) if options["json"] else f"{result['path']}: {found}")
