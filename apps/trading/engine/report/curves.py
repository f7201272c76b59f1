"""Curves of a report: fewer points for drawing, months, falls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWN = 2_000


def day_texts(times: NDArray[np.datetime64], daily: bool) -> list[str]:
    """Return ISO texts: days, or seconds in UTC."""
    if daily:
        return [str(d) for d in np.datetime_as_string(times, unit="D")]
    return [f"{d}Z" for d in np.datetime_as_string(times, unit="s")]


def drawn_positions(equity: Floats, benchmark: Floats, most: int = DRAWN) -> NDArray[np.int64]:
    """Return at most ``most`` positions for all curves: lows and highs of both in equal stretches, and the ends."""
    count = len(equity)
    if count <= most:
        return np.arange(count)
    kept = [np.array([0, count - 1])]
    edges = np.linspace(0, count, (most - 2) // 4 + 1).astype(np.int64)
    for curve in (equity, benchmark):
        kept += [
            np.array([start + int(curve[start:stop].argmin()), start + int(curve[start:stop].argmax())])
            for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        ]
    return np.unique(np.concatenate(kept))


def rounded(values: Any, digits: int = 8) -> list[float | None]:
    """Return floats as JSON holds them: significant digits enough to draw, None where undefined."""
    array = np.asarray([np.nan if v is None else v for v in values], np.float64)
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in array.tolist()]


def monthly_table(
    times: NDArray[np.datetime64], equity: Floats, capital: float, active: NDArray[np.bool_] | None = None
) -> list[dict[str, Any]]:
    """Return ``[{"year", "months": [12 returns or None], "total", "flat"}]`` from the equity after each bar.

    ``active`` (T,) tells at which bars anything was held or done (None: at all). A month without any has no return, not
    a return of zero; ``flat`` names those months by their number.
    """
    months = times.astype("datetime64[M]").astype(np.int64)
    last = np.flatnonzero(np.diff(months, append=months[-1] + 1))
    ends = equity[last]
    starts = np.concatenate([[capital], ends[:-1]])
    begins = np.concatenate([[0], last[:-1] + 1])
    moved = np.ones(len(last), bool) if active is None else np.logical_or.reduceat(active, begins)
    rows: dict[int, dict[str, Any]] = {}
    for month, start, end, busy in zip(months[last].tolist(), starts.tolist(), ends.tolist(), moved, strict=True):
        year = 1970 + month // 12
        row = rows.setdefault(year, {"year": year, "months": [None] * 12, "total": None, "flat": [], "from": start})
        if busy:
            row["months"][month % 12] = end / start - 1.0 if start > 0 else None
        else:
            row["flat"].append(month % 12 + 1)
        if any(value is not None for value in row["months"]):
            row["total"] = end / row["from"] - 1.0 if row["from"] > 0 else None
    return [{k: v for k, v in row.items() if k != "from"} for row in rows.values()]
