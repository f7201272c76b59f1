"""How well a signal ranked what came after it: IC, rank IC and returns by group of rank, day by day.

Definitions as in Qlib's signal analysis (``IC`` is Pearson's correlation over the instruments of a day, ``Rank IC``
Spearman's, ``ICIR`` their mean by their standard deviation, n - 1), with the return that an order could have earned:
decided at a close, filled at the next open, held for one bar.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from apps.trading.engine.metrics import NOISE, Metric
from apps.trading.engine.report.curves import rounded
from apps.trading.engine.report.periods import Times, parts_of

Floats = NDArray[np.float64]
GROUPS, LEAST, POINTS = 5, 10, 400


def signal_quality(scores: Floats, opens: Floats, times: Times, days: list[str], first: int) -> dict[str, Any] | None:
    """Return the part of the report; None where no bar has ``LEAST`` instruments with a score and a return.

    ``scores`` and comparable ``opens`` are (N, T), NaN where unknown; ``times`` and ``days`` (T - first,) are the bars
    of the curves, from bar ``first`` on. The last two bars have no return yet.
    """
    count = scores.shape[1]
    ahead = np.full(scores.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead[:, :-2] = opens[:, 2:] / opens[:, 1:-1] - 1.0
    plain, ranked, itself = (np.full(count - first, np.nan) for _ in range(3))
    groups = np.full((GROUPS, count - first), np.nan)
    for t in range(first, count):
        known = np.isfinite(scores[:, t]) & np.isfinite(ahead[:, t])
        if known.sum() >= LEAST:
            score, back = scores[known, t], ahead[known, t]
            order = rankdata(score)
            plain[t - first] = _correlation(score, back)
            ranked[t - first] = _correlation(order, rankdata(back))
            groups[:, t - first] = _by_group(order, back)
        if t:
            both = np.isfinite(scores[:, t]) & np.isfinite(scores[:, t - 1])
            if both.sum() >= LEAST:
                itself[t - first] = _correlation(rankdata(scores[both, t]), rankdata(scores[both, t - 1]))
    if not np.isfinite(ranked).any():
        return None
    grown = np.cumprod(1.0 + np.nan_to_num(groups), axis=1) - 1.0
    kept = np.unique(np.linspace(0, count - first - 1, min(POINTS, count - first)).round().astype(np.int64))
    return {
        "bars": int(np.isfinite(ranked).sum()),
        "figures": _figures(plain, "ic") | _figures(ranked, "rank_ic")
        | {"signal_memory": _mean(itself), "ic_hits": _mean(np.where(np.isfinite(ranked), ranked > 0, np.nan))},
        "groups": [
            {"group": i + 1, "mean": _mean(groups[i]), "total_return": float(grown[i, -1])} for i in range(GROUPS)
        ],
        "months": [
            {"period": name, "ic": _mean(plain[at]), "rank_ic": _mean(ranked[at])} for name, at in parts_of(times, "M")
        ],
        "curve": {
            "times": [days[i] for i in kept], "rank_ic": rounded(np.cumsum(np.nan_to_num(ranked))[kept], 6),
            "groups": [rounded(row[kept], 6) for row in grown],
        },
        "series": {"ic": rounded(plain), "rank_ic": rounded(ranked)},
    }  # fmt: skip


def _correlation(one: Floats, other: Floats) -> float:
    left, right = one - one.mean(), other - other.mean()
    scale = math.sqrt(float((left**2).sum()) * float((right**2).sum()))
    return float((left * right).sum()) / scale if scale > NOISE else math.nan


def _by_group(order: Floats, back: Floats) -> Floats:
    """Return the mean return of the lowest ranks first; NaN for a group that ties leave empty."""
    group = np.minimum((order - 1.0) * GROUPS // len(order), GROUPS - 1).astype(np.int64)
    filled = np.bincount(group, minlength=GROUPS)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.bincount(group, back, GROUPS) / filled, np.float64)


def _mean(values: Floats) -> Metric:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _figures(values: Floats, name: str) -> dict[str, Metric]:
    known = values[np.isfinite(values)]
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    return {name: _mean(values), f"{name}_ir": float(known.mean()) / spread if spread > NOISE else None}
