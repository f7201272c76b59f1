"""The latest quotes and the feeds in this process's memory, brought up to date at most every 200 ms.

A reader that comes sooner is answered from memory; only the quotes that changed are read, whoever wrote them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import Counter

from apps.marketdata.adapters.latest_store import Cursor, LatestStore, Row, store
from apps.marketdata.engine.quotes import Quote
from apps.marketdata.engine.quotes.book import book_sides
from apps.marketdata.models import Feed, FeedKind

#: Seconds for which memory answers alone.
FRESH = 0.2
#: The same counts for Prometheus, which adds up those of all web processes.
READS = Counter("quant_quote_reads", "Quotes read by the web processes.")
HITS = Counter("quant_quote_hits", "Of these, answered from memory.")


@dataclass(frozen=True, slots=True)
class Held:
    """A quote with its number and the feed it came from."""

    seq: int
    feed_id: int
    quote: Quote


@dataclass(frozen=True, slots=True)
class KnownFeed:
    """What decides who may see a feed's quotes, and which is preferred. ``owner_id`` None: everybody's."""

    name: str
    replay: bool
    owner_id: int | None


def feeds_known() -> dict[int, KnownFeed]:
    """Return all feeds by id."""
    rows = Feed.objects.order_by().values_list("pk", "name", "kind", "owner_id")
    return {pk: KnownFeed(name, kind == FeedKind.REPLAY, owner) for pk, name, kind, owner in rows}


@dataclass
class Hits:
    """Quotes read, and how many of them were answered from memory."""

    reads: int = 0
    hits: int = 0

    def add(self, reads: int, hits: int) -> None:
        self.reads += reads
        self.hits += hits
        READS.inc(reads)
        HITS.inc(hits)

    @property
    def ratio(self) -> float | None:
        return self.hits / self.reads if self.reads else None


class Board:
    """The newest quote of each symbol in each feed."""

    def __init__(self, source: Callable[[], LatestStore] = store, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._clock = source, clock
        #: All feeds by id, as old as the quotes at most.
        self.feeds: Mapping[int, KnownFeed] = {}
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
        self.count.add(len(found), len(found) if hit else 0)
        return found, hit

    def refresh(self) -> bool:
        """Read what changed unless that was done just now; tell whether there was no need."""
        if self._clock() - self._looked < FRESH:
            return True
        with self._lock:
            if self._clock() - self._looked < FRESH:  # another thread has looked while we waited
                return True
            cursor, rows = self._source().changed(self._cursor)
            # After the quotes: a feed that has given one is known.
            self.feeds = feeds_known()
            for row in rows:
                self._symbols.setdefault(row[2], {})[row[1]] = row
            self._cursor, self._looked = cursor, self._clock()
        return False

    def forget(self) -> None:
        """Begin anew: a feed was removed, or the database is another one."""
        with self._lock:
            self._symbols, self._cursor, self._looked, self.feeds = {}, None, float("-inf"), {}


def _held(row: Row) -> Held:
    seq, feed_id, symbol, moment, received, last, volume, amount, prev_close, book = row
    bids, asks = book_sides(book)
    return Held(seq, feed_id, Quote(symbol, last, moment, received, bids, asks, volume, amount, prev_close))


board = Board()
