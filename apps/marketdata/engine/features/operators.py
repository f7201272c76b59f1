"""What each operator does to a block of bars (T, B): numpy for single bars, kernels for windows.

A function returns the results of a whole family (slope, R² and residual come from the same
sums); ``compute`` keeps them all, so that a sibling costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.features import kernels as k
from apps.marketdata.engine.features import kernels_order as order

Floats = NDArray[np.float64]
Value = Any  # an array (T, B) or a number
#: Widest window a kernel is told for "all bars so far".
EVERYTHING = 1 << 40


#: Moves values without computing: the precision stays.
SHIFTS = ("Ref", "Delta")


def _true(condition: Any) -> Value:
    return np.asarray(condition, np.float64)


def _truth(x: Value) -> Any:
    """Return where ``x`` holds; unknown is no."""
    return np.nan_to_num(x) != 0.0


ELEMENTWISE: dict[str, Callable[..., Value]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Power": np.power,
    "Greater": np.maximum, "Less": np.minimum, "Abs": np.abs, "Sign": np.sign, "Log": np.log,
    "Exp": np.exp, "Sqrt": np.sqrt,
    "Gt": lambda x, y: _true(x > y), "Ge": lambda x, y: _true(x >= y), "Lt": lambda x, y: _true(x < y),
    "Le": lambda x, y: _true(x <= y), "Eq": lambda x, y: _true(x == y), "Ne": lambda x, y: _true(x != y),
    "And": lambda x, y: _true(_truth(x) & _truth(y)), "Or": lambda x, y: _true(_truth(x) | _truth(y)),
    "Not": lambda x: _true(~_truth(x)), "If": lambda c, x, y: np.where(_truth(c), x, y),
}  # fmt: skip


def shifted(x: Floats, bars: int) -> Floats:
    """Return ``x`` as it was ``bars`` rows before; 0 means its first row, as in pyqlib."""
    if bars == 0:
        return np.broadcast_to(x[:1], x.shape).copy()
    out = np.full(x.shape, np.nan, x.dtype)
    if 0 < bars < len(x):
        out[bars:] = x[:-bars]
    elif bars < 0 and -bars < len(x):
        out[:bars] = x[-bars:]
    return out


def _rows(window: float) -> int:
    return int(window) or EVERYTHING


def _one(kernel: Callable[..., None], x: Floats, *numbers: Any) -> Floats:
    out = np.empty(x.shape)
    kernel(x, *numbers, out)
    return out


def _extreme(x: Floats, window: int, *, highest: bool, gaps: bool) -> tuple[Floats, Floats]:
    value, place = np.empty(x.shape), np.empty(x.shape)
    order.roll_extreme(x, window, highest, gaps, value, place)
    return value, place


def extreme_value(x: Floats, window: float, *, highest: bool) -> Floats:
    """Return the highest (or lowest) known value of the window, where its place is not wanted.

    The extreme of 60 rows is that of two overlapping 32, and so on down: a few quick passes.
    """
    better = np.fmax if highest else np.fmin
    done = np.where(np.isfinite(x), x, np.nan)
    if window == 0:
        return np.asarray(better.accumulate(done, axis=0))
    covered, target = 1, min(int(window), len(x))
    while covered < target:
        step = min(covered, target - covered)
        out = done.copy()
        better(done[step:], done[:-step], out=out[step:])
        done, covered = out, covered + step
    return done


def regression(x: Floats, window: int) -> tuple[Floats, Floats, Floats]:
    slope, rsquare, residual = np.empty(x.shape), np.empty(x.shape), np.empty(x.shape)
    k.roll_regression(x, window, slope, rsquare, residual)
    return slope, rsquare, residual


def pair(x: Floats, y: Floats, window: int) -> tuple[Floats, Floats]:
    correlation, covariance = np.empty(x.shape), np.empty(x.shape)
    k.roll_pair(x, y, window, correlation, covariance)
    return correlation, covariance


def ordered(x: Floats, window: int, shares: tuple[float, ...]) -> dict[str, Floats]:
    """Return ``Rank`` and each quantile of ``shares`` from one sorted window."""
    rank, quantiles = np.empty(x.shape), np.empty((len(shares), *x.shape))
    order.roll_sorted(x, window, 1, np.array(shares), quantiles, rank)
    return {"Rank": rank} | {f"Quantile:{share:g}": quantiles[i] for i, share in enumerate(shares)}


def _alpha(window: float) -> float:
    """A span of bars, or the weight itself where it is below one."""
    return window if window < 1 else 2.0 / (window + 1.0)


#: name -> (family, place in the family's results); families are computed once for all members.
FAMILIES: dict[str, tuple[str, int]] = {
    "Slope": ("regression", 0), "Rsquare": ("regression", 1), "Resi": ("regression", 2),
    "Corr": ("pair", 0), "Cov": ("pair", 1),
    "Max": ("highest", 0), "IdxMax": ("highest", 1), "Min": ("lowest", 0), "IdxMin": ("lowest", 1),
}  # fmt: skip


def family(name: str, args: list[Floats], window: float, *, qlib: bool) -> tuple[Floats, ...]:
    """Return all results of a family; ``qlib`` counts a suspended bar as the extreme, as pyqlib does."""
    rows = _rows(window)
    if name == "regression":
        return regression(args[0], rows if rows < EVERYTHING else len(args[0]) + 1)
    if name == "pair":
        return pair(args[0], args[1], rows)
    return _extreme(args[0], rows, highest=name == "highest", gaps=qlib)


def rolling(  # noqa: PLR0912 - one case an operator
    name: str, x: Floats, params: tuple[float, ...], *, qlib: bool
) -> Floats:
    """Return a rolling operator that stands alone."""
    window = params[0]
    rows = _rows(window)
    match name:
        case "Ref":
            return shifted(x, int(window))
        case "Delta":
            return x - shifted(x, int(window))
        case "Sum" | "Mean":
            return _one(k.roll_sum, x, rows, 1, name == "Mean")
        case "SMA" | "SSum":
            return _one(k.roll_sum, x, rows, rows, name == "SMA")
        case "Std" | "Var":
            return _one(k.roll_var, x, rows, 1, name == "Std")
        case "SStd":
            return _one(k.roll_var, x, rows, rows, True)
        case "Count":
            return _one(k.roll_count, x, rows)
        case "Skew" | "Kurt":
            return _one(order.roll_shape, x, rows, name == "Kurt")
        case "Mad":
            return _one(order.roll_mad, x, rows, 1)
        case "WMA":
            return _one(order.roll_weighted, x, rows, 1, qlib)
        case "EMA" | "EWMA":
            return _one(order.smooth, x, _alpha(window), name == "EMA")
        case "Wilder":
            return _one(order.smooth_wilder, x, rows)
        case "SMax" | "SMin":
            value = extreme_value(x, window, highest=name == "SMax")
            return np.where(_one(k.roll_count, x, rows) >= rows, value, np.nan)
    raise KeyError(name)


def across(name: str, x: Floats) -> Floats:
    """Return a cross-section operator on (S, T): over the symbols known at each bar."""
    known = np.isfinite(x)
    count = known.sum(axis=0)
    if name == "CSRank":
        from apps.marketdata.engine.features.ic import average_ranks

        ranks = average_ranks(np.ascontiguousarray(x.T)).T
        return np.where(known, ranks / np.maximum(count, 1), np.nan)
    zero = np.where(known, x, 0.0)
    centred = np.where(known, x - zero.sum(axis=0) / np.maximum(count, 1), np.nan)
    if name == "CSDemean":
        return centred
    spread = np.sqrt(np.nansum(centred * centred, axis=0) / np.maximum(count - 1, 1))
    return np.asarray(centred / np.where((count > 1) & (spread > 0), spread, np.nan))
