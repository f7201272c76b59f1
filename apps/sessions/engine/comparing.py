"""Curves of several runs on one axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.sessions.engine.curves import Curves
from apps.sessions.engine.downsample import Floats, lttb

#: Word in the address -> share of the value before that stays; 0.9 looks back over about 10 points.
SMOOTHING = {"none": 0.0, "light": 0.8, "strong": 0.97}
#: Steps as counted by the run, or seconds since its first point.
ALIGNMENTS = ("step", "time")


@dataclass(frozen=True)
class Line:
    """One metric of one run: at most ``points`` of (x, y)."""

    x: Floats
    y: Floats


def smoothed(y: Floats, keep: float) -> Floats:
    """Return the exponential moving average of ``y``, corrected for its start; ``keep`` in [0, 1).

    y'_t = Σ keep^(t−i) y_i / Σ keep^(t−i), so the first value is the first value.
    """
    if keep <= 0 or len(y) < 2:
        return y
    result = np.empty_like(y)
    total = weight = 0.0
    for at, value in enumerate(y.tolist()):
        total, weight = keep * total + value, keep * weight + 1.0
        result[at] = total / weight
    return result


def line_of(curves: Curves, name: str, *, align: str, smoothing: str, points: int) -> Line | None:
    """Return the median over the seeds of a metric; None where the run does not report it."""
    x, y = curves.median(name)
    if not len(x):
        return None
    y = smoothed(y, SMOOTHING[smoothing])
    if align == "time":
        x = _seconds(curves, name, x)
    kept = lttb(x, y, points)
    return Line(x[kept], y[kept])


def _seconds(curves: Curves, name: str, steps: Floats) -> Floats:
    """Return when each step was said, in seconds since the run's first point of the metric.

    Pauses and lost attempts are part of it: this is the time a person waited.
    """
    longest = max(curves.of(name).values(), key=len)
    known, times = np.array(longest.step), np.array(longest.time)
    seconds: Floats = np.maximum.accumulate(np.interp(steps, known, times - times[0]))
    return seconds
