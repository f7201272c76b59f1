"""What the page of trades or of a book shows: the book at a time, spread and depth, findings, how to make bars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from django.core.paginator import Paginator
from django.http import QueryDict
from django.utils.translation import gettext as _

from apps.marketdata.engine.tape import Tape
from apps.marketdata.engine.tape.derive import RULES, SIZES
from apps.marketdata.engine.tape.view import (
    BookAt,
    Course,
    Level,
    book_at,
    course,
    latest_trades,
    trade_course,
)
from apps.marketdata.historical import parse_moment
from apps.marketdata.models import Dataset, QualityFinding, Severity
from apps.marketdata.pages import PAGE_SIZE, _chosen, _made_of, _severity, _symbols
from apps.marketdata.selectors import check_latest, dataset_tape, finding_list
from apps.marketdata.times import as_datetime, as_datetime64
from apps.ui.engine.charts import Chart, Series, line_chart
from apps.ui.engine.numbers import compact
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

LEVELS_SHOWN, TRADES_SHOWN = 10, 12
#: Span around the chosen time, in seconds.
SPANS = {"all": 0, "1h": 3600, "10min": 600, "1min": 60}


def detail(dataset: Dataset, query: QueryDict) -> dict[str, Any]:
    """Return the context of the page; a dataset whose files are gone still has one."""
    check = check_latest(dataset)
    filters = {name: query.get(name, "")[:32] for name in ("severity", "of")}
    findings = finding_list(check, severity=_severity(filters["severity"]), symbol=filters["of"])
    page = Paginator(findings, PAGE_SIZE).get_page(query.get("page"))
    for finding in page.object_list:
        setattr(finding, "remedy", "")  # noqa: B010 - nothing mends an event; the template asks
    wanted = query.get("finding", "")
    chosen = _chosen(page.object_list, findings, wanted) if wanted else None
    context = {
        "dataset": dataset, "check": check, "page": page, "filters": filters, "severities": Severity.choices,
        "chosen": chosen, "checks": list(dataset.checks.all()[:5]), "daily": False, "rules": _rules(), "steps": SIZES,
        "symbols": _symbols(dataset, check, query.get("symbols_page")), "made_of": _made_of(dataset),
    }  # fmt: skip
    try:
        tape = dataset_tape(dataset)
    except Refusal as refusal:
        return {**context, "missing": refusal_text(refusal)}
    return {**context, **_shown(dataset, tape, query, chosen)}


def _rules() -> list[tuple[str, str]]:
    words = {
        "time": _("by time"), "volume": _("by volume traded"), "dollar": _("by money traded"),
        "trades": _("by number of trades"),
    }  # fmt: skip
    return [(rule, words[rule]) for rule in RULES]


def _shown(dataset: Dataset, tape: Tape, query: QueryDict, chosen: QualityFinding | None) -> dict[str, Any]:
    symbol = query.get("symbol", "") or (chosen.symbol if chosen else "")
    if symbol not in tape.symbols:
        symbol = tape.symbols[0]
    shown: dict[str, Any] = {"symbol": symbol, "names": tape.symbols[:500], "levels": tape.levels, "spans": _spans()}
    first, end = tape.bounds(symbol)
    shown["first"], shown["last"] = (_moment(tape, row) for row in (first, end - 1))
    moment, shown["at_error"] = _wanted_time(query.get("at", ""), chosen)
    shown["at"] = query.get("at", "")[:40] or (_text(as_datetime(moment)) if moment is not None else "")
    shown["span"] = query.get("span", "all") if query.get("span") in SPANS else "all"
    shown["trades"] = _trade_rows(latest_trades(tape, symbol, moment, TRADES_SHOWN))
    if not tape.levels:
        shown["figures"] = [_price_figure(tape, symbol)]
        return shown
    try:
        book = book_at(tape, symbol, moment, levels=tape.levels)
    except Refusal as refusal:
        return {**shown, "at_error": refusal_text(refusal), "figures": _figures(tape, symbol, None, shown["span"])}
    when = book.time if moment is None else moment
    return {
        **shown, "book": book, "rows": _ladder(book), "figures": _figures(tape, symbol, when, shown["span"]),
        "depth": _depth_chart(book), "book_time": _text(as_datetime(book.time), fine=True), "at": shown["at"],
        "bps": book.spread / book.middle * 1e4 if book.spread is not None and book.middle else None,
        "spread": compact(book.spread, 6), "middle": compact(book.middle, 8),
    }  # fmt: skip


def _spans() -> list[tuple[str, str]]:
    return [("all", _("All")), ("1h", _("1 hour")), ("10min", _("10 minutes")), ("1min", _("1 minute"))]


def _moment(tape: Tape, row: int) -> str:
    return _text(as_datetime(tape.columns["time"][row].astype("datetime64[ns]")), fine=True)


def _text(moment: datetime, *, fine: bool = False) -> str:
    text = f"{moment:%Y-%m-%d %H:%M:%S}"
    return f"{text}.{moment.microsecond // 1000:03d}" if fine else text


def _wanted_time(text: str, chosen: QualityFinding | None) -> tuple[np.datetime64 | None, str]:
    if not text and chosen is not None and chosen.time is not None:
        return as_datetime64(chosen.time), ""
    try:
        return parse_moment(text.strip(), "at", last=True), ""
    except Refusal as refusal:
        return None, refusal_text(refusal)


def _ladder(book: BookAt) -> list[dict[str, str]]:
    count = min(LEVELS_SHOWN, max(len(book.bids), len(book.asks)))

    def cell(side: Sequence[Level], level: int, part: int) -> str:
        return compact(side[level][part], 8) if level < len(side) else "–"

    return [
        {
            "level": str(level + 1), "bid_size": cell(book.bids, level, 1), "bid": cell(book.bids, level, 0),
            "ask": cell(book.asks, level, 0), "ask_size": cell(book.asks, level, 1),
        }
        for level in range(count)
    ]  # fmt: skip


def _trade_rows(found: list[dict[str, Any]]) -> list[dict[str, str]]:
    words = {"buy": _("Buy"), "sell": _("Sell"), "": "–"}
    return [
        {
            "time": _text(as_datetime(row["time"]), fine=True), "price": compact(row["price"], 8),
            "size": compact(row["size"], 8), "side": words[row["side"]],
        }
        for row in found
    ]  # fmt: skip


def _times(stamps: Any) -> list[datetime]:
    return [as_datetime(time) for time in stamps]


def _some(values: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _figures(tape: Tape, symbol: str, moment: np.datetime64 | None, span: str) -> list[dict[str, Any]]:
    """Return midpoint, spread and depth over the span."""
    half = np.timedelta64(SPANS[span] * 500_000_000, "ns")
    around = moment if moment is not None and SPANS[span] else None
    found = course(tape, symbol, None if around is None else around - half, None if around is None else around + half)
    if not len(found.time):
        return []
    times = _times(found.time)
    now = as_datetime(moment) if moment is not None and found.time[0] <= moment <= found.time[-1] else None
    words: dict[str, Any] = {"now": now, "height": 168, "phone_height": 140, "y_text": _digits, "value_text": _digits}
    return [
        {
            "title": _("Midpoint"), "subtitle": _("between best bid and best ask"),
            "chart": line_chart(
                [Series("", times, _some(found.middle))], label=_("Midpoint of %(symbol)s") % {"symbol": symbol},
                **words,
            ),
        },
        {
            "title": _("Spread"), "subtitle": _spread_words(found),
            "chart": line_chart(
                [Series("", times, _some(found.spread))], label=_("Spread of %(symbol)s") % {"symbol": symbol}, base=0,
                **words,
            ),
        },
        {
            "title": _("Depth"), "subtitle": _("size on all levels kept"),
            "chart": line_chart(
                [Series(_("Bids"), times, _some(found.bid_depth), "k1"),
                 Series(_("Asks"), times, _some(found.ask_depth), "k2")],
                label=_("Depth of %(symbol)s on both sides") % {"symbol": symbol}, **words,
            ),
        },
    ]  # fmt: skip


def _digits(value: float) -> str:
    return compact(value, 8)


def _spread_words(found: Course) -> str:
    known = found.spread[np.isfinite(found.spread)]
    if not len(known):
        return ""
    return _("median %(middle)s, largest %(most)s") % {
        "middle": compact(float(np.median(known)), 6), "most": compact(float(known.max()), 6),
    }  # fmt: skip


def _price_figure(tape: Tape, symbol: str) -> dict[str, Any]:
    times, prices = trade_course(tape, symbol)
    chart = line_chart(
        [Series("", _times(times), _some(prices))], label=_("Trades of %(symbol)s") % {"symbol": symbol},
        y_text=_digits, value_text=_digits,
    )  # fmt: skip
    return {"title": symbol, "subtitle": _("price of trades, evenly chosen"), "chart": chart}


def _depth_chart(book: BookAt) -> Chart | None:
    """Draw what could be traded up to a price: sizes added up from the best level outward."""
    if not book.bids or not book.asks:
        return None
    sides = []
    for name, side, style in ((_("Bids"), book.bids, "k1"), (_("Asks"), book.asks, "k2")):
        xs: list[float] = []
        ys: list[float | None] = []
        total = 0.0
        for price, size in side:
            xs += [price, price]
            ys += [total, total + size]
            total += size
        order = range(len(xs)) if style == "k2" else range(len(xs) - 1, -1, -1)
        points = [(xs[at], ys[at]) for at in order]
        sides.append(Series(name, [x for x, _ in points], [y for _, y in points], style, value=_digits(total)))  # type: ignore[arg-type]
    label = _("Size that can be traded up to each price of %(symbol)s") % {"symbol": book.symbol}
    return line_chart(sides, label=label, base=0, y_text=_digits, value_text=_digits)
