"""Fewer points for the same picture: largest triangle three buckets (Steinarsson 2013)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST = 2_000


def lttb(xs: Sequence[float], ys: Sequence[float], most: int = MOST) -> NDArray[np.intp]:
    """Return the positions of at most ``most`` points that keep the line's shape.

    The first and last point always stay. Values must be finite.
    """
    x, y = np.asarray(xs, float), np.asarray(ys, float)
    count = len(x)
    if count <= most or most < 3:
        return np.arange(count) if count <= most else np.linspace(0, count - 1, max(most, 1)).astype(np.intp)
    edges = np.linspace(1, count - 1, most - 1).astype(np.intp)
    chosen = np.empty(most, np.intp)
    chosen[0], chosen[-1] = 0, count - 1
    at = 0
    for bucket in range(most - 2):
        start, stop = edges[bucket], edges[bucket + 1]
        after = edges[bucket + 2] if bucket + 2 < len(edges) else count
        next_x = x[stop:after].mean() if after > stop else x[-1]
        next_y = y[stop:after].mean() if after > stop else y[-1]
        area = np.abs((x[at] - next_x) * (y[start:stop] - y[at]) - (x[at] - x[start:stop]) * (next_y - y[at]))
        at = int(start + np.argmax(area))
        chosen[bucket + 1] = at
    return chosen
