"""The live board: the newest quote of each symbol with its age, the markets, the feeds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import ExpressionWrapper, F, FloatField, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts.identity import signed_in
from apps.accounts.models import User
from apps.accounts.permissions import has_permission
from apps.marketdata.engine.market_status import MARKET_NAMES, MARKETS
from apps.marketdata.engine.symbols import canonical
from apps.marketdata.feeds import feed_health
from apps.marketdata.market_api import status_or_reason
from apps.marketdata.models import Feed, FeedKind, LatestQuote
from apps.marketdata.quotes import feed_visible, moment
from apps.ui.tables import MOST_ROWS, csv_file

PAGE_SIZE, FEEDS_SHOWN = 50, 8
SORTS: Mapping[str, str] = {
    "symbol": "symbol", "last": "last", "change": "change", "volume": "volume", "amount": "amount", "age": "-time",
    "feed": "feed__name",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One row of the board at ``now`` (s since 1970)."""

    row: LatestQuote
    now: float

    @cached_property
    def age(self) -> float:
        return max(0.0, self.now - self.row.time)

    @property
    def stale(self) -> bool:
        return self.age > settings.QP_QUOTE_STALE_SECONDS

    @property
    def expired(self) -> bool:
        return self.age > settings.QP_CACHE_QUOTES_SECONDS

    @property
    def change(self) -> float | None:
        """The return since the close of the session before, as a fraction."""
        return self.row.last / self.row.prev_close - 1.0 if self.row.prev_close else None

    @property
    def bid(self) -> tuple[float, float] | None:
        """Best (price, size), None without a book."""
        return next(iter(self.row.sides[0]), None)

    @property
    def ask(self) -> tuple[float, float] | None:
        return next(iter(self.row.sides[1]), None)

    @property
    def replay(self) -> bool:
        return self.row.feed.kind == FeedKind.REPLAY

    @property
    def decimals(self) -> int:
        return 2 if self.row.last >= 10 else 4


@require_safe
@never_cache
@login_required
def board(request: HttpRequest) -> HttpResponse:
    """The board, or for htmx what changes of it; ``?search=&feed=&sort=&page=``, ``?format=csv`` gives a file."""
    user, query = signed_in(request), request.GET
    filters = {name: query.get(name, "").replace("\x00", "").strip()[:64] for name in ("search", "feed", "sort")}
    rows = board_rows(user, **filters)
    if query.get("format") == "csv":
        return _csv(rows)
    page, now = Paginator(rows, PAGE_SIZE).get_page(query.get("page")), time.time()
    feeds = list(feed_visible(user).select_related("owner").order_by("-wanted", "name"))
    context = {
        "page": page, "lines": [Line(row, now) for row in page.object_list], "filters": filters, "feeds": feeds,
        "shown": [(feed, feed_health(feed)) for feed in feeds[:FEEDS_SHOWN]], "query": query.urlencode(),
        "markets": [_market(name) for name in markets_of(feeds)],
        "filtered": bool(filters["search"] or filters["feed"]),
        "may_replay": has_permission(user, "feed.replay"), "stale": settings.QP_QUOTE_STALE_SECONDS,
        "rate": sum(feed.rate for feed in feeds if feed.wanted),
    }  # fmt: skip
    partial = request.headers.get("HX-Request") and not request.headers.get("HX-Boosted")
    template = "marketdata/partials/board.html" if partial else "marketdata/quotes.html"
    response = render(request, template, context)
    response["Vary"] = "HX-Request, Cookie"
    return response


def _market(calendar: str) -> dict[str, Any]:
    """Return a market's status with ``until``, the moment it opens or closes next."""
    found = status_or_reason(calendar)
    text = found.get("next_close" if found["state"] == "open" else "next_open")
    name = MARKET_NAMES.get(calendar, "")
    return {**found, "until": datetime.fromisoformat(text) if text else None, "name": gettext(name) if name else ""}


def markets_of(feeds: list[Feed]) -> list[str]:
    """Return the calendars to show: the usual ones and those of the feeds."""
    return list(dict.fromkeys([*MARKETS, *(feed.calendar for feed in feeds if feed.calendar)]))


def board_rows(user: User, *, search: str = "", feed: str = "", sort: str = "") -> QuerySet[LatestQuote]:
    """Return the latest quotes ``user`` may see, filtered and sorted; an unknown sort is by symbol."""
    change = ExpressionWrapper(F("last") / F("prev_close"), output_field=FloatField())
    rows = LatestQuote.objects.filter(feed__in=feed_visible(user)).select_related("feed").annotate(change=change)
    if search:
        rows = rows.filter(symbol__icontains=canonical(search))
    if feed:
        rows = rows.filter(feed__name=feed)
    column = SORTS.get(sort.lstrip("-"), "symbol")
    falling = sort.startswith("-") != column.startswith("-")
    order = F(column.lstrip("-"))
    return rows.order_by(order.desc(nulls_last=True) if falling else order.asc(nulls_last=True), "symbol", "feed")


def _csv(rows: QuerySet[LatestQuote]) -> HttpResponse:
    """Return the whole filtered board, at most ``MOST_ROWS`` rows of it."""
    head = ["symbol", "feed", "replay", "last", "prev_close", "volume", "amount", "time", "received", "age_s"]
    head += [f"{side}{level}{what}" for side in ("bid", "ask") for level in range(1, 6) for what in ("", "_size")]
    now = time.time()
    return csv_file("quotes.csv", head, (_cells(row, now) for row in rows[:MOST_ROWS].iterator(1000)))


def _cells(row: LatestQuote, now: float) -> list[Any]:
    line = Line(row, now)
    book: list[Any] = []
    for side in row.sides:
        levels: list[Any] = [value for level in side for value in level]
        book += levels + [""] * (10 - len(levels))
    return [row.symbol, row.feed.name, int(line.replay), row.last, row.prev_close, row.volume, row.amount,
            moment(row.time), moment(row.received), round(line.age, 3), *book]  # fmt: skip
