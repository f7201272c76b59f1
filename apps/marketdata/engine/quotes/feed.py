"""A quote, and the port every source of quotes fills."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

#: Levels of the book that are kept on each side.
LEVELS = 5
Side = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """The state of one instrument at ``time`` (the source's clock, s since 1970) as ``received`` here.

    ``bids`` and ``asks`` are up to five (price, size), best first, sizes in shares; ``volume`` (shares) and
    ``amount`` (money) are those of the day so far; ``prev_close`` is the close of the session before. ``day`` counts
    the trading day in days since 1970 where the source tells it. Unknown figures are None, never 0.
    """

    symbol: str
    last: float
    time: float
    received: float
    bids: Side = ()
    asks: Side = ()
    volume: float | None = None
    amount: float | None = None
    prev_close: float | None = None
    day: int | None = None

    def age(self, now: float) -> float:
        """Return the seconds since the source gave it; a clock ahead of ours counts as now."""
        return max(0.0, now - self.time)


class QuoteFeed(Protocol):
    """A source of quotes. Batches come in the order of the source; the stream ends when the source does.

    What a feed knows of itself it says in attributes: ``position`` of the batch given last, from which it can go on
    (None where it cannot), ``connected``, ``reconnects`` and ``rejected`` (messages that were no quotes, by reason).
    """

    position: int | None
    connected: bool
    reconnects: int
    rejected: dict[str, int]

    def batches(self, symbols: Sequence[str]) -> AsyncIterator[list[Quote]]:
        """Yield quotes of ``symbols`` (none: all there are) as they come, several at a time."""
        ...
