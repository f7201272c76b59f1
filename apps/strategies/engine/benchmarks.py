"""A benchmark from another dataset: an index or a fund that the strategy itself does not trade.

It is a yardstick, not an order: bought with all money at the first open after the first decision, the
commission included, in parts of a share where need be, and held. No market rule holds it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]


@dataclass(frozen=True)
class Benchmark:
    """One ``symbol`` of ``panel`` (prices that compare over time), or all of them in equal parts.

    ``dataset`` is what a report calls the data, such as ``csi300-index@1``.
    """

    panel: BarPanel
    dataset: str
    symbol: str = ""

    @property
    def rows(self) -> list[int]:
        return [self.panel.index_of(self.symbol)] if self.symbol else list(range(len(self.panel.symbols)))

    def equity(self, times: Times, frequency: str, capital: float, rate: float) -> Floats:
        """Return the equity (T,) at the bars ``times`` of a run whose first decision falls at ``times[0]``.

        Refuses a benchmark that cannot be bought within the run.
        """
        filled = self._fills(times, frequency)
        if not any(at is not None for at in filled):
            days = self.panel.times.astype("datetime64[D]")
            raise Refusal(
                "benchmark_no_overlap",
                N_(
                    "The benchmark %(dataset)s has bars from %(first)s to %(last)s, the run goes from %(start)s to "
                    "%(end)s: they share no days on which it could be bought."
                ),
                field="benchmark_dataset", dataset=self.dataset,
                first=str(days[0]) if len(days) else "–", last=str(days[-1]) if len(days) else "–",
                start=str(times[0])[:10], end=str(times[-1])[:10],
            )  # fmt: skip
        own, part = np.zeros(len(self.panel.times)), capital / len(filled)
        for row, at in zip(self.rows, filled, strict=True):
            if at is None:
                own += part
                continue
            units = part / (self.panel.open[row, at] * (1.0 + rate))
            own[:at] += part
            own[at:] += units * _known(np.asarray(self.panel.close[row, at:]), self.panel.open[row, at])
        seen = self._seen(times, frequency)
        return np.where(seen >= 0, own[np.maximum(seen, 0)], capital)

    def document(self, times: Times, frequency: str) -> dict[str, Any]:
        """Return what a report says of it: name, data and its hash, and how many of the run's bars it covers."""
        days = self.panel.times.astype("datetime64[D]")
        inside = (self._keys(times, frequency) <= days[-1]) & (self._seen(times, frequency) >= 0)
        symbol = self.symbol or (self.panel.symbols[0] if len(self.panel.symbols) == 1 else "")
        return {
            "symbol": self.symbol, "name": f"{symbol} ({self.dataset})" if symbol else self.dataset,
            "dataset": self.dataset, "content_hash": self.panel.content_hash, "currency": self.panel.currency,
            "symbols": len(self.rows), "start": str(days[0]), "end": str(days[-1]),
            "covered": int(inside.sum()), "bars": len(times),
        }  # fmt: skip

    def _by_time(self, frequency: str) -> bool:
        """Two sets of intraday bars are laid beside each other by time, all others by date."""
        return frequency != "1d" and self.panel.frequency != "1d"

    def _keys(self, times: Times, frequency: str) -> NDArray[np.datetime64]:
        """Return the newest day (T,) whose benchmark bar counts at each bar of the run.

        Only the last bar of a day has seen that day's close.
        """
        days = times.astype("datetime64[D]")
        if frequency == "1d" or self._by_time(frequency):
            return days
        closing = np.r_[days[1:] != days[:-1], True]
        return np.where(closing, days, days - np.timedelta64(1, "D"))

    def _seen(self, times: Times, frequency: str) -> NDArray[np.int64]:
        """Return the newest own bar at each bar of the run, (T,); -1 before the first."""
        if self._by_time(frequency):
            return np.searchsorted(self.panel.times, times, "right") - 1
        own = self.panel.times.astype("datetime64[D]")
        return np.searchsorted(own, self._keys(times, frequency), "right") - 1

    def _fills(self, times: Times, frequency: str) -> list[int | None]:
        """Return the own bar at whose open each instrument is bought; None where there is none within the run."""
        if self._by_time(frequency):
            start = int(np.searchsorted(self.panel.times, times[0], "right"))
        else:
            own = self.panel.times.astype("datetime64[D]")
            start = int(np.searchsorted(own, times[:1].astype("datetime64[D]")[0], "right"))
        stop = int(self._seen(times, frequency)[-1]) + 1
        found: list[int | None] = []
        for row in self.rows:
            priced = np.asarray(self.panel.open[row, start:stop]) > 0
            found.append(start + int(np.argmax(priced)) if priced.any() else None)
        return found


def _known(close: Floats, bought: float) -> Floats:
    """Return the newest close at each bar; until there is one, what it was bought at."""
    at = np.maximum.accumulate(np.where(close > 0, np.arange(len(close)), -1))
    return np.where(at >= 0, close[np.maximum(at, 0)], bought)
