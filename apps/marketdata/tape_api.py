"""API of trades and order books: the book at an instant, its course, bars made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.http import HttpRequest
from ninja import Query, Router, Schema

from apps.marketdata.engine.tape.view import POINTS, book_at, course
from apps.marketdata.historical import parse_moment
from apps.marketdata.presenters import dataset_document
from apps.marketdata.selectors import dataset_for_user, dataset_tape
from apps.marketdata.services import dataset_bars

router = Router(tags=["market data"])
MOST_POINTS = 2000


def _user(request: HttpRequest) -> Any:
    return request.user


@router.get("/datasets/{int:dataset_id}/book", summary="The order book of a symbol at an instant")
def book(
    request: HttpRequest, dataset_id: int, symbol: str = "", time: str = "", levels: int = Query(10, ge=1, le=1000)
) -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    tape = dataset_tape(found)
    shown = book_at(tape, symbol or tape.symbols[0], parse_moment(time, "time", last=True), levels=levels)
    return {
        "dataset": str(found), "symbol": shown.symbol, "time": f"{shown.time}Z", "row": shown.row, "event": shown.kind,
        "bids": shown.bids, "asks": shown.asks, "spread": shown.spread, "midpoint": shown.middle,
        "imbalance": shown.imbalance,
    }  # fmt: skip


@router.get("/datasets/{int:dataset_id}/spread", summary="Midpoint, spread and depth of an order book over a span")
def spread(
    request: HttpRequest,
    dataset_id: int,
    symbol: str = "",
    start: str = "",
    end: str = "",
    points: int = Query(POINTS, ge=2, le=MOST_POINTS),
) -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    tape = dataset_tape(found)
    name = symbol or tape.symbols[0]
    shown = course(tape, name, parse_moment(start, "start"), parse_moment(end, "end", last=True), points)
    columns = {"midpoint": shown.middle, "spread": shown.spread, "bid_depth": shown.bid_depth,
               "ask_depth": shown.ask_depth}  # fmt: skip
    return {
        "dataset": str(found), "symbol": name, "time": [f"{time}Z" for time in shown.time],
        **{key: [float(v) if np.isfinite(v) else None for v in values] for key, values in columns.items()},
    }  # fmt: skip


class BarsBody(Schema):
    """How to cut bars: ``rule`` time, volume, dollar or trades; ``size`` like 5min, or a number."""

    rule: str = "time"
    size: str = "5min"


@router.post("/datasets/{int:dataset_id}/bars", summary="Bars made of trades or of an order book: a new dataset")
def bars(request: HttpRequest, dataset_id: int, body: BarsBody) -> dict[str, Any]:
    found = dataset_for_user(_user(request), dataset_id)
    made = dataset_bars(found, rule=body.rule, size=body.size, actor=_user(request))
    return {**dataset_document(made), "lineage": made.lineage}
