"""The latest quotes in this process's memory, brought up to date from the store at most every 200 ms.

A reader that comes sooner is answered from memory; only what changed is read, whoever wrote it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apps.marketdata.adapters.latest_store import Cursor, LatestStore, Row, store
from apps.marketdata.engine.quotes import Quote

#: Seconds for which memory answers alone.
FRESH = 0.2


@dataclass(frozen=True, slots=True)
class Held:
    """A quote with its number and the feed it came from."""

    seq: int
    feed_id: int
    quote: Quote


@dataclass
class Hits:
    """Quotes read, and how many of them were answered from memory."""

    reads: int = 0
    hits: int = 0

    @property
    def ratio(self) -> float | None:
        return self.hits / self.reads if self.reads else None


class Board:
    """The newest quote of each symbol in each feed."""

    def __init__(self, source: Callable[[], LatestStore] = store, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._clock = source, clock
        #: Rows as they came, by symbol and feed: most are never asked for, so they are read when they are.
        self._symbols: dict[str, dict[int, Row]] = {}
        self._cursor: Cursor = None
        self._looked = float("-inf")
        self._lock = threading.Lock()
        self.count = Hits()

    def of(self, symbols: Iterable[str]) -> tuple[dict[str, list[Held]], bool]:
        """Return what is held of each of ``symbols``, by feed, and whether memory answered alone."""
        hit = self.refresh()
        found = {symbol: [_held(row) for row in list(self._symbols.get(symbol, {}).values())] for symbol in symbols}
        self.count.reads += len(found)
        self.count.hits += len(found) if hit else 0
        return found, hit

    def refresh(self) -> bool:
        """Read what changed unless that was done just now; tell whether there was no need."""
        if self._clock() - self._looked < FRESH:
            return True
        with self._lock:
            if self._clock() - self._looked < FRESH:  # another thread has looked while we waited
                return True
            cursor, rows = self._source().changed(self._cursor)
            for row in rows:
                self._symbols.setdefault(row[2], {})[row[1]] = row
            self._cursor, self._looked = cursor, self._clock()
        return False

    def forget(self) -> None:
        """Begin anew: a feed was removed, or the database is another one."""
        with self._lock:
            self._symbols, self._cursor, self._looked = {}, None, float("-inf")


def _held(row: Row) -> Held:
    seq, feed_id, symbol, moment, received, last, volume, amount, prev_close, book, day = row
    bids, asks = json.loads(book) if book else ((), ())
    quote = Quote(
        symbol, last, moment, received, tuple((price, size) for price, size in bids),
        tuple((price, size) for price, size in asks), volume, amount, prev_close, day,
    )  # fmt: skip
    return Held(seq, feed_id, quote)


board = Board()
