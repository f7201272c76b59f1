"""What a page or program asks of events: the book at an instant, spread and depth over a span, rows as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apps.marketdata.engine.tape.model import KINDS, LADDER, Tape, trades_in
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Level = tuple[float, float]
POINTS = 240
SIDE_WORDS = ("sell", "", "buy")
NO_BOOK = N_("%(dataset)s holds trades, not an order book.")
BEFORE = N_("%(dataset)s begins at %(first)s; there is no book of %(symbol)s at %(time)s.")


@dataclass(frozen=True)
class BookAt:
    """The book of a symbol after an event: levels with the best first."""

    symbol: str
    time: np.datetime64
    row: int
    kind: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    @property
    def spread(self) -> float | None:
        """Best ask less best bid; None where a side is empty."""
        return self.asks[0][0] - self.bids[0][0] if self.bids and self.asks else None

    @property
    def middle(self) -> float | None:
        """The midpoint; None where a side is empty."""
        return (self.asks[0][0] + self.bids[0][0]) / 2 if self.bids and self.asks else None

    @property
    def imbalance(self) -> float | None:
        """(bid size − ask size) / both, over all levels kept, from -1 to 1."""
        bought, sold = (sum(size for _, size in side) for side in (self.bids, self.asks))
        return (bought - sold) / (bought + sold) if bought + sold > 0 else None


@dataclass(frozen=True)
class Course:
    """A span in ``POINTS`` steps, each (P,): the book at the end of a step, trades and volume within it."""

    time: NDArray[np.datetime64]
    middle: NDArray[np.float64]
    spread: NDArray[np.float64]
    bid_depth: NDArray[np.float64]
    ask_depth: NDArray[np.float64]


def book_at(tape: Tape, symbol: str, moment: np.datetime64 | None = None, *, levels: int = 0) -> BookAt:
    """Return the book after the last event at or before ``moment`` (None: the last of all); 0 levels: all kept.

    Raises ``Refusal``: ``no_book`` for trades, ``unknown_symbol``, ``before_start``.
    """
    if not tape.levels:
        raise Refusal("no_book", NO_BOOK, status=409, field="dataset", dataset=tape.name or "-")
    first, end = tape.bounds(symbol)
    row = end - 1 if moment is None else tape.row_at(symbol, moment)
    if row is None:
        start = str(tape.columns["time"][first].astype("datetime64[ns]"))
        raise Refusal(
            "before_start", BEFORE, status=404, field="time", dataset=tape.name or "-", first=start, symbol=symbol,
            time=str(moment),
        )  # fmt: skip
    return BookAt(
        symbol, tape.columns["time"][row].astype("datetime64[ns]"), row - first + 1,
        KINDS[int(tape.columns["kind"][row])], _side(tape, row, "bid", levels), _side(tape, row, "ask", levels),
    )  # fmt: skip


def _side(tape: Tape, row: int, side: str, levels: int) -> tuple[Level, ...]:
    prices, sizes = (np.asarray(tape.columns[f"{side}_{what}"][row]) for what in ("price", "size"))
    known = np.flatnonzero(np.isfinite(prices))[: levels or None]
    return tuple((float(prices[at]), float(sizes[at])) for at in known)


def course(
    tape: Tape, symbol: str, start: np.datetime64 | None = None, end: np.datetime64 | None = None, points: int = POINTS
) -> Course:
    """Return midpoint, spread and depth of a book over a span, read at ``points`` places only."""
    if not tape.levels:
        raise Refusal("no_book", NO_BOOK, status=409, field="dataset", dataset=tape.name or "-")
    first, last = tape.bounds(symbol)
    stamps = tape.columns["time"][first:last]
    low = int(stamps[0]) if start is None else int(start.astype("datetime64[ns]").astype(np.int64))
    high = int(stamps[-1]) if end is None else int(end.astype("datetime64[ns]").astype(np.int64))
    edges = np.linspace(low, max(low, high), points).astype(np.int64)
    rows = np.searchsorted(stamps, edges, side="right") - 1
    kept = rows >= 0
    at = first + rows[kept]
    bid, ask = (np.asarray(tape.columns[f"{side}_price"][at, 0]) for side in ("bid", "ask"))
    depths = [np.nansum(np.asarray(tape.columns[f"{side}_size"][at]), axis=1) for side in ("bid", "ask")]
    return Course(edges[kept].astype("datetime64[ns]"), (bid + ask) / 2, ask - bid, depths[0], depths[1])


def trade_course(tape: Tape, symbol: str, points: int = POINTS) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Return times and prices of at most ``points`` trades spread over all of a symbol's."""
    first, end = tape.bounds(symbol)
    at = np.unique(np.linspace(first, end - 1, min(points, end - first)).astype(np.int64))
    return tape.columns["time"][at].astype("datetime64[ns]"), np.asarray(tape.columns["price"][at], dtype=np.float64)


def latest_trades(tape: Tape, symbol: str, moment: np.datetime64 | None, count: int) -> list[dict[str, object]]:
    """Return up to ``count`` trades at or before ``moment``, the newest first; looked for among recent events only."""
    first, end = tape.bounds(symbol)
    row = end - 1 if moment is None else tape.row_at(symbol, moment)
    if row is None:
        return []
    low = max(first, row + 1 - 50_000)
    part = {name: np.asarray(tape.columns[name][low : row + 1]) for name in ("time", "kind", "side", "price", "size")}
    rows = np.flatnonzero(trades_in(part))[::-1][:count]
    return [
        {
            "time": part["time"][at].astype("datetime64[ns]"), "price": float(part["price"][at]),
            "size": float(part["size"][at]), "side": SIDE_WORDS[int(part["side"][at]) + 1],
        }
        for at in rows
    ]  # fmt: skip


def rows_between(
    tape: Tape, symbols: Sequence[str], start: np.datetime64 | None, end: np.datetime64 | None
) -> list[tuple[str, int, int]]:
    """Return (symbol, first row, row after the last) of the events of a span, both ends included."""
    found = []
    for name in symbols:
        first, last = tape.bounds(name)
        stamps = tape.columns["time"][first:last]
        low = 0 if start is None else int(np.searchsorted(stamps, start.astype("datetime64[ns]").astype(np.int64)))
        high = len(stamps)
        if end is not None:
            high = int(np.searchsorted(stamps, end.astype("datetime64[ns]").astype(np.int64), side="right"))
        found.append((name, first + low, first + max(low, high)))
    return found


def table_of(tape: Tape, symbol: str, first: int, end: int) -> pa.Table:
    """Return rows of one symbol: symbol, time (UTC), kind, side, price, size, id, then each level in columns."""
    kinds = pa.DictionaryArray.from_arrays(pa.array(np.array(tape.columns["kind"][first:end])), pa.array(list(KINDS)))
    sides = pa.DictionaryArray.from_arrays(
        pa.array(np.array(tape.columns["side"][first:end]) + 1), pa.array(list(SIDE_WORDS))
    )
    stamps = pa.array(np.array(tape.columns["time"][first:end]), pa.int64()).cast(pa.timestamp("ns", tz="UTC"))
    arrays = {
        "symbol": pa.array([symbol] * (end - first), pa.string()), "time": stamps,
        "kind": kinds.cast(pa.string()), "side": sides.cast(pa.string()),
    }  # fmt: skip
    for name in ("price", "size", "amount", "id"):
        if name in tape.columns:
            arrays[name] = pa.array(np.array(tape.columns[name][first:end]), from_pandas=True)
    for level in range(tape.levels):
        for name in LADDER:
            arrays[f"{name}_{level + 1}"] = pa.array(np.array(tape.columns[name][first:end, level]), from_pandas=True)
    return pa.table(arrays)
