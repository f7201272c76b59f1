"""The newest quote of each symbol, in memory; late and repeated ones are dropped."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from apps.marketdata.engine.quotes.feed import Quote


@dataclass
class Counts:
    """What came in: ``kept``, ``repeated`` (same state again) and ``late`` (older than what is known)."""

    kept: int = 0
    repeated: int = 0
    late: int = 0


class LatestQuotes:
    """A quote older than ``lifetime`` seconds (by the source's clock) is not given any more."""

    def __init__(self, lifetime: float = 60.0) -> None:
        self.lifetime, self.counts = lifetime, Counts()
        self._quotes: dict[str, Quote] = {}
        self._lock = threading.Lock()

    def put(self, batch: Iterable[Quote]) -> list[Quote]:
        """Take a batch and return what was new in it, in order: what history and boards want."""
        fresh = []
        with self._lock:
            for quote in batch:
                known = self._quotes.get(quote.symbol)
                if known is not None and quote.time < known.time:
                    self.counts.late += 1
                elif known is not None and _same(quote, known):
                    self.counts.repeated += 1
                else:
                    self._quotes[quote.symbol] = quote
                    self.counts.kept += 1
                    fresh.append(quote)
        return fresh

    def get(self, symbol: str, now: float) -> Quote | None:
        """Return the newest quote, or None where there is none or it is too old."""
        quote = self._quotes.get(symbol)
        return quote if quote is not None and quote.age(now) <= self.lifetime else None

    def silent(self, now: float, seconds: float) -> list[str]:
        """Return the symbols whose newest quote is older than ``seconds``, longest first."""
        with self._lock:
            old = [quote for quote in self._quotes.values() if quote.age(now) > seconds]
        return [quote.symbol for quote in sorted(old, key=lambda quote: quote.time)]


def _same(quote: Quote, known: Quote) -> bool:
    """Tell whether a quote says nothing new: everything but our own receive time is equal."""
    return (
        quote.time == known.time and quote.last == known.last and quote.volume == known.volume
        and quote.bids == known.bids and quote.asks == known.asks and quote.amount == known.amount
    )  # fmt: skip
