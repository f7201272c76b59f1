"""Books from stated books and their changes: the sequence rules, and the rows that follow.

A change names the range of updates it covers (``first`` to ``last``) and, on futures, the last update before it
(``previous``). The chain is whole where each change begins right after the one before; what an older state already
contains is left out; what came before the first stated book waits for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.tape.disk import TapeWriter
from apps.marketdata.engine.tape.ladder import Ladder, Level, RowBuffer
from apps.marketdata.engine.tape.model import SNAPSHOT, TRADE, UPDATE

#: Changes kept while the first stated book is awaited; after that the book is built from the changes alone.
PATIENCE = 10_000
GAPS_SHOWN = 200
#: Streams of trades and of depth reach the recorder one before the other; within this time they are put in order.
PATIENCE_NS = 1_000_000_000


@dataclass(frozen=True)
class Change:
    """Levels set by one message; ``last`` 0: the source counts no updates."""

    time: int
    line: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    first: int = 0
    last: int = 0
    previous: int | None = None


@dataclass(frozen=True)
class Stated:
    """A whole book; ``time`` None: the source does not say when."""

    time: int | None
    line: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    last: int = 0


@dataclass(frozen=True)
class Trade:
    """A trade between two changes; ``side`` is who came to the book."""

    time: int
    line: int
    price: float
    size: float
    side: int
    id: int = 0


@dataclass
class DepthBook:
    """The book of one symbol while its messages are read."""

    symbol: str
    rows: RowBuffer
    ladder: Ladder = field(default_factory=Ladder)
    started: bool = False
    last: int = 0
    fresh: bool = False
    waiting: list[Change | Trade] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    gaps: list[Finding] = field(default_factory=list)
    held: list[tuple[int, int, Change | Trade]] = field(default_factory=list)
    arrived: int = 0
    newest: int = 0

    def take(self, message: Change | Stated | Trade) -> None:
        """Take the next message of the source; trades and changes are put into the order of the exchange's clock."""
        if isinstance(message, Stated):
            self._settle(None)
            self._state(message)
            return
        heapq.heappush(self.held, (message.time, self.arrived, message))
        self.arrived += 1
        self.newest = max(self.newest, message.time)
        self._settle(self.newest - PATIENCE_NS)

    def _settle(self, until: int | None) -> None:
        """Write what nothing older can overtake any more: up to ``until``, or all."""
        while self.held and (until is None or self.held[0][0] <= until):
            self._next(heapq.heappop(self.held)[2])

    def _next(self, message: Change | Trade) -> None:
        if not self.started:
            self.waiting.append(message)
            if len(self.waiting) > PATIENCE:
                self._start_without()
        elif isinstance(message, Trade):
            self._trade(message)
        else:
            self._change(message)

    def finish(self) -> list[Finding]:
        """Write what is left and say what was odd about the whole."""
        self._settle(None)
        if not self.started and any(isinstance(message, Change) for message in self.waiting):
            self._start_without()
        self.rows.flush()
        notes = [
            Finding(name, "warning" if name == "no_stated_book" else "note", self.symbol, params={"count": count})
            for name, count in self.counts.items()
            if name != "sequence_gap"
        ]
        more = self.counts.get("sequence_gap", 0) - len(self.gaps)
        if more > 0:
            notes.append(Finding("more_like_this", "error", params={"count": more, "name": "sequence_gap"}))
        return [*self.gaps, *notes]

    def _count(self, name: str, by: int = 1) -> None:
        if by:
            self.counts[name] = self.counts.get(name, 0) + by

    def _state(self, message: Stated) -> None:
        if self.started and message.last and message.last < self.last:
            self._count("stale_update")
            return
        self.ladder.state(message.bids, message.asks)
        if message.last:
            self.last = message.last
        self.started, self.fresh = True, True
        if message.time is not None:
            self.rows.add(self.ladder, time=message.time, line=message.line, kind=SNAPSHOT, id=message.last)
        waiting, self.waiting = self.waiting, []
        late = [m for m in waiting if self._is_after(m, message)]
        self._count("before_stated_book", len(waiting) - len(late))
        for kept in late:
            self._next(kept)

    def _is_after(self, message: Change | Trade, stated: Stated) -> bool:
        if isinstance(message, Change) and message.last and stated.last:
            return message.last > stated.last
        return stated.time is not None and message.time >= stated.time

    def _start_without(self) -> None:
        self._count("no_stated_book", len(self.waiting))
        self.started = True
        waiting, self.waiting = self.waiting, []
        for message in waiting:
            self._next(message)

    def _trade(self, message: Trade) -> None:
        self.rows.add(
            self.ladder, time=message.time, line=message.line, kind=TRADE, side=message.side, price=message.price,
            size=message.size, id=message.id,
        )  # fmt: skip

    def _change(self, message: Change) -> None:
        if message.last and self.last:
            if message.last <= self.last:
                self._count("stale_update")
                return
            if self._gap(message):
                self._tell_gap(message)
        self.fresh = False
        self.last = message.last or self.last
        self.ladder.apply(message.bids, message.asks)
        self.rows.add(self.ladder, time=message.time, line=message.line, kind=UPDATE, id=message.last)

    def _gap(self, message: Change) -> bool:
        if message.previous is not None:
            # The first change after a stated book may begin before it: it only must not begin after it.
            return message.previous > self.last if self.fresh else message.previous != self.last
        return message.first > self.last + 1

    def _tell_gap(self, message: Change) -> None:
        self._count("sequence_gap")
        if len(self.gaps) < GAPS_SHOWN:
            params = {"before": self.last, "after": message.previous if message.previous is not None else message.first}
            moment = np.datetime64(message.time, "ns")
            self.gaps.append(Finding("sequence_gap", "error", self.symbol, moment, message.line, params=params))


@dataclass
class DepthBooks:
    """The books of all symbols of a source."""

    writer: TapeWriter
    levels: int
    books: dict[str, DepthBook] = field(default_factory=dict)

    def of(self, symbol: str) -> DepthBook:
        """Return the book of a symbol, a new one where it is met for the first time."""
        if symbol not in self.books:
            self.books[symbol] = DepthBook(symbol, RowBuffer(symbol, self.levels, self.writer))
        return self.books[symbol]

    def finish(self) -> None:
        """Write what is left and hand over the findings."""
        for book in self.books.values():
            self.writer.findings += book.finish()


def pairs(rows: Iterable[Any]) -> list[Level]:
    """Return levels out of ``[["28145.10", "3.818"], …]``; ValueError, TypeError or IndexError for anything else."""
    levels = [(float(row[0]), float(row[1])) for row in rows]
    if not all(isfinite(price) and isfinite(size) for price, size in levels):
        raise ValueError("not finite")
    return levels
