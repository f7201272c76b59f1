"""Fewer points, same shape: largest-triangle-three-buckets (Steinarsson, 2013)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def lttb(x: Floats, y: Floats, points: int) -> NDArray[np.int64]:
    """Return at most ``points`` indices into ``x`` and ``y`` that keep the look of the curve.

    ``x`` is (N,) and not falling, ``y`` is (N,) and finite. The first and the last point are
    always kept and the indices rise strictly. With N ≤ ``points`` all are kept; fewer than
    three points cannot describe a curve and raise ValueError.
    """
    if points < 3:
        raise ValueError("a curve needs at least 3 points")
    n = len(x)
    if n <= points:
        return np.arange(n, dtype=np.int64)
    edges = np.linspace(1, n - 1, points - 1).astype(np.int64)
    chosen = np.empty(points, dtype=np.int64)
    chosen[0], chosen[-1] = 0, n - 1
    sums_x, sums_y = _running_sums(x), _running_sums(y)
    left = 0
    for bucket in range(points - 2):
        start, stop = int(edges[bucket]), int(edges[bucket + 1])
        after = int(edges[bucket + 2]) if bucket + 2 < len(edges) else n
        count = after - stop
        mean_x, mean_y = (sums_x[after] - sums_x[stop]) / count, (sums_y[after] - sums_y[stop]) / count
        area = np.abs((x[left] - mean_x) * (y[start:stop] - y[left]) - (x[left] - x[start:stop]) * (mean_y - y[left]))
        left = start + int(area.argmax())
        chosen[bucket + 1] = left
    return chosen


def _running_sums(values: Floats) -> Floats:
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums
