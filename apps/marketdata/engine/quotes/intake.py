"""What happens to every quote between feed and table: checked, coalesced, added to its minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from apps.marketdata.engine.quotes.checks import trouble
from apps.marketdata.engine.quotes.feed import Quote
from apps.marketdata.engine.quotes.latest import LatestQuotes
from apps.marketdata.engine.quotes.minutes import MinuteBar, MinuteBars

#: A feed of rubbish must not fill the memory with names.
MOST_SYMBOLS = 20_000


class Intake:
    """The state of one feed; ``known`` and ``bars`` are what an earlier run of it has stored.

    With them a source that says again what it said before a restart is coalesced like any other.
    """

    def __init__(self, known: Iterable[Quote] = (), bars: Iterable[MinuteBar] = ()) -> None:
        stored = list(known)
        self.latest = LatestQuotes()
        self.latest.put(stored)
        self.latest.counts.kept = 0
        self.minutes = MinuteBars(stored, bars)
        self.rejected: Counter[str] = Counter()
        self._symbols = {quote.symbol for quote in stored}

    def take(self, batch: Iterable[Quote]) -> list[Quote]:
        """Return what is new and right in ``batch``, in order; the rest is counted."""
        return self.latest.put(quote for quote in batch if self._fits(quote))

    def _fits(self, quote: Quote) -> bool:
        reason = trouble(quote)
        if not reason and quote.symbol not in self._symbols:
            if len(self._symbols) >= MOST_SYMBOLS:
                reason = "too_many_symbols"
            else:
                self._symbols.add(quote.symbol)
        if reason:
            self.rejected[reason] += 1
        return not reason
