"""Rolling sums, moments and regressions, compiled: time runs down, one column a symbol.

Every kernel takes ``x`` (T, B) float64 and writes ``out`` of the same shape. The inner loop
runs over the B symbols of a block, so the processor takes several at once. A value that is
not finite is a suspension: it is left out, and fewer than ``least`` values in the window give
NaN. A window covers rows, not values: a suspended day still takes a place.

Sums are kept running and summed afresh every ``RESYNC`` rows, so that rounding does not pile
up; nothing ever depends on a later row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.compiled import compiled

Floats = NDArray[np.float64]
RESYNC = 128
#: A deviation up to this is no variation; correlation and R² are undefined there (pyqlib's bound).
FLAT = 2e-5


@compiled
def roll_sum(x: Floats, window: int, least: int, mean: bool, out: Floats) -> None:
    """Sum, or mean, of the last ``window`` rows."""
    rows, width = x.shape
    total, count = np.zeros(width), np.zeros(width)
    same, last = np.zeros(width), np.zeros(width)
    for t in range(rows):
        if t % RESYNC == 0 and t > 0:
            total[:] = 0.0
            for i in range(max(0, t - window), t):
                for b in range(width):
                    v = x[i, b]
                    total[b] += v if v - v == 0.0 else 0.0
        for b in range(width):
            v = x[t, b]
            ok = v - v == 0.0
            total[b] += v if ok else 0.0
            count[b] += 1.0 if ok else 0.0
            run = same[b] + 1.0 if v == last[b] else 1.0
            same[b] = run if ok else same[b]
            last[b] = v if ok else last[b]
        if t >= window:
            for b in range(width):
                v = x[t - window, b]
                ok = v - v == 0.0
                total[b] -= v if ok else 0.0
                count[b] -= 1.0 if ok else 0.0
        for b in range(width):
            n = count[b]
            # A window of one and the same value is that value exactly, as far as numbers go.
            value = last[b] * n if same[b] >= n else total[b]
            value = value / n if mean else value
            out[t, b] = value if n >= least and n > 0.0 else np.nan


@compiled
def roll_count(x: Floats, window: int, out: Floats) -> None:
    """Number of known values in the last ``window`` rows."""
    rows, width = x.shape
    count = np.zeros(width)
    for t in range(rows):
        for b in range(width):
            count[b] += 1.0 if x[t, b] == x[t, b] else 0.0
        if t >= window:
            for b in range(width):
                count[b] -= 1.0 if x[t - window, b] == x[t - window, b] else 0.0
        for b in range(width):
            out[t, b] = count[b]


@compiled
def roll_var(x: Floats, window: int, least: int, root: bool, out: Floats) -> None:
    """Sample variance (ddof 1), or its root, of the last ``window`` rows; sums run over x − centre."""
    rows, width = x.shape
    total, square, count, centre = np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width)
    same, last = np.zeros(width), np.zeros(width)
    for t in range(rows):
        if t % RESYNC == 0 or t == 1:
            first = max(0, t - window)
            for b in range(width):
                v = x[t, b]
                centre[b] = last[b] if count[b] > 0.0 else (v if v - v == 0.0 else 0.0)
                total[b] = 0.0
                square[b] = 0.0
            for i in range(first, t):
                for b in range(width):
                    v = x[i, b]
                    d = v - centre[b] if v - v == 0.0 else 0.0
                    total[b] += d
                    square[b] += d * d
        for b in range(width):
            v = x[t, b]
            ok = v - v == 0.0
            d = v - centre[b] if ok else 0.0
            total[b] += d
            square[b] += d * d
            count[b] += 1.0 if ok else 0.0
            run = same[b] + 1.0 if v == last[b] else 1.0
            same[b] = run if ok else same[b]
            last[b] = v if ok else last[b]
        if t >= window:
            for b in range(width):
                v = x[t - window, b]
                ok = v - v == 0.0
                d = v - centre[b] if ok else 0.0
                total[b] -= d
                square[b] -= d * d
                count[b] -= 1.0 if ok else 0.0
        for b in range(width):
            n = count[b]
            value = (square[b] - total[b] * total[b] / n) / (n - 1.0)
            value = 0.0 if same[b] >= n or value < 0.0 else value
            value = np.sqrt(value) if root else value
            out[t, b] = value if n >= least and n > 1.0 else np.nan


@compiled
def roll_regression(x: Floats, window: int, slope: Floats, rsquare: Floats, residual: Floats) -> None:
    """Least squares of the values on their place in the window: slope, R² and the last residual.

    Places count rows: the newest is 0, the one before −1, whatever is suspended between.
    """
    rows, width = x.shape
    n, sx, sxx = np.zeros(width), np.zeros(width), np.zeros(width)
    sy, sxy, syy, centre = np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width)
    last = np.zeros(width)
    w = float(window)
    for t in range(rows):
        if t % RESYNC == 0 or t == 1:
            for b in range(width):
                v = x[t, b]
                centre[b] = last[b] if n[b] > 0.0 else (v if v - v == 0.0 else 0.0)
                sy[b] = 0.0
                sxy[b] = 0.0
                syy[b] = 0.0
            for i in range(max(0, t - window), t):
                place = float(i - t + 1)
                for b in range(width):
                    v = x[i, b]
                    d = v - centre[b] if v - v == 0.0 else 0.0
                    sy[b] += d
                    sxy[b] += place * d
                    syy[b] += d * d
        for b in range(width):
            v = x[t, b]
            ok = v - v == 0.0
            d = v - centre[b] if ok else 0.0
            sxy[b] -= sy[b]
            sxx[b] += n[b] - 2.0 * sx[b]
            sx[b] -= n[b]
            sy[b] += d
            syy[b] += d * d
            n[b] += 1.0 if ok else 0.0
            last[b] = v if ok else last[b]
        if t >= window:
            for b in range(width):
                v = x[t - window, b]
                ok = v - v == 0.0
                d = v - centre[b] if ok else 0.0
                n[b] -= 1.0 if ok else 0.0
                sx[b] += w if ok else 0.0
                sxx[b] -= w * w if ok else 0.0
                sy[b] -= d
                sxy[b] += w * d
                syy[b] -= d * d
        for b in range(width):
            m = n[b]
            v = x[t, b]
            above = m * sxy[b] - sx[b] * sy[b]
            below = m * sxx[b] - sx[b] * sx[b]
            spread = m * syy[b] - sy[b] * sy[b]
            k = above / below
            known = m > 1.0
            slope[t, b] = k if known else np.nan
            flat = spread <= FLAT * FLAT * m * (m - 1.0)
            rsquare[t, b] = above * above / (below * spread) if known and not flat else np.nan
            inside = v - centre[b] - (sy[b] - k * sx[b]) / m
            residual[t, b] = inside if known else np.nan


@compiled
def roll_pair(  # noqa: PLR0915 - one loop, so that the compiler sees all of it
    x: Floats, y: Floats, window: int, correlation: Floats, covariance: Floats
) -> None:
    """Correlation and sample covariance of two series over the rows where both are known."""
    rows, width = x.shape
    n, sx, sy = np.zeros(width), np.zeros(width), np.zeros(width)
    sxx, syy, sxy = np.zeros(width), np.zeros(width), np.zeros(width)
    cx, cy, lx, ly = np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width)
    for t in range(rows):
        if t % RESYNC == 0 or t == 1:
            for b in range(width):
                u, v = x[t, b], y[t, b]
                ok = (u - u == 0.0) and (v - v == 0.0)
                cx[b] = lx[b] if n[b] > 0.0 else (u if ok else 0.0)
                cy[b] = ly[b] if n[b] > 0.0 else (v if ok else 0.0)
                sx[b] = 0.0
                sy[b] = 0.0
                sxx[b] = 0.0
                syy[b] = 0.0
                sxy[b] = 0.0
            for i in range(max(0, t - window), t):
                for b in range(width):
                    u, v = x[i, b], y[i, b]
                    ok = (u - u) + (v - v) == 0.0
                    p = u - cx[b] if ok else 0.0
                    q = v - cy[b] if ok else 0.0
                    sx[b] += p
                    sy[b] += q
                    sxx[b] += p * p
                    syy[b] += q * q
                    sxy[b] += p * q
        for b in range(width):
            u, v = x[t, b], y[t, b]
            ok = (u - u) + (v - v) == 0.0
            p = u - cx[b] if ok else 0.0
            q = v - cy[b] if ok else 0.0
            n[b] += 1.0 if ok else 0.0
            sx[b] += p
            sy[b] += q
            sxx[b] += p * p
            syy[b] += q * q
            sxy[b] += p * q
            lx[b] = u if ok else lx[b]
            ly[b] = v if ok else ly[b]
        if t >= window:
            for b in range(width):
                u, v = x[t - window, b], y[t - window, b]
                ok = (u - u) + (v - v) == 0.0
                p = u - cx[b] if ok else 0.0
                q = v - cy[b] if ok else 0.0
                n[b] -= 1.0 if ok else 0.0
                sx[b] -= p
                sy[b] -= q
                sxx[b] -= p * p
                syy[b] -= q * q
                sxy[b] -= p * q
        for b in range(width):
            m = n[b]
            a = m * sxx[b] - sx[b] * sx[b]
            c = m * syy[b] - sy[b] * sy[b]
            both = m * sxy[b] - sx[b] * sy[b]
            bound = FLAT * FLAT * m * (m - 1.0)
            known = m > 1.0
            flat = a <= bound or c <= bound
            correlation[t, b] = both / np.sqrt(a * c) if known and not flat else np.nan
            covariance[t, b] = both / (m * (m - 1.0)) if known else np.nan
