"""``manage.py bench NAME|all``: how fast, beside whom, and is the goal met."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text
from quant_platform.bench import BENCHMARKS, Row, benchmark
from quant_platform.bench.peers import say


class Command(BaseCommand):
    help = "Measure what we promise to be fast, beside its peers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}, or all")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        names = list(BENCHMARKS) if name == "all" else [name]
        try:
            documents = [self._run(each, quiet=options["json"]) for each in names]
        except Refusal as refusal:
            raise CommandError(refusal_text(refusal)) from refusal
        met = all(document["met"] for document in documents)
        if options["json"]:
            shown = documents[0] if name != "all" else {"name": "all", "benchmarks": documents, "met": met}
            self.stdout.write(json.dumps(shown, indent=1, ensure_ascii=False, allow_nan=False))
        if not met:
            raise SystemExit(1)

    def _run(self, name: str, *, quiet: bool) -> dict[str, Any]:
        say(f"bench {name} …")
        rows = benchmark(name)()
        if not quiet:
            self.stdout.write(name)
            for row in rows:
                self.stdout.write(_line(row))
        return {"name": name, "rows": [row.document() for row in rows], "met": all(row.met for row in rows)}


def _line(row: Row) -> str:
    sign = "≥" if row.more_is_better else "≤"
    peer = f"; {row.peer} {row.peer_s:.4g} s, ×{row.ratio:.1f}" if row.peer_s and row.ratio else ""
    note = f"; {row.peer}: {row.note}" if row.note and row.peer else f"; {row.note}" if row.note else ""
    verdict = "met " if row.met else "MISS"
    return f"  {verdict} {row.work}: {row.measured:.4g} {row.unit} (goal {sign} {row.goal:g}){peer}{note}"
