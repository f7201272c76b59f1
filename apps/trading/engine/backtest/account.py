"""The account of the third door: cash, holdings and the ledger of one run, and what they were worth.

Between two rows of the ledger cash and holdings stand still, so that the equity of all bars is
computed once at the end; an ``on_bar`` that asks before is answered from the same numbers.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.backtest.bars import Bars
from apps.trading.engine.ledger import LEDGER

Row = tuple[int, int, int, int, float, float, float]


class Prices:
    """The prices of one instrument as lists, each made when it is first read."""

    def __init__(self, bars: Bars, volume: NDArray[np.float64] | None = None) -> None:
        self.bars, self._volume = bars, volume

    @cached_property
    def open(self) -> list[float]:
        return _listed(self.bars.open)

    @cached_property
    def high(self) -> list[float]:
        return _listed(self.bars.high)

    @cached_property
    def low(self) -> list[float]:
        return _listed(self.bars.low)

    @cached_property
    def close(self) -> list[float]:
        return _listed(self.bars.close)

    @cached_property
    def volume(self) -> list[float] | None:
        return None if self._volume is None else _listed(self._volume)

    @cached_property
    def marks(self) -> NDArray[np.float64]:
        """The newest close of each bar (T,), 0 before the first."""
        close = self.bars.close
        known = close > 0
        if known.all():
            return close
        newest = np.maximum.accumulate(np.where(known, np.arange(len(close)), -1))
        return np.where(newest >= 0, close[np.maximum(newest, 0)], 0.0)


class Account:
    """Money and shares of a run over several instruments from bar ``first`` on."""

    def __init__(self, prices: list[Prices], capital: float) -> None:
        self.prices, self.capital, self.cash = prices, capital, capital
        self.held, self.bought = [0.0] * len(prices), [0.0] * len(prices)
        self.rows: list[Row] = []
        self._cash_after: list[float] = []
        self._held_after: list[float] = []

    def write(self, row: Row) -> None:
        """Write a row of the ledger, after cash and holding were changed by it."""
        self.rows.append(row)
        self._cash_after.append(self.cash)
        self._held_after.append(self.held[row[1]])

    def value(self, t: int) -> float:
        """Return what the account is worth at the close of bar ``t``; a missing close counts as the last."""
        value = self.cash
        for held, prices in zip(self.held, self.prices, strict=True):
            if held:
                value += held * prices.marks.item(t)
        return value

    def ledger(self) -> NDArray[np.void]:
        return np.array(self.rows, LEDGER)

    def equity(self, first: int) -> NDArray[np.float64]:
        """Return the worth at each close from ``first`` on, (T,), added up as ``value`` does."""
        bars = np.array([row[0] for row in self.rows], np.int64)
        symbols = np.array([row[1] for row in self.rows], np.int64)
        end = len(self.prices[0].bars) if self.prices else first
        value = _standing(bars, np.array(self._cash_after), self.capital, first, end)
        held = np.array(self._held_after)
        for s in np.unique(symbols).tolist():
            mine = symbols == s
            value += _standing(bars[mine], held[mine], 0.0, first, end) * self.prices[s].marks[first:]
        return value


def _listed(values: NDArray[np.float64]) -> list[float]:
    found: list[float] = values.tolist()
    return found


def _standing(
    bars: NDArray[np.int64], after: NDArray[np.float64], before: float, first: int, end: int
) -> NDArray[np.float64]:
    """Return over the bars [first, end) the last of the values set at ``bars``; ``before`` until the first."""
    edges = np.concatenate([[first], bars, [end]])
    return np.repeat(np.concatenate([[before], after]), np.diff(edges))
