"""A feed that replays stored bars: the embedded default, and the source of tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.quotes.feed import Quote, Side
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

SLOWEST, FASTEST = 1.0, 1000.0
#: The pause between two bars is never longer: nights and weekends are not waited for.
LONGEST_PAUSE = 60.0
BAD_SPEED = N_("The speed is %(speed)s; use a number from 1 to 1000.")


class ReplayFeed:
    """Gives each bar of ``panel`` at its close as a quote, ``speed`` times faster than it happened.

    The source's time is now, so that ages mean what they do with a live feed; ``day`` is the bar's. A bar has no
    book beyond the best bid and ask where the dataset has them. Volume and amount add up over the day.

    ``after`` is the ``position`` of an earlier replay: this one goes on behind it. With ``loop`` the first bar
    follows the last, and positions go on counting. ``sleep`` and ``clock`` are for tests.
    """

    connected = True
    reconnects = 0

    def __init__(
        self,
        panel: BarPanel,
        speed: float = 60.0,
        *,
        start: np.datetime64 | None = None,
        after: int | None = None,
        loop: bool = False,
        sleep: Callable[[float], object] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not SLOWEST <= speed <= FASTEST:
            raise Refusal("bad_speed", BAD_SPEED, field="speed", speed=f"{speed:g}")
        self.panel, self.speed, self.loop, self._sleep, self._clock = panel, speed, loop, sleep, clock
        self.rejected: dict[str, int] = {}
        first = 0 if start is None else int(np.searchsorted(panel.times, start))
        self.position: int | None = None if after is None else after
        self._next = first if after is None else after + 1
        self._days = panel.times.astype("datetime64[D]").astype(np.int64)

    async def batches(self, symbols: Sequence[str]) -> AsyncIterator[list[Quote]]:
        """Yield the quotes of one bar at a time; raises ``Refusal`` ``unknown_symbol``."""
        names = list(symbols) or list(self.panel.symbols)
        rows = [self.panel.index_of(symbol) for symbol in names]
        totals = self._so_far(rows, self._next)
        closes = np.full(len(rows), np.nan)
        begun = False
        while self.loop or self._next < len(self.panel.times):
            position, bar = self._next, self._next % len(self.panel.times)
            if begun or self.position is not None:
                await self._sleep(self._pause(bar))  # type: ignore[misc]
            if bar == 0 or self._days[bar] != self._days[bar - 1]:
                totals[:] = 0.0
                closes[:] = self._closes(rows, bar)
            elif not begun:
                first = int(np.searchsorted(self._days, self._days[bar]))
                closes[:] = self._closes(rows, first)
            begun = True
            batch = self._quotes(names, rows, bar, totals, closes)
            self.position, self._next = position, position + 1
            yield batch

    def _pause(self, bar: int) -> float:
        if bar == 0:
            return LONGEST_PAUSE / self.speed
        seconds = float((self.panel.times[bar] - self.panel.times[bar - 1]) / np.timedelta64(1, "s"))
        return min(seconds, LONGEST_PAUSE) / self.speed

    def _so_far(self, rows: list[int], position: int) -> NDArray[np.float64]:
        """Return (2, R): volume and amount of the day before the bar at ``position``, for a replay that goes on."""
        totals = np.zeros((2, len(rows)))
        bar = position % len(self.panel.times)
        first = int(np.searchsorted(self._days, self._days[bar])) if position else 0
        for at, name in enumerate(("volume", "amount")):
            if name in self.panel.fields and bar > first:
                totals[at] = np.nansum(self.panel.fields[name][rows, first:bar], axis=1)
        return totals

    def _closes(self, rows: list[int], bar: int) -> NDArray[np.float64]:
        """Return (R,) the last close known before ``bar``, at most ten bars back; NaN where there is none."""
        before = np.asarray(self.panel.fields["close"][rows, max(0, bar - 10) : bar], dtype=np.float64)
        found = np.full(len(rows), np.nan)
        for column in range(before.shape[1]):
            values = before[:, column]
            found = np.where(np.isfinite(values), values, found)
        return found

    def _quotes(
        self,
        symbols: Sequence[str],
        rows: list[int],
        bar: int,
        totals: NDArray[np.float64],
        closes: NDArray[np.float64],
    ) -> list[Quote]:
        now, day = self._clock(), int(self._days[bar])
        fields = self.panel.fields
        lasts = np.asarray(fields["close"][rows, bar], dtype=np.float64)
        known = [name in fields for name in ("volume", "amount")]
        for at, name in enumerate(("volume", "amount")):
            if known[at]:
                totals[at] += np.nan_to_num(fields[name][rows, bar])
        bids, asks = self._best(rows, bar, "bid"), self._best(rows, bar, "ask")
        found = []
        for i, symbol in enumerate(symbols):
            if not np.isfinite(lasts[i]):  # suspended: silence, as a live feed would have it
                continue
            found.append(
                Quote(
                    symbol,
                    float(lasts[i]),
                    now,
                    now,
                    bids[i],
                    asks[i],
                    volume=float(totals[0, i]) if known[0] else None,
                    amount=float(totals[1, i]) if known[1] else None,
                    prev_close=float(closes[i]) if np.isfinite(closes[i]) else None,
                    day=day,
                )
            )
        return found

    def _best(self, rows: list[int], bar: int, name: str) -> list[Side]:
        fields = self.panel.fields
        if name not in fields or f"{name}_size" not in fields:
            return [()] * len(rows)
        pairs = zip(fields[name][rows, bar], fields[f"{name}_size"][rows, bar], strict=True)
        return [
            ((float(price), float(size)),) if np.isfinite(price) and np.isfinite(size) else () for price, size in pairs
        ]
