"""``manage.py bench NAME|all``: how fast, beside whom, and is the goal met."""

from __future__ import annotations

import json
import logging
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.ui.commands import refusals_as_errors
from quant_platform.bench import BENCHMARKS, ON_A_DATABASE, Row, benchmark
from quant_platform.bench.databases import CHOICES, kind_of, server_of
from quant_platform.bench.document import busy, write_section
from quant_platform.bench.peers import say

#: How ``bench import`` lays its bars out.
SHAPES = ("file", "symbols", "parquet")


class Command(BaseCommand):
    help = "Measure what we promise to be fast, beside its peers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}, or all")
        parser.add_argument(
            "--database", default="", choices=CHOICES, help=f"measure on it ({', '.join(ON_A_DATABASE)})"
        )
        parser.add_argument("--size-gb", type=float, help="of import: how large the text is (0.3)")
        parser.add_argument("--shape", default="", choices=("", *SHAPES), help="of import: only this one")
        parser.add_argument(
            "--document",
            action="store_true",
            help="write the figures into docs/performance.md, in place of those there",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)
        names = list(BENCHMARKS) if name == "all" else [name]
        with refusals_as_errors():
            documents = [self._run(each, options) for each in names]
        met = all(document["met"] for document in documents)
        if options["json"]:
            shown = documents[0] if name != "all" else {"name": "all", "benchmarks": documents, "met": met}
            self.stdout.write(json.dumps(shown, indent=1, ensure_ascii=False, allow_nan=False))
        if not met:
            raise SystemExit(1)

    def _run(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        say(f"bench {name} …")
        before = busy()
        work = benchmark(name, options["database"])
        rows = work(**_sizes(options)) if name == "import" else work()
        if options["document"]:
            write_section(name, kind_of(server_of(options["database"])) if name in ON_A_DATABASE else "", rows, before)
        if not options["json"]:
            self.stdout.write(name)
            for row in rows:
                self.stdout.write(_line(row))
        return {"name": name, "rows": [row.document() for row in rows], "met": all(row.met for row in rows)}


def _sizes(options: dict[str, Any]) -> dict[str, Any]:
    sizes = {"size_gb": options["size_gb"]} if options["size_gb"] else {}
    return {**sizes, "shape": options["shape"]}


def _line(row: Row) -> str:
    sign = "≥" if row.more_is_better else "≤"
    peer = f"; {row.peer} {row.peer_s:.4g} s, ×{row.ratio:.1f}" if row.peer_s and row.ratio else ""
    note = f"; {row.peer}: {row.note}" if row.note and row.peer else f"; {row.note}" if row.note else ""
    verdict = "met " if row.met else "MISS"
    return f"  {verdict} {row.work}: {row.measured:.4g} {row.unit} (goal {sign} {row.goal:g}){peer}{note}"
