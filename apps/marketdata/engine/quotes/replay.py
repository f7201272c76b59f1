"""A feed that replays stored bars: the embedded default, and the source of tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.quotes.feed import Quote
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

SLOWEST, FASTEST = 1.0, 1000.0
#: The pause between two bars is never longer: nights and weekends are not waited for.
LONGEST_PAUSE = 60.0
BAD_SPEED = N_("The speed is %(speed)s; use a number from 1 to 1000.")


class ReplayFeed:
    """Gives each bar of ``panel`` at its close as a quote, ``speed`` times faster than it happened.

    A bar has no book, so bids and asks are empty. The source's time is now, so that ages mean what
    they do with a live feed; volume and amount add up over the day. ``sleep`` and ``clock`` are for tests.
    """

    def __init__(
        self,
        panel: BarPanel,
        speed: float = 60.0,
        *,
        start: np.datetime64 | None = None,
        sleep: Callable[[float], object] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not SLOWEST <= speed <= FASTEST:
            raise Refusal("bad_speed", BAD_SPEED, field="speed", speed=f"{speed:g}")
        self.panel, self.speed, self._sleep, self._clock = panel, speed, sleep, clock
        self._first = 0 if start is None else int(np.searchsorted(panel.times, start))

    async def batches(self, symbols: Sequence[str]) -> AsyncIterator[list[Quote]]:
        """Yield the quotes of one bar at a time; raises ``Refusal`` ``unknown_symbol``."""
        rows = [self.panel.index_of(symbol) for symbol in symbols]
        times = self.panel.times
        day_volume = np.zeros(len(rows))
        for at in range(self._first, len(times)):
            if at > self._first:
                await self._sleep(self._pause(at))  # type: ignore[misc]
                if times[at].astype("datetime64[D]") != times[at - 1].astype("datetime64[D]"):
                    day_volume[:] = 0.0
            yield self._quotes(symbols, rows, at, day_volume)

    def _pause(self, at: int) -> float:
        seconds = float((self.panel.times[at] - self.panel.times[at - 1]) / np.timedelta64(1, "s"))
        return min(seconds, LONGEST_PAUSE) / self.speed

    def _quotes(self, symbols: Sequence[str], rows: list[int], at: int, day_volume: np.ndarray) -> list[Quote]:  # type: ignore[type-arg]
        now = self._clock()
        volumes = self.panel.fields.get("volume")
        found = []
        for i, (symbol, row) in enumerate(zip(symbols, rows, strict=True)):
            last = float(self.panel.fields["close"][row, at])
            if not np.isfinite(last):  # suspended: silence, as a live feed would have it
                continue
            volume = None
            if volumes is not None:
                day_volume[i] += np.nan_to_num(volumes[row, at])
                volume = float(day_volume[i])
            found.append(Quote(symbol, last, now, now, volume=volume))
        return found
