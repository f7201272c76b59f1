"""Quotes behind a cursor, asked for again and again: an answer that was lost is simply asked for again."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

from . import endpoints as ask
from .errors import Problem, UnexpectedAnswer, Unreachable
from .models import QuotePage, Realtime
from .retry import PASSING, BackOff
from .wire import log

if TYPE_CHECKING:
    from .aio import AsyncClient
    from .sync import Client

Symbols = str | Sequence[str]
LIMIT = 10_000


def together(parts: Sequence[Realtime]) -> Realtime:
    """Return what several batches answered as one answer, in their order."""
    quotes = tuple(quote for part in parts for quote in part.quotes)
    return Realtime(quotes, tuple(symbol for part in parts for symbol in part.missing))


class _Reader:
    """The cursor, and how long to wait before the next question."""

    def __init__(self, after: int | None, symbols: Symbols, feed: str, pause: float) -> None:
        if pause < 0:
            raise ValueError("pause is a number of seconds")
        self.after, self.symbols, self.feed, self.pause = after, symbols, feed, pause
        self.failures, self.back_off = 0, BackOff()

    def question(self) -> ask.Call[QuotePage]:
        return ask.quotes_after(self.after, self.symbols, LIMIT, self.feed)

    def got(self, page: QuotePage) -> float:
        """Return the pause after a page."""
        self.after, self.failures = page.next, 0
        return 0.0 if page.more else self.pause

    def failed(self, error: Unreachable | Problem | UnexpectedAnswer) -> float:
        """Return the pause after a failure that may pass; raises one that will not."""
        if isinstance(error, Problem) and error.status not in PASSING:
            raise error
        log.info("quotes: %s", error)
        self.failures += 1
        pause = self.back_off.wait(self.failures, random.random())
        asked = error.retry_after if isinstance(error, Problem) else None
        return max(pause, asked or 0.0)


def follow(client: Client, after: int | None, symbols: Symbols, feed: str, pause: float) -> Iterator[QuotePage]:
    """Yield pages that say something; the first question is asked at once."""
    reader = _Reader(after, symbols, feed, pause)
    while True:
        try:
            page = client.run(reader.question())
        except (Unreachable, Problem, UnexpectedAnswer) as error:
            client._sleep(reader.failed(error))
            continue
        wait = reader.got(page)
        if page.quotes or page.lost or page.reset:
            yield page
        client._sleep(wait)


async def follow_async(
    client: AsyncClient, after: int | None, symbols: Symbols, feed: str, pause: float
) -> AsyncIterator[QuotePage]:
    """As ``follow``."""
    reader = _Reader(after, symbols, feed, pause)
    while True:
        try:
            page = await client.run(reader.question())
        except (Unreachable, Problem, UnexpectedAnswer) as error:
            await client._sleep(reader.failed(error))
            continue
        wait = reader.got(page)
        if page.quotes or page.lost or page.reset:
            yield page
        await client._sleep(wait)
