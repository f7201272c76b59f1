"""Quality of trades and books, chunk by chunk: every check once, the findings in order, one verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.findings import Finding, Severity, verdict_of
from apps.marketdata.engine.quality import Report
from apps.marketdata.engine.quality.series import Collector, number
from apps.marketdata.engine.store import release
from apps.marketdata.engine.tape.model import ADD, DELETE, HALT, REDUCE, TRADE, Columns, Tape, trades_in

TICK_CHECKS = (
    "non_positive_price", "negative_size", "missing_value", "time_backwards", "duplicate_trade", "trades_missing",
    "sequence_gap",
)  # fmt: skip
BOOK_CHECKS = (
    "empty_level", "crossed_book", "locked_book", "unordered_levels", "hole_in_levels",
    "negative_size", "non_positive_price", "one_sided_book", "time_backwards", "sequence_gap", "trade_outside_spread",
    "event_without_effect", "no_stated_book",
)  # fmt: skip
EACH = 20
#: Ids count every trade where nearly all follow each other; only then does a jump mean that trades are missing.
CONSECUTIVE = 0.98
ROUND = 1e-9


@dataclass
class _Symbol:
    """What is carried from chunk to chunk, and counted to the end."""

    name: str
    found: Collector
    exact: bool
    time: int | None = None
    id: int = 0
    last: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    steps: int = 0
    ones: int = 0
    jumps: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    one_sided: int = 0
    outside: int = 0
    first_outside: tuple[int, int, int, str] | None = None
    rows: int = 0


def check_tape(
    tape: Tape, *, reader_findings: Sequence[Finding] = (), on_progress: Callable[[float], None] | None = None
) -> Report:
    """Check every event; ``reader_findings`` are what the import saw in the source itself."""
    found = Collector()
    for finding in reader_findings:
        found.put(finding)
    for at, name in enumerate(tape.symbols):
        state = _Symbol(name, found, bool(tape.meta.get("exact")))
        for first, columns in tape.chunks(name):
            with np.errstate(invalid="ignore"):
                _check_common(state, first, columns)
                if tape.levels:
                    _check_book(state, first, columns)
                else:
                    _check_ids(state, first, columns)
            state.rows += len(columns["time"])
            release(tape.columns.values())
        _close(state)
        if on_progress:
            on_progress((at + 1) / len(tape.symbols))
    findings = tuple(found.findings())
    checks = BOOK_CHECKS if tape.levels else TICK_CHECKS
    failed = {finding.check for finding in findings if finding.severity != "note"}
    gaps = {name: found.seen["sequence_gap", name] + found.seen["trades_missing", name] for name in tape.symbols}
    return Report(findings, verdict_of(findings), len(set(checks) - failed), gaps)


def _flag(
    state: _Symbol,
    first: int,
    columns: Columns,
    bad: NDArray[np.bool_],
    check: str,
    severity: Severity,
    words: Callable[[int], Mapping[str, Any]],
) -> None:
    """Add a finding for the first rows at fault and count the others."""
    at = np.flatnonzero(bad)
    left = max(0, EACH - state.found.seen[check, state.name])
    for row in at[:left]:
        state.found.put(
            Finding(
                check, severity, state.name, columns["time"][row].astype("datetime64[ns]"),
                int(columns["line"][row]) or None, first + int(row) + 1, words(int(row)),
            )
        )  # fmt: skip
    if len(at) > left:
        count = state.found.cut.get(check, (0, severity))[0]
        state.found.cut[check] = (count + len(at) - left, severity)


def _check_common(state: _Symbol, first: int, columns: Columns) -> None:
    time = columns["time"]
    before = np.concatenate([[time[0] if state.time is None else state.time], time[:-1]])

    def back(row: int) -> Mapping[str, Any]:
        return {"seconds": number((int(before[row]) - int(time[row])) / 1e9)}

    _flag(state, first, columns, time < before, "time_backwards", "error", back)
    state.time = int(time[-1])
    trade, price, size = columns["kind"] == TRADE, columns["price"], columns["size"]
    _flag(
        state, first, columns, trade & ~(np.isfinite(price) & np.isfinite(size)), "missing_value", "error",
        lambda _row: {"columns": "price, size"},
    )  # fmt: skip
    wrong = (price <= 0) & (columns["kind"] != HALT)
    _flag(
        state, first, columns, wrong, "non_positive_price", "error",
        lambda row: {"column": "price", "value": number(price[row])},
    )  # fmt: skip
    wrong = (size < 0) | (trade & (size == 0))
    _flag(state, first, columns, wrong, "negative_size", "error", lambda row: {"value": number(size[row])})


def _check_ids(state: _Symbol, first: int, columns: Columns) -> None:
    ids = columns["id"]
    before = np.concatenate([[state.id], ids[:-1]])
    known = (ids > 0) & (before > 0)
    again = known & (ids == before)
    _flag(state, first, columns, again, "duplicate_trade", "warning", lambda row: {"id": int(ids[row])})
    step = ids - before
    state.steps, state.ones = state.steps + int(known.sum()), state.ones + int((known & (step == 1)).sum())
    for row in np.flatnonzero(known & (step > 1))[: EACH - len(state.jumps)]:
        place = first + int(row) + 1, int(columns["line"][row]), int(columns["time"][row])
        state.jumps.append((*place, int(before[row]), int(ids[row])))
    state.id = int(ids[-1])


def _close(state: _Symbol) -> None:
    """Say what only the whole can tell."""
    if state.steps and state.ones / state.steps >= CONSECUTIVE:
        for row, line, time, before, after in state.jumps:
            params = {"count": after - before - 1, "before": before, "after": after}
            moment = np.datetime64(time, "ns")
            state.found.put(Finding("trades_missing", "warning", state.name, moment, line or None, row, params))
    if state.one_sided:
        params = {"count": state.one_sided, "rows": state.rows}
        state.found.put(Finding("one_sided_book", "note", state.name, params=params))
    if state.first_outside:
        row, line, time, words = state.first_outside
        severity: Severity = "warning" if state.exact else "note"
        outside: dict[str, Any] = {"count": state.outside, "first": words}
        moment = np.datetime64(time, "ns")
        state.found.put(Finding("trade_outside_spread", severity, state.name, moment, line or None, row, outside))


def _check_book(state: _Symbol, first: int, columns: Columns) -> None:
    bid, ask = columns["bid_price"], columns["ask_price"]
    best_bid, best_ask = bid[:, 0], ask[:, 0]

    def best(row: int) -> Mapping[str, Any]:
        return {"bid": number(best_bid[row]), "ask": number(best_ask[row])}

    _flag(state, first, columns, best_bid > best_ask, "crossed_book", "error", best)
    _flag(state, first, columns, best_bid == best_ask, "locked_book", "warning", best)
    for side, prices, sign in (("bid", bid, -1), ("ask", ask, 1)):
        _check_side(state, first, columns, side, prices, sign)
    state.one_sided += int((np.isnan(best_bid) | np.isnan(best_ask)).sum())
    _check_trades(state, first, columns)
    if state.exact:
        _check_effects(state, first, columns)
    state.last = {name: columns[name][-1:] for name in ("bid_price", "bid_size", "ask_price", "ask_size")}


def _check_side(
    state: _Symbol, first: int, columns: Columns, side: str, prices: NDArray[np.float64], sign: int
) -> None:
    steps = sign * np.diff(prices, axis=1)
    wrong = steps <= 0

    def order(row: int) -> Mapping[str, Any]:
        level = int(np.argmax(wrong[row]))
        return {
            "side": side, "level": level + 2, "price": number(prices[row, level + 1]),
            "above": number(prices[row, level]),
        }  # fmt: skip

    _flag(state, first, columns, np.asarray(wrong.any(axis=1)), "unordered_levels", "error", order)
    hole = np.isnan(prices[:, :-1]) & np.isfinite(prices[:, 1:])
    _flag(
        state, first, columns, np.asarray(hole.any(axis=1)), "hole_in_levels", "error",
        lambda row: {"side": side, "level": int(np.argmax(hole[row])) + 1},
    )  # fmt: skip
    sizes = columns[f"{side}_size"]
    nothing = (sizes == 0) & np.isfinite(prices)
    _flag(
        state, first, columns, np.asarray(nothing.any(axis=1)), "empty_level", "warning",
        lambda row: {"side": side, "level": int(np.argmax(nothing[row])) + 1},
    )  # fmt: skip
    bad = sizes < 0
    _flag(
        state, first, columns, np.asarray(bad.any(axis=1)), "negative_size", "error",
        lambda row: {"value": number(sizes[row, int(np.argmax(bad[row]))])},
    )  # fmt: skip
    low = prices <= 0
    _flag(
        state, first, columns, np.asarray(low.any(axis=1)), "non_positive_price", "error",
        lambda row: {"column": f"{side}_price", "value": number(prices[row, int(np.argmax(low[row]))])},
    )  # fmt: skip


def _before(state: _Symbol, columns: Columns, name: str) -> NDArray[np.float64]:
    """Return the book before each event."""
    head = state.last.get(name, np.full_like(columns[name][:1], np.nan))
    return np.concatenate([head, columns[name][:-1]])


def _check_trades(state: _Symbol, first: int, columns: Columns) -> None:
    """A trade against a visible order happens at the best price of the book before it."""
    price = columns["price"]
    bid, ask = _before(state, columns, "bid_price")[:, 0], _before(state, columns, "ask_price")[:, 0]
    room = np.abs(price) * ROUND
    outside = (columns["kind"] == TRADE) & trades_in(columns) & ((price < bid - room) | (price > ask + room))
    at = np.flatnonzero(outside)
    state.outside += len(at)
    if len(at) and state.first_outside is None:
        row = int(at[0])
        words = f"{number(price[row])} ({number(bid[row])} / {number(ask[row])})"
        state.first_outside = first + row + 1, int(columns["line"][row]), int(columns["time"][row]), words


def _check_effects(state: _Symbol, first: int, columns: Columns) -> None:
    """Where every event names its order: what it adds to or takes from the best price must be in the book after it.

    Looked at only where the best price of that side is the event's both before and after, so that a level that comes
    into sight or leaves it is no fault.
    """
    kind, size, price = columns["kind"], columns["size"], columns["price"]
    # The side of a trade is who came: it takes from the other side of the book.
    buys = np.where(kind == TRADE, -columns["side"], columns["side"]) > 0
    seen = np.isin(kind, (ADD, REDUCE, DELETE, TRADE))
    wrong = np.zeros(len(kind), dtype=bool)
    told, found = np.where(kind == ADD, size, -size), np.zeros(len(kind))
    for side, mine in (("bid", buys), ("ask", ~buys)):
        before, after = _before(state, columns, f"{side}_price")[:, 0], columns[f"{side}_price"][:, 0]
        change = columns[f"{side}_size"][:, 0] - _before(state, columns, f"{side}_size")[:, 0]
        looked = seen & mine & (np.abs(before - price) < ROUND) & (np.abs(after - price) < ROUND)
        bad = looked & (np.abs(change - told) > ROUND * np.maximum(1, size))
        wrong |= bad
        found = np.where(bad, change, found)
    _flag(
        state, first, columns, wrong, "event_without_effect", "warning",
        lambda row: {"told": f"{told[row]:+.10g}", "found": f"{found[row]:+.10g}", "price": number(price[row])},
    )  # fmt: skip


__all__ = ["BOOK_CHECKS", "TICK_CHECKS", "check_tape"]
