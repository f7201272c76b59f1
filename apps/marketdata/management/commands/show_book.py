"""manage.py show_book DATASET --symbol BTCUSDT --time 2023-04-04T23:58:30Z: the order book at an instant."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.marketdata.engine.tape.view import BookAt, book_at
from apps.marketdata.historical import parse_moment
from apps.marketdata.selectors import dataset_by_name, dataset_tape
from apps.ui.commands import number_in, refusals_as_errors


class Command(BaseCommand):
    help = "Show the levels of an order book after the last event at or before a time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("--symbol", default="", help="the first one without it")
        parser.add_argument("--time", default="", help="UTC, like 2012-06-21T15:00:00Z; the last event without it")
        parser.add_argument("--levels", type=number_in(1, 1000), default=10)
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            tape = dataset_tape(dataset_by_name(None, options["dataset"]))
            moment = parse_moment(options["time"], "time", last=True)
            shown = book_at(tape, options["symbol"] or tape.symbols[0], moment, levels=max(1, options["levels"]))
        self.stdout.write(_json(shown) if options["json"] else _lines(shown))


def _json(shown: BookAt) -> str:
    return json.dumps(
        {
            "symbol": shown.symbol, "time": f"{shown.time}Z", "row": shown.row, "event": shown.kind,
            "bids": shown.bids, "asks": shown.asks, "spread": shown.spread, "midpoint": shown.middle,
        }
    )  # fmt: skip


def _lines(shown: BookAt) -> str:
    rows = [f"{shown.symbol} at {shown.time}Z, event {shown.row} ({shown.kind})"]
    rows += [f"{'':>26}  ask {price:<14.10g}{size:>14.10g}" for price, size in reversed(shown.asks)]
    rows += [f"{size:>14.10g}{price:>14.10g}  bid" for price, size in shown.bids]
    return "\n".join(rows)
