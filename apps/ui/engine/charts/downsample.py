"""Fewer points for the same picture: largest triangle three buckets (Steinarsson 2013)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST = 2_000
#: Below so many points a bucket plain numbers are faster.
FEW = 40


def lttb(xs: Sequence[float], ys: Sequence[float], most: int = MOST) -> NDArray[np.intp]:
    """Return the positions of at most ``most`` points that keep the line's shape.

    The first and last point always stay. Values must be finite.
    """
    x, y = np.asarray(xs, float), np.asarray(ys, float)
    count = len(x)
    if count <= most or most < 3:
        return np.arange(count) if count <= most else np.linspace(0, count - 1, max(most, 1)).astype(np.intp)
    edges = [*np.linspace(1, count - 1, most - 1).astype(int).tolist(), count]
    choose = _choose_few if count < most * FEW else _choose_many
    return np.array([0, *choose(x, y, edges), count - 1], np.intp)


def _choose_many(x: NDArray[np.float64], y: NDArray[np.float64], edges: Sequence[int]) -> list[int]:
    """Return the position chosen from each bucket between two edges; the next bucket lends its middle."""
    chosen, at = [], 0
    for start, stop, after in zip(edges, edges[1:], edges[2:], strict=False):
        next_x, next_y = x[stop:after].mean(), y[stop:after].mean()
        area = np.abs((x[at] - next_x) * (y[start:stop] - y[at]) - (x[at] - x[start:stop]) * (next_y - y[at]))
        at = int(start + np.argmax(area))
        chosen.append(at)
    return chosen


def _choose_few(x: NDArray[np.float64], y: NDArray[np.float64], edges: Sequence[int]) -> list[int]:
    """The same for buckets of a few points, where plain numbers are several times faster than small arrays."""
    xs, ys, chosen, at = x.tolist(), y.tolist(), [], 0
    starts = np.asarray(edges[1:-1])
    counts = np.diff(edges[1:])
    middles = zip(
        (np.add.reduceat(x, starts) / counts).tolist(), (np.add.reduceat(y, starts) / counts).tolist(), strict=True
    )
    for start, stop, (next_x, next_y) in zip(edges, edges[1:], middles, strict=False):
        here_x, here_y = xs[at], ys[at]
        wide, high = here_x - next_x, next_y - here_y
        most, at = -1.0, start
        for place in range(start, stop):
            area = wide * (ys[place] - here_y) - (here_x - xs[place]) * high
            if area < 0.0:
                area = -area
            if area > most:
                most, at = area, place
        chosen.append(at)
    return chosen
