"""What a curve shows, by rule: titles state a finding, or nothing at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.sessions.engine.downsample import Floats
from apps.ui.engine.text import N_

ENOUGH = 20
#: Share of the planned work below which a curve that rests has only begun.
EARLY = 0.1


@dataclass(frozen=True)
class Finding:
    """A msgid with its params."""

    message: str
    params: dict[str, Any]


def _smooth(values: Floats, window: int) -> Floats:
    sums = np.concatenate(([0.0], np.cumsum(values)))
    smooth: Floats = (sums[window:] - sums[:-window]) / window
    return smooth


def trend(x: Floats, y: Floats, label: str, *, good: str = "up", done: float = 1.0) -> Finding | None:
    """Say whether a curve rises, falls or has flattened, and since which step.

    ``x`` (N,) steps, ``y`` (N,) values, ``done`` the share of the planned work; None below 20 points, where noise
    would speak, and for a rest in the first tenth of the work, from which nothing follows.
    """
    if len(y) < ENOUGH:
        return None
    window = max(3, len(y) // 12)
    smooth = _smooth(y, window)
    span = float(np.ptp(smooth))
    if span <= 1e-12 * max(1.0, float(np.abs(smooth).max())):
        return Finding(N_("%(label)s does not move"), {"label": label})
    tail = smooth[-max(2, len(smooth) // 4) :]
    change = float(tail[-1] - tail[0])
    if abs(change) < 0.08 * span:
        if done < EARLY:
            return None
        since = _settled(smooth, span)
        return Finding(
            N_("%(label)s has flattened since step %(step)s"), {"label": label, "step": int(x[since + window - 1])}
        )
    if change > 0:
        return Finding(N_("%(label)s is rising") if good == "up" else N_("%(label)s is rising again"), {"label": label})
    return Finding(N_("%(label)s is still falling") if good == "down" else N_("%(label)s is falling"), {"label": label})


def _settled(smooth: Floats, span: float) -> int:
    """Return the first index after which the curve stays within 8 % of its end."""
    away = np.flatnonzero(np.abs(smooth - smooth[-1]) > 0.08 * span)
    return int(away[-1]) + 1 if len(away) else 0


def against(value: float | None, baseline: float | None, label: str, name: str, *, good: str = "up") -> Finding | None:
    """Say on which side of a baseline the newest value lies."""
    if value is None or baseline is None:
        return None
    if value == baseline:
        return Finding(N_("%(label)s equals %(baseline)s"), {"label": label, "baseline": name})
    ahead = value > baseline if good == "up" else value < baseline
    text = N_("%(label)s is ahead of %(baseline)s") if ahead else N_("%(label)s is behind %(baseline)s")
    return Finding(text, {"label": label, "baseline": name})


def spikes(y: Floats, factor: float = 8.0) -> int:
    """Return how many values exceed ``factor`` times the median of all (values above zero)."""
    positive = y[y > 0]
    if len(positive) < ENOUGH:
        return 0
    return int(np.count_nonzero(positive > factor * np.median(positive)))
