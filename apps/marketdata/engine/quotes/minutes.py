"""Minute bars out of quotes: what is kept when the quotes themselves are gone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from apps.marketdata.engine.quotes.feed import Quote

MINUTE = 60


@dataclass(slots=True)
class MinuteBar:
    """One symbol in the minute that ends at ``minute`` (s since 1970); ``volume`` and ``amount`` traded in it.

    They are None until two quotes tell a difference. ``count`` is the number of quotes.
    """

    symbol: str
    minute: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None = None
    amount: float | None = None
    count: int = 0


class MinuteBars:
    """Keeps the open minute of each symbol; quotes of a symbol must come in the order of time."""

    def __init__(self, known: Iterable[Quote] = (), bars: Iterable[MinuteBar] = ()) -> None:
        self._bars = {bar.symbol: bar for bar in bars}
        #: The last quote of each symbol, with the day's totals to take the next ones' difference from.
        self._before = {quote.symbol: quote for quote in known}

    def take(self, quotes: Iterable[Quote]) -> list[MinuteBar]:
        """Add quotes and return every bar that changed, those that ended in between among them."""
        changed: dict[tuple[str, int], MinuteBar] = {}
        for quote in quotes:
            minute = math.ceil(quote.time / MINUTE) * MINUTE
            bar = self._bars.get(quote.symbol)
            if bar is None or bar.minute < minute:
                bar = MinuteBar(quote.symbol, minute, quote.last, quote.last, quote.last, quote.last)
                self._bars[quote.symbol] = bar
            self._add(bar, quote)
            changed[quote.symbol, bar.minute] = bar
        return list(changed.values())

    def _add(self, bar: MinuteBar, quote: Quote) -> None:
        last = bar.close = quote.last
        if last > bar.high:
            bar.high = last
        elif last < bar.low:
            bar.low = last
        bar.count += 1
        before = self._before.get(quote.symbol)
        if before is not None:
            anew = quote.day is not None and before.day is not None and quote.day != before.day
            bar.volume = _more(bar.volume, before.volume, quote.volume, anew=anew)
            bar.amount = _more(bar.amount, before.amount, quote.amount, anew=anew)
        self._before[quote.symbol] = quote


def _more(so_far: float | None, before: float | None, now: float | None, *, anew: bool) -> float | None:
    """Add what was traded between two totals of the day; a total that fell began anew."""
    if now is None or before is None:
        return so_far
    traded = now if anew or now < before else now - before
    return (so_far or 0.0) + traded
