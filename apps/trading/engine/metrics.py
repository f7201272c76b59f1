"""Every figure of a report, one definition each, in plain numpy.

Returns are simple returns by bar, ``r[t] = equity[t] / equity[t-1] - 1``. What is undefined
(no variation, no loss, too few bars) is None, never NaN or infinity. Words and units of each
figure are in ``glossary``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Metric = float | None

#: Variation below this is rounding noise of a constant series.
NOISE = 1e-14


def returns_of(equity: Floats, start: float | None = None) -> Floats:
    """Return the returns of a curve (T,): T - 1 of them, or T counted from the capital ``start``."""
    curve = np.asarray(equity, np.float64)
    if start is not None:
        curve = np.concatenate([[start], curve])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(curve[1:] / curve[:-1] - 1.0, np.float64)


def _number(value: float) -> Metric:
    return float(value) if math.isfinite(value) else None


def _power(base: float, exponent: float) -> float:
    """Return ``base ** exponent``, infinity where that is beyond a double."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.float64(base) ** exponent)


def _std(values: Floats) -> Metric:
    """Return the sample standard deviation (n - 1); None under two values or without variation."""
    if len(values) < 2:
        return None
    deviation = float(np.std(values, ddof=1))
    return deviation if deviation > NOISE else None


def total_return(returns: Floats) -> Metric:
    return _number(float(np.prod(1.0 + returns)) - 1.0) if len(returns) else None


def cagr(returns: Floats, periods: float = 252.0) -> Metric:
    growth = float(np.prod(1.0 + returns))
    return _number(_power(growth, periods / len(returns)) - 1.0) if len(returns) and growth > 0 else None


def mean_return(returns: Floats) -> Metric:
    return _number(float(np.mean(returns))) if len(returns) else None


def ann_vol(returns: Floats, periods: float = 252.0) -> Metric:
    return float(np.std(returns, ddof=1)) * math.sqrt(periods) if len(returns) > 1 else None


def sharpe(returns: Floats, periods: float = 252.0, risk_free: float = 0.0) -> Metric:
    """``risk_free`` is a rate a year; the excess by bar is ``returns - risk_free / periods``."""
    excess = np.asarray(returns) - risk_free / periods
    deviation = _std(excess)
    return None if deviation is None else _number(float(np.mean(excess)) / deviation * math.sqrt(periods))


def downside_deviation(returns: Floats, periods: float = 252.0) -> Metric:
    if not len(returns):
        return None
    return math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2))) * math.sqrt(periods)


def sortino(returns: Floats, periods: float = 252.0) -> Metric:
    down = downside_deviation(returns, periods)
    if down is None or down <= NOISE:
        return None
    return _number(float(np.mean(returns)) * periods / down)


def drawdown(returns: Floats) -> Floats:
    """Return the curve of the fall from the highest point so far, (T,), zero or negative; it starts at 1."""
    curve = np.cumprod(1.0 + np.asarray(returns, np.float64))
    peak = np.maximum(np.maximum.accumulate(curve), 1.0) if len(curve) else curve
    return np.asarray(curve / peak - 1.0, np.float64)


def max_drawdown(returns: Floats) -> Metric:
    return _number(float(drawdown(returns).min())) if len(returns) else None


def max_drawdown_duration(returns: Floats) -> Metric:
    """Return the longest run of bars below an earlier high."""
    longest = run = 0
    for under in (drawdown(returns) < 0.0).tolist():
        run = run + 1 if under else 0
        longest = max(longest, run)
    return float(longest) if len(returns) else None


def calmar(returns: Floats, periods: float = 252.0) -> Metric:
    growth, worst = cagr(returns, periods), max_drawdown(returns)
    return None if growth is None or not worst else _number(growth / abs(worst))


def var_95(returns: Floats) -> Metric:
    """Return the 5 % quantile of the returns (negative is a loss)."""
    return _number(float(np.quantile(returns, 0.05))) if len(returns) else None


def cvar_95(returns: Floats) -> Metric:
    limit = var_95(returns)
    return None if limit is None else _number(float(np.mean(returns[np.asarray(returns) <= limit])))


def beta(returns: Floats, benchmark: Floats) -> Metric:
    if len(returns) < 2 or _std(benchmark) is None:
        return None
    return _number(float(np.cov(returns, benchmark, ddof=1)[0, 1] / np.var(benchmark, ddof=1)))


def alpha(returns: Floats, benchmark: Floats, periods: float = 252.0) -> Metric:
    slope = beta(returns, benchmark)
    return None if slope is None else _number(float(np.mean(returns) - slope * np.mean(benchmark)) * periods)


def alpha_compound(returns: Floats, benchmark: Floats, periods: float = 252.0) -> Metric:
    by_year = alpha(returns, benchmark, periods)
    return None if by_year is None else _number(_power(1.0 + by_year / periods, periods) - 1.0)


def information_ratio(returns: Floats, benchmark: Floats, periods: float = 252.0) -> Metric:
    return sharpe(np.asarray(returns) - np.asarray(benchmark), periods)


def correlation(returns: Floats, benchmark: Floats) -> Metric:
    if _std(returns) is None or _std(benchmark) is None:
        return None
    return _number(float(np.corrcoef(returns, benchmark)[0, 1]))


def win_rate(returns: Floats) -> Metric:
    """Return the share of bars with a gain among those that moved."""
    moved = np.count_nonzero(returns)
    return float(np.count_nonzero(np.asarray(returns) > 0.0) / moved) if moved else None


def profit_factor(returns: Floats) -> Metric:
    """Return the sum of gains by the sum of losses; None without a loss."""
    values = np.asarray(returns, np.float64)
    lost = -float(values[values < 0.0].sum())
    return _number(float(values[values > 0.0].sum()) / lost) if lost > 0.0 else None


def omega(returns: Floats, threshold: float = 0.0) -> Metric:
    return profit_factor(np.asarray(returns, np.float64) - threshold)


def skewness(returns: Floats) -> Metric:
    """Return the unbiased sample skewness, as pandas gives it."""
    n = len(returns)
    if n < 3 or _std(returns) is None:
        return None
    centred = returns - np.mean(returns)
    second, third = float(np.mean(centred**2)), float(np.mean(centred**3))
    return _number(math.sqrt(n * (n - 1.0)) / (n - 2.0) * third / second**1.5)


def kurtosis(returns: Floats) -> Metric:
    """Return the unbiased sample excess kurtosis, as pandas gives it."""
    n = len(returns)
    if n < 4 or _std(returns) is None:
        return None
    centred = returns - np.mean(returns)
    second, fourth = float(np.mean(centred**2)), float(np.mean(centred**4))
    excess = fourth / second**2 - 3.0
    return _number((n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * excess + 6.0))


def tail_ratio(returns: Floats) -> Metric:
    if not len(returns):
        return None
    low = abs(float(np.quantile(returns, 0.05)))
    return _number(float(np.quantile(returns, 0.95)) / low) if low > 0.0 else None


def stability(returns: Floats) -> Metric:
    """Return R² of a straight line through the logarithm of the curve."""
    growth = 1.0 + np.asarray(returns, np.float64)
    if len(growth) < 3 or (growth <= 0.0).any():
        return None
    curve = np.cumsum(np.log(growth))
    if _std(curve) is None:
        return None
    return _number(float(np.corrcoef(np.arange(len(curve)), curve)[0, 1]) ** 2)


def ulcer_index(returns: Floats) -> Metric:
    return _number(math.sqrt(float(np.mean(drawdown(returns) ** 2)))) if len(returns) else None


def best_bar(returns: Floats) -> Metric:
    return _number(float(np.max(returns))) if len(returns) else None


def worst_bar(returns: Floats) -> Metric:
    return _number(float(np.min(returns))) if len(returns) else None


def rolling_sharpe(returns: Floats, window: int = 126, periods: float = 252.0) -> list[Metric]:
    """Return the Sharpe ratio of the last ``window`` returns at each bar; None before and where undefined."""
    values = np.asarray(returns, np.float64)
    if len(values) < window:
        return [None] * len(values)
    views = np.lib.stride_tricks.sliding_window_view(values, window)
    mean, deviation = views.mean(axis=1), views.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(deviation > NOISE, mean / deviation * math.sqrt(periods), np.nan)
    return [None] * (window - 1) + [_number(v) for v in ratio.tolist()]


PLAIN: dict[str, Callable[[Floats], Metric]] = {
    "total_return": total_return,
    "max_drawdown": max_drawdown,
    "max_drawdown_duration": max_drawdown_duration,
    "ulcer_index": ulcer_index,
    "var_95": var_95,
    "cvar_95": cvar_95,
    "win_rate": win_rate,
    "profit_factor": profit_factor,
    "omega": omega,
    "skewness": skewness,
    "kurtosis": kurtosis,
    "tail_ratio": tail_ratio,
    "stability": stability,
    "best_bar": best_bar,
    "worst_bar": worst_bar,
}
YEARLY: dict[str, Callable[[Floats, float], Metric]] = {
    "cagr": cagr,
    "ann_vol": ann_vol,
    "sharpe": sharpe,
    "sortino": sortino,
    "downside_deviation": downside_deviation,
    "calmar": calmar,
}


def metrics_of(returns: Floats, periods: float = 252.0, benchmark: Floats | None = None) -> dict[str, Metric]:
    """Return every figure of returns (T,) by its glossary name; with ``benchmark`` (T,) those against it too."""
    values = np.asarray(returns, np.float64)
    found: dict[str, Metric] = {name: function(values) for name, function in PLAIN.items()}
    found |= {name: function(values, periods) for name, function in YEARLY.items()}
    if benchmark is not None:
        other = np.asarray(benchmark, np.float64)
        found |= {
            "beta": beta(values, other),
            "alpha": alpha(values, other, periods),
            "alpha_compound": alpha_compound(values, other, periods),
            "information_ratio": information_ratio(values, other, periods),
            "correlation": correlation(values, other),
        }
    return found
