"""API of quotes: the newest, the log behind a cursor, minute bars."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router

from apps.accounts.identity import signed_in
from apps.marketdata.quotes import MOST_QUOTES, cached, minute_document, minute_rows, quote_log, realtime, symbols_of

router = Router(tags=["quotes"])
Cursor = Annotated[int | None, Query(ge=0, lt=2**63)]
Limit = Annotated[int, Query(ge=1, le=MOST_QUOTES)]


@router.post("/data/realtime", summary="The newest quote of each symbol")
def newest(request: HttpRequest, symbols: list[str], feed: str = "") -> dict[str, Any]:
    """At most 500 symbols. Those without a quote in its lifetime (60 s) are listed under ``missing``."""
    return realtime(signed_in(request), symbols, feed)


@router.get("/data/cache/{symbol}", summary="The newest quote of a symbol, and whether memory answered")
def cache(request: HttpRequest, symbol: str, feed: str = "") -> dict[str, Any]:
    return cached(signed_in(request), symbol, feed)


@router.get("/data/quotes", summary="Quotes behind a cursor, in their order")
def quotes(
    request: HttpRequest, after: Cursor = None, symbols: str = "", limit: Limit = 1000, feed: str = ""
) -> dict[str, Any]:
    """Ask again with ``after`` set to the answer's ``next``: none is missed, none comes twice."""
    return quote_log(signed_in(request), after=after, symbols=symbols_of(symbols), limit=limit, feed=feed)


@router.get("/data/minutes/{symbol}", summary="Minute bars made of quotes")
def minutes(
    request: HttpRequest,
    symbol: str,
    start: datetime | None = None,
    end: datetime | None = None,
    feed: str = "",
    limit: Limit = 1000,
) -> dict[str, Any]:
    """The newest ``limit`` bars between ``start`` and ``end``, by time; a time without an offset is UTC."""
    start, end = (moment.replace(tzinfo=UTC) if moment and not moment.tzinfo else moment for moment in (start, end))
    rows = list(minute_rows(signed_in(request), symbol, start=start, end=end, feed=feed).reverse()[:limit])
    return {"symbol": symbol, "bars": [minute_document(row) for row in reversed(rows)]}
