"""Bars as the doors of the backtester take them; kernels are loaded where something is computed of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bars:
    """One instrument: (T,) arrays of prices. A bar without an open and a close above zero did not trade."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats

    @classmethod
    def of(cls, open_: Any, close: Any, high: Any = None, low: Any = None) -> Bars:
        """Build bars; without highs and lows a bar spans its open and close."""
        first, last = np.ascontiguousarray(open_, np.float64), np.ascontiguousarray(close, np.float64)
        top = np.maximum(first, last) if high is None else np.ascontiguousarray(high, np.float64)
        bottom = np.minimum(first, last) if low is None else np.ascontiguousarray(low, np.float64)
        return cls(first, top, bottom, last)

    @cached_property
    def listed(self) -> Listed:
        """The bars that traded; looked for once, however often they are run over."""
        return Listed.of(self)

    @cached_property
    def units(self) -> Floats:
        """The price grids to try (``rules.price_units``); bars that did not trade must be gone."""
        from apps.trading.engine.backtest import rules

        return rules.price_units(self.close)

    def since(self, first: int) -> Bars:
        return Bars(self.open[first:], self.high[first:], self.low[first:], self.close[first:])

    def __len__(self) -> int:
        return len(self.close)


@dataclass(frozen=True)
class Listed:
    """The bars that traded, and where they lie among all."""

    bars: Bars
    index: NDArray[np.int64] | None
    length: int

    @classmethod
    def of(cls, bars: Bars) -> Listed:
        from apps.trading.engine.backtest import rules

        if rules.all_traded(bars.open) and rules.all_traded(bars.close):
            return cls(bars, None, len(bars))
        index = np.flatnonzero(np.all([(p > 0) & np.isfinite(p) for p in (bars.open, bars.close)], axis=0))
        return cls(Bars(*(getattr(bars, f)[index] for f in ("open", "high", "low", "close"))), index, len(bars))

    def first(self, first: int) -> int:
        """Return the number of the first bar that traded at or after ``first``."""
        return first if self.index is None else int(np.searchsorted(self.index, first))

    def spread(self, values: Floats, first: int, before: float) -> Floats:
        """Return series over traded bars as one over all bars from ``first``; gaps keep the last value."""
        if self.index is None:
            return values
        positions = np.searchsorted(self.index[self.first(first) :], np.arange(first, self.length), side="right")
        return np.concatenate([[before], values])[positions]
