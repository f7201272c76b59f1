"""A quote, and the port every source of quotes fills."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Quote:
    """The state of one instrument at ``time`` (the source's clock, s since 1970) as ``received`` here.

    ``bids`` and ``asks`` are up to five (price, size), best first; ``volume`` and ``amount`` are
    those of the day so far. Unknown figures are None, never 0.
    """

    symbol: str
    last: float
    time: float
    received: float
    bids: tuple[tuple[float, float], ...] = ()
    asks: tuple[tuple[float, float], ...] = ()
    volume: float | None = None
    amount: float | None = None

    def age(self, now: float) -> float:
        """Return the seconds since the source gave it; a clock ahead of ours counts as now."""
        return max(0.0, now - self.time)


class QuoteFeed(Protocol):
    """A source of quotes. Batches come in the order of the source; the stream ends when the source does."""

    def batches(self, symbols: Sequence[str]) -> AsyncIterator[list[Quote]]:
        """Yield quotes of ``symbols`` as they come, several at a time."""
        ...
