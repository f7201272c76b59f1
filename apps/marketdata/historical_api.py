"""API of historical bars: one symbol or many, as JSON, CSV or an Arrow file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from django.http import HttpRequest, HttpResponse
from ninja import Router

from apps.marketdata.engine.table_text import arrow_bytes, csv_bytes, with_texts
from apps.marketdata.exports import chosen_mode
from apps.marketdata.features_api import ARROW, JSON_VALUES, TOO_LARGE, json_answer
from apps.marketdata.historical import history
from apps.marketdata.kept import marked, tag, unchanged
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_by_name, dataset_with_symbol
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

router = Router(tags=["market data"])
MOST_SYMBOLS = 1_000
NO_SYMBOL = N_("Name at least one symbol: symbols=AAPL,IBM.")
TOO_MANY = N_("At most %(most)s symbols are answered at once; you named %(count)s.")


@router.get("/data/historical", summary="Bars of several symbols, as JSON, CSV or (Accept) an Arrow file")
def historical_of_many(
    request: HttpRequest, symbols: str, start: str = "", end: str = "", dataset: str = "", fields: str = "",
    prices: str = "raw",
) -> HttpResponse:  # fmt: skip
    """``symbols`` and ``fields`` are separated by commas; ``prices`` are raw, forward or backward adjusted."""
    names = list(dict.fromkeys(_split(symbols)))
    if not names:
        raise Refusal("no_symbol", NO_SYMBOL, field="symbols")
    if len(names) > MOST_SYMBOLS:
        raise Refusal("too_many_symbols", TOO_MANY, field="symbols", most=f"{MOST_SYMBOLS:,}", count=f"{len(names):,}")
    return _answer(request, names, (start, end, fields, prices), dataset, one=False)


@router.get("/data/historical/{symbol}", summary="Bars of a symbol, as JSON, CSV or (Accept) an Arrow file")
def historical(
    request: HttpRequest, symbol: str, start: str = "", end: str = "", dataset: str = "", fields: str = "",
    prices: str = "raw",
) -> HttpResponse:  # fmt: skip
    return _answer(request, [symbol], (start, end, fields, prices), dataset, one=True)


def _answer(
    request: HttpRequest, symbols: Sequence[str], asked: tuple[str, str, str, str], name: str, *, one: bool
) -> HttpResponse:
    start, end, fields, prices = asked
    user: Any = request.user
    found = dataset_by_name(user, name) if name else dataset_with_symbol(user, symbols[0])
    accept, mode = request.headers.get("Accept", ""), chosen_mode(prices)
    etag = tag(found, "historical", symbols, start, end, fields, mode, accept, one)
    if (same := unchanged(request, etag)) is not None:
        return marked(same, found, etag, name)
    table = history(found, symbols, start, end, _split(fields), mode)
    return marked(_as_asked(found, symbols, table, mode, accept, one), found, etag, name)


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _as_asked(
    dataset: Dataset, symbols: Sequence[str], table: pa.Table, mode: str, accept: str, one: bool
) -> HttpResponse:
    if "arrow" in accept:
        return HttpResponse(arrow_bytes(table), content_type=ARROW)
    if one:
        table = table.drop_columns("symbol")
    if "text/csv" in accept:
        return HttpResponse(csv_bytes(with_texts(table)), content_type="text/csv; charset=utf-8")
    values = table.num_rows * table.num_columns
    if values > JSON_VALUES:
        raise Refusal("too_much", TOO_LARGE, values=f"{values:,}", most=f"{JSON_VALUES:,}", type=ARROW)
    shown = dataset.adjustment if mode == "raw" else mode
    head = {
        "dataset": str(dataset), **({"symbol": symbols[0]} if one else {"symbols": symbols}),
        "frequency": dataset.frequency, "prices": shown, "currency": dataset.currency, "rows": table.num_rows,
    }  # fmt: skip
    return json_answer(head, table)
