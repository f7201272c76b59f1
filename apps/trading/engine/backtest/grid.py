"""The moving-average rule over a grid of windows: the same kernel, called in a compiled loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.compiled import compiled
from apps.trading.engine.backtest.kernel import simulate
from apps.trading.engine.backtest.options import REFUSALS
from apps.trading.engine.backtest.rules import sma_signals


@compiled
def sweep_grid(
    fasts: NDArray[np.int64], slows: NDArray[np.int64],
    unit: float,
    open_: NDArray[np.float64], high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64],
    first: int, cash: float,
    fixed: bool, amount: float, allow_short: bool, reduce: bool,
    stop_loss: float, take_profit: float, armed_next: bool,
    rate: float, per_share: float, minimum: float, sell_tax: float, slippage: float, lot: float,
    ledger: NDArray[np.void], final: NDArray[np.float64], drawdown: NDArray[np.float64],
    sharpe: NDArray[np.float64], fills: NDArray[np.int64], rules: Any, room: Any,
) -> None:  # fmt: skip
    """Fill the (F, S) results of every pair fast < slow; others stay as they are.

    ``sharpe`` is by bar, not annualised; NaN where returns do not vary.
    """
    bars = close.shape[0] - first
    equity = np.empty(bars)
    signals = np.empty(close.shape[0], dtype=np.int8)
    refused = np.zeros(len(REFUSALS), dtype=np.int64)
    for i in range(fasts.shape[0]):
        for j in range(slows.shape[0]):
            if fasts[i] >= slows[j]:
                continue
            sma_signals(close, unit, False, fasts[i], slows[j], signals)
            fills[i, j] = simulate(
                signals[first:], open_[first:], high[first:], low[first:], close[first:],
                cash, fixed, amount, allow_short, reduce, stop_loss, take_profit, armed_next,
                rate, per_share, minimum, sell_tax, slippage, lot, ledger, refused, equity, rules, room,
            )  # fmt: skip
            final[i, j] = equity[bars - 1]
            drawdown[i, j], sharpe[i, j] = curve_figures(equity, cash)


@compiled
def curve_figures(equity: NDArray[np.float64], capital: float) -> tuple[float, float]:
    """Return the largest drawdown (negative) and the Sharpe ratio by bar of one curve."""
    peak, worst = capital, 0.0
    total, squares, count = 0.0, 0.0, 0
    for t in range(equity.shape[0]):
        value = equity[t]
        peak = max(peak, value)
        worst = min(worst, value / peak - 1.0)
        if t > 0:
            change = value / equity[t - 1] - 1.0
            total += change
            squares += change * change
            count += 1
    if count < 2:
        return worst, math.nan
    mean = total / count
    variance = (squares - count * mean * mean) / (count - 1)
    return worst, mean / math.sqrt(variance) if variance > 1e-20 else math.nan
