"""Rolling extremes, ranks, quantiles and smoothing, compiled; shapes as in ``kernels``."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.compiled import compiled

Floats = NDArray[np.float64]
#: Up to so many sorted values counting them all is quicker than searching.
COUNTED = 96


@compiled
def roll_extreme(x: Floats, window: int, highest: bool, first_gap: bool, value: Floats, place: Floats) -> None:
    """Highest (or lowest) value of the window and its place: 1 is the window's oldest row, ties go to it.

    With ``first_gap`` the place of the first suspended row wins, as numpy's ``argmax`` (and so
    pyqlib) has it.
    """
    rows, width = x.shape
    sign = 1.0 if highest else -1.0
    column = np.empty(rows)
    for b in range(width):
        best, top, gap = -1, 0.0, -1
        for t in range(rows):
            column[t] = sign * x[t, b]
        for t in range(rows):
            start = max(0, t - window + 1)
            v = column[t]
            if 0 <= best < start:
                best = -1
                for i in range(start, t):
                    u = column[i]
                    if u - u == 0.0 and (best < 0 or u > top):
                        best, top = i, u
            if v - v == 0.0 and (best < 0 or v > top):
                best, top = t, v
            if first_gap and gap < start:
                gap = -1
                for i in range(start, t + 1):
                    if np.isnan(column[i]):
                        gap = i
                        break
            value[t, b] = sign * top if best >= 0 else np.nan
            at = gap if first_gap and gap >= 0 else best
            place[t, b] = at - start + 1.0 if best >= 0 else np.nan


@compiled
def _below(kept: Floats, size: int, v: float) -> int:
    """Return how many of the ``size`` sorted values are below ``v``."""
    if size <= COUNTED:  # no branch to guess wrong, and several comparisons at a time
        count = 0
        for i in range(size):
            count += 1 if kept[i] < v else 0
        return count
    low, high = 0, size
    while low < high:
        middle = (low + high) >> 1
        if kept[middle] < v:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _exchange(kept: Floats, size: int, old: float, new: float) -> int:
    """Put ``new`` where order wants it and take ``old`` out; NaN stands for none. Returns the new size."""
    leaves, comes = old - old == 0.0, new - new == 0.0
    gap = _below(kept, size, old) if leaves else size
    size += (1 if comes else 0) - (1 if leaves else 0)
    if not comes:
        for i in range(gap, size):
            kept[i] = kept[i + 1]
        return size
    while gap > 0 and kept[gap - 1] > new:
        kept[gap] = kept[gap - 1]
        gap -= 1
    while gap < size - 1 and kept[gap + 1] < new:
        kept[gap] = kept[gap + 1]
        gap += 1
    kept[gap] = new
    return size


@compiled
def roll_sorted(x: Floats, window: int, least: int, shares: Floats, quantiles: Floats, rank: Floats) -> None:
    """Quantiles (Q, T, B) at ``shares``, interpolated, and the newest value's percentile rank, ties averaged."""
    rows, width = x.shape
    kept = np.empty(min(window, rows) + 1)
    column = np.empty(rows)
    for b in range(width):
        size = 0
        for t in range(rows):
            v = x[t, b]
            column[t] = v if v - v == 0.0 else np.nan
        for t in range(rows):
            v = column[t]
            size = _exchange(kept, size, column[t - window] if t >= window else np.nan, v)
            enough = size >= least and size > 0
            if not np.isnan(v) and enough:
                at = _below(kept, size, v)
                equal = 1
                while at + equal < size and kept[at + equal] == v:
                    equal += 1
                rank[t, b] = (at + (equal + 1) * 0.5) / size
            else:
                rank[t, b] = np.nan
            for q in range(shares.shape[0]):
                if enough:
                    exact = (size - 1) * shares[q]
                    low = int(exact)
                    upper = kept[min(low + 1, size - 1)]
                    quantiles[q, t, b] = kept[low] + (upper - kept[low]) * (exact - low)
                else:
                    quantiles[q, t, b] = np.nan


@compiled
def roll_mad(x: Floats, window: int, least: int, out: Floats) -> None:
    """Mean absolute deviation from the window's mean."""
    rows, width = x.shape
    for b in range(width):
        for t in range(rows):
            start, n, total = max(0, t - window + 1), 0, 0.0
            for i in range(start, t + 1):
                v = x[i, b]
                if v - v == 0.0:
                    total += v
                    n += 1
            away = 0.0
            for i in range(start, t + 1):
                v = x[i, b]
                if v - v == 0.0:
                    away += abs(v - total / n)
            out[t, b] = away / n if n >= least and n > 0 else np.nan


@compiled
def roll_shape(x: Floats, window: int, fourth: bool, out: Floats) -> None:
    """Sample skewness (G1), or excess kurtosis (G2), of the window; a window without variation has none."""
    rows, width = x.shape
    for b in range(width):
        for t in range(rows):
            start, n, total = max(0, t - window + 1), 0.0, 0.0
            for i in range(start, t + 1):
                v = x[i, b]
                if v - v == 0.0:
                    total += v
                    n += 1.0
            two, three, four = 0.0, 0.0, 0.0
            for i in range(start, t + 1):
                v = x[i, b]
                if v - v == 0.0:
                    d = v - total / n
                    two += d * d
                    three += d * d * d
                    four += d * d * d * d
            out[t, b] = np.nan
            if n < (4.0 if fourth else 3.0) or two / n <= 1e-14:
                continue
            if fourth:
                spread = n * (n + 1.0) * four / (two / (n - 1.0)) ** 2 / ((n - 1.0) * (n - 2.0) * (n - 3.0))
                out[t, b] = spread - 3.0 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))
            else:
                out[t, b] = math.sqrt(n * (n - 1.0)) / (n - 2.0) * (three / n) / (two / n) ** 1.5


@compiled
def roll_weighted(x: Floats, window: int, least: int, shared: bool, out: Floats) -> None:
    """Mean with weights 1 … n, the newest heaviest.

    ``shared`` divides by the number of values once more, as pyqlib's ``WMA`` does.
    """
    rows, width = x.shape
    for b in range(width):
        for t in range(rows):
            start = max(0, t - window + 1)
            total, weights, n = 0.0, 0.0, 0
            for i in range(start, t + 1):
                v = x[i, b]
                if v - v == 0.0:
                    weight = float(i - start + 1)
                    total += weight * v
                    weights += weight
                    n += 1
            size = float(t - start + 1)
            if n < least or n == 0:
                out[t, b] = np.nan
            elif shared:
                out[t, b] = total / (size * (size + 1.0) * 0.5) / n
            else:
                out[t, b] = total / weights


@compiled
def smooth(x: Floats, alpha: float, adjust: bool, out: Floats) -> None:
    """Exponential mean with weight ``alpha``; over a gap the old weight goes on fading.

    ``adjust`` divides by the sum of the weights; without it the first value starts the recursion.
    """
    rows, width = x.shape
    fresh = 1.0 if adjust else alpha
    mean, weight, started = np.zeros(width), np.zeros(width), np.zeros(width)
    for t in range(rows):
        for b in range(width):
            v = x[t, b]
            ok = v - v == 0.0
            old = weight[b] * (1.0 - alpha)
            moved = (old * mean[b] + fresh * v) / (old + fresh)
            # An unchanged value stays itself exactly.
            moved = v if started[b] == 0.0 or v == mean[b] else moved
            mean[b] = moved if ok else mean[b]
            grown = old + fresh if adjust else 1.0
            grown = 1.0 if started[b] == 0.0 else grown
            weight[b] = grown if ok else old
            started[b] = 1.0 if ok else started[b]
            out[t, b] = mean[b] if started[b] > 0.0 else np.nan


@compiled
def smooth_wilder(x: Floats, window: int, out: Floats) -> None:
    """Wilder's average: the plain mean of the first ``window`` values, then (old·(n−1) + new) / n."""
    rows, width = x.shape
    for b in range(width):
        n, mean = 0, 0.0
        for t in range(rows):
            v = x[t, b]
            if v - v == 0.0:
                n += 1
                if n <= window:
                    mean += v
                    if n == window:
                        mean /= window
                else:
                    mean = (mean * (window - 1) + v) / window
            out[t, b] = mean if n >= window else np.nan
