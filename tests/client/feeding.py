"""A feed's process, as far as storing goes: writes quotes of two symbols in the server's installation."""

from __future__ import annotations

import time

from apps.marketdata.engine.quotes import Quote
from apps.marketdata.models import Feed
from apps.marketdata.services.feeds import feed_claim
from apps.marketdata.services.quotes import Progress, QuoteWriter

writers: dict[str, QuoteWriter] = {}


def begin(name: str) -> None:
    writers[name] = QuoteWriter(feed_claim(Feed.objects.create(name=name, kind="websocket", wanted=True)))


def write(name: str, first: int, last: int) -> None:
    """Store quotes at the prices ``first`` … ``last`` of AAA and BBB, each later than the one before."""
    for price in range(first, last + 1):
        now = time.time()
        sides = {"bids": ((price - 0.1, 100.0),), "asks": ((price + 0.1, 100.0),)}
        writers[name].take([[Quote(symbol, float(price), now, now, **sides) for symbol in ("AAA", "BBB")]])
        writers[name].store(Progress(None))
