"""Quotes of QMT (``xtquant.xtdata``): the full tick as it comes, and a feed over a small port.

``xtquant`` runs on Windows beside miniQMT only. The port is what of it is used, so that the same feed runs over
the real module there and over a double in tests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

from apps.marketdata.engine.quotes.feed import Quote
from apps.marketdata.engine.quotes.mapping import number, required, side
from apps.marketdata.engine.symbols import canonical
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Shares in one lot: QMT counts volume and the book of stocks and funds in lots.
LOT = 100.0
#: Exchange time is UTC+8 the year round.
CHINA = 8 * 3600
DAY = 86_400
#: Ticks that may wait for us; the source's thread never waits, what is beyond is dropped and counted.
WAITING = 10_000
NO_SUBSCRIPTION = N_("QMT refused the subscription. Is miniQMT running and logged in?")
NO_XTQUANT = N_("xtquant is not installed here. The feed runs on the Windows machine where miniQMT runs.")
Ticks = Mapping[str, Mapping[str, Any]]


class TickSource(Protocol):
    """What is used of ``xtquant.xtdata``."""

    def get_full_tick(self, code_list: list[str]) -> Ticks: ...

    def subscribe_whole_quote(self, code_list: list[str], callback: Callable[[Ticks], None]) -> int: ...

    def unsubscribe_quote(self, seq: int) -> None: ...


def xtquant_source() -> TickSource:
    """Return the real source; raises ``Refusal`` ``xtquant_missing``."""
    try:
        from xtquant import xtdata
    except ImportError as error:
        raise Refusal("xtquant_missing", NO_XTQUANT, status=409) from error
    source: TickSource = xtdata
    return source


def qmt_code(symbol: str) -> str:
    """Return QMT's name of an instrument: SH600000 → 600000.SH."""
    name = canonical(symbol)
    return f"{name[2:]}.{name[:2]}" if name[:2] in {"SH", "SZ", "BJ"} and name[2:].isdecimal() else name


def parse_tick(code: str, tick: Mapping[str, Any], received: float) -> Quote:
    """Return the quote in one full tick. Raises ``KeyError``, ``TypeError`` or ``ValueError`` where it is none.

    ``time`` is in ms; ``volume`` in lots, unless ``pvolume`` gives shares; ``askVol`` and ``bidVol`` in lots; levels
    beyond the book have price 0. Before the first trade ``lastPrice`` is 0, which the checks refuse.
    """
    moment = required(tick["time"]) / 1000.0
    shares, lots = number(tick.get("pvolume")), number(tick.get("volume"))
    volume = shares if shares else None if lots is None else lots * LOT
    before = number(tick.get("lastClose"))
    return Quote(
        symbol=canonical(code), last=required(tick["lastPrice"]), time=moment, received=received,
        bids=side(tick.get("bidPrice"), tick.get("bidVol"), LOT),
        asks=side(tick.get("askPrice"), tick.get("askVol"), LOT),
        volume=volume, amount=number(tick.get("amount")), prev_close=before or None,
        day=int((moment + CHINA) // DAY),
    )  # fmt: skip


def parse_full_tick(ticks: Ticks, received: float, rejected: dict[str, int]) -> list[Quote]:
    """Return the quotes of a callback's document, ``{"600000.SH": {…}, …}``; what is none is counted."""
    found = []
    for code, tick in ticks.items():
        try:
            quote = parse_tick(code, tick, received)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, IndexError):
            rejected["not_understood"] = rejected.get("not_understood", 0) + 1
        else:
            found.append(quote)
    return found


class QmtFeed:
    """Quotes of QMT: the state of each instrument first, then what the source calls back with."""

    position: int | None = None

    def __init__(self, source: TickSource, *, clock: Callable[[], float] = time.time) -> None:
        self.source, self._clock = source, clock
        self.connected, self.reconnects = False, 0
        self.rejected: dict[str, int] = {}

    async def batches(self, symbols: Sequence[str]) -> AsyncIterator[list[Quote]]:
        """Yield for ever; none: all stocks of both exchanges. Raises ``Refusal`` ``qmt_subscription``."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Ticks] = asyncio.Queue(WAITING)
        codes = [qmt_code(symbol) for symbol in symbols] or ["SH", "SZ"]

        def put(ticks: Ticks) -> None:
            if queue.full():
                self.rejected["dropped"] = self.rejected.get("dropped", 0) + len(ticks)
            else:
                queue.put_nowait(ticks)

        number = await asyncio.to_thread(
            self.source.subscribe_whole_quote, codes, lambda ticks: _hand_over(loop, put, ticks)
        )
        if number <= 0:
            raise Refusal("qmt_subscription", NO_SUBSCRIPTION, status=409)
        self.connected = True
        try:
            yield parse_full_tick(
                await asyncio.to_thread(self.source.get_full_tick, codes), self._clock(), self.rejected
            )
            while True:
                yield parse_full_tick(await queue.get(), self._clock(), self.rejected)
        finally:
            self.connected = False
            await asyncio.to_thread(self.source.unsubscribe_quote, number)


def _hand_over(loop: asyncio.AbstractEventLoop, put: Callable[[Ticks], None], ticks: Ticks) -> None:
    """Give ticks from the source's thread to the loop; one that has ended takes nothing any more."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(put, ticks)
