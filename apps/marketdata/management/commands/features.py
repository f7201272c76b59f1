"""``manage.py features DATASET``: expressions as a file, or the analysis of one."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.features import SET_NAMES, analysis, analysis_question, columns_of, table_question
from apps.marketdata.selectors import dataset_by_name
from apps.ui.commands import refusals_as_errors

#: The function that writes a table, by the ending of the file.
WRITERS = {
    ".parquet": ("pyarrow.parquet", "write_table"),
    ".csv": ("pyarrow.csv", "write_csv"),
    ".arrow": ("pyarrow.feather", "write_feather"),
}


class Command(BaseCommand):
    help = "Compute features of a dataset into a file, or say what one is worth (--analyse)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("--expression", action="append", default=[], help="bare or name:=expression; repeatable")
        parser.add_argument("--set", default="", choices=("", *SET_NAMES))
        parser.add_argument("--symbols", default="", help="separated by commas; all without")
        parser.add_argument("--start", default="")
        parser.add_argument("--end", default="")
        parser.add_argument("--labels", action="store_true", help="let expressions look ahead")
        parser.add_argument("--out", help="a file ending in .arrow, .parquet or .csv")
        parser.add_argument("--analyse", action="store_true")
        parser.add_argument("--horizons", default="", help="bars ahead, such as 1,5,20")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            document = (self._analyse if options["analyse"] else self._table)(options)
        if options["json"]:
            self.stdout.write(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))

    def _analyse(self, options: dict[str, Any]) -> dict[str, Any]:
        dataset = dataset_by_name(None, options["dataset"])
        expression = (options["expression"] or [""])[0]
        found = analysis(
            analysis_question(dataset, expression, options["start"], options["end"], options["horizons"])
        )  # fmt: skip
        if not options["json"]:
            for row in found["horizons"]:
                figures = ", ".join(
                    f"{k} {row[k]:+.4f}" for k in ("ic", "rank_ic", "rank_icir", "t") if row[k] is not None
                )
                self.stdout.write(f"{row['horizon']:>4} bars: {figures}, {row['days']} days")
        return {"dataset": str(dataset), **found}

    def _table(self, options: dict[str, Any]) -> dict[str, Any]:
        from apps.marketdata.adapters.feature_worker import answered

        if not options["out"]:
            raise CommandError("Name a file with --out, or use --analyse.")
        target = Path(options["out"])
        if target.suffix not in WRITERS:
            raise CommandError(f"{target.name} must end in {', '.join(WRITERS)}.")
        if not target.parent.is_dir():  # told before minutes of computing, not after
            raise CommandError(f"There is no folder {target.parent}.")
        dataset = dataset_by_name(None, options["dataset"])
        symbols = [name for name in options["symbols"].split(",") if name]
        columns = columns_of(options["expression"], options["set"], labels=options["labels"])
        question = table_question(
            dataset, columns, symbols, options["start"], options["end"], labels=options["labels"]
        )  # fmt: skip
        rows = _write(answered(question), target)
        if not options["json"]:
            self.stdout.write(f"{rows:,} rows × {len(columns)} features in {options['out']}")
        return {"dataset": str(dataset), "rows": rows, "features": list(columns), "file": options["out"]}


def _write(answer: Path, target: Path) -> int:
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(answer))).read_all()
    if target.suffix == ".csv":
        table = table.set_column(0, "symbol", table.column("symbol").cast(pa.string()))
    module, function = WRITERS[target.suffix]
    getattr(import_module(module), function)(table, str(target))
    return int(table.num_rows)
