"""How far a dated universe moved on under a strategy, and how far the strategy lagged behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.metrics import Metric
from apps.trading.engine.report.curves import rounded
from apps.trading.engine.report.periods import Times, parts_of
from apps.trading.engine.report.setting import Floats, Universe

Flags = NDArray[np.bool_]


def drift(
    universe: Universe, weights: Floats, times: Times, capital: float, kept: NDArray[np.int64]
) -> tuple[dict[str, Any], dict[str, Metric]]:
    """Return the part of the report and its figures by glossary name.

    ``weights`` (S, T) are the parts of the equity held at each close. An instrument is held on while it no longer
    belongs: counted from the first close after it left to the last at which it is held.
    """
    members, own = universe.members, universe.members[list(universe.rows)]
    first, last = members[:, 0], members[:, -1]
    outside = np.where(own, 0.0, np.abs(weights)).sum(axis=0)
    stays = _stays(own, weights != 0.0)
    years = [_year(members, name, at) for name, at in parts_of(times, "Y")]
    size = float(members.sum(axis=0).mean())
    left = int((members[:, :-1] & ~members[:, 1:]).sum())
    span = max((times[-1] - times[0]) / np.timedelta64(365, "D"), 1e-9)
    frozen, dated = (float(curve[-1]) / capital - 1.0 for curve in (universe.frozen, universe.dated))
    figures: dict[str, Metric] = {
        "members_exchanged": _share(first & ~last, first),
        "members_left": left / size / span if size > 0 else None,
        "outside_weight": float(outside.mean()),
        "outside_bars": float(np.mean(stays)) if stays else None,
        "frozen_gap": frozen - dated,
    }
    still = (members & first[:, None]).sum(axis=0) / first.sum() if first.any() else np.full(len(times), np.nan)
    found = {
        "universe": universe.name, "first": int(first.sum()), "last": int(last.sum()), "years": years,
        "outside_most": float(outside.max()), "held_on": len(stays), "longest": max(stays, default=0),
        "frozen_return": frozen, "dated_return": dated,
        "still": rounded(still[kept], 6), "outside": rounded(outside[kept], 6),
    }  # fmt: skip
    return found, figures


def _year(members: Flags, name: str, at: slice) -> dict[str, Any]:
    """Return who came and who left from the last bar before a year (or the first of all) to its last bar."""
    before, after = members[:, max(at.start - 1, 0)], members[:, at.stop - 1]
    gone = before & ~after
    return {
        "year": int(name), "members": int(before.sum()), "left": int(gone.sum()),
        "joined": int((after & ~before).sum()), "exchanged": _share(gone, before),
    }  # fmt: skip


def _share(part: Flags, whole: Flags) -> Metric:
    return float(part.sum() / whole.sum()) if whole.any() else None


def _stays(own: Flags, held: Flags) -> list[int]:
    """Return the bars of each stretch that an instrument was held on after it had left."""
    found: list[int] = []
    for belongs, holds in zip(own, held, strict=True):
        after = holds & ~belongs
        if not after.any():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[False], after, [False]]).astype(np.int8)))
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if start and belongs[start - 1] and holds[start - 1]:
                found.append(stop - start)
    return found
