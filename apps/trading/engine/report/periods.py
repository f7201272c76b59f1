"""A run cut into years, months, sides and classes of return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.metrics import max_drawdown, sharpe, total_return
from apps.trading.engine.report.setting import Floats, Run, Setting
from apps.trading.engine.trades import Trade

Times = NDArray[np.datetime64]
LEVELS = (0, 5, 25, 50, 75, 95, 100)
BINS = 31
#: The part of the returns at each end that the last bins hold together.
TAIL = 0.005


def parts_of(times: Times, unit: str) -> list[tuple[str, slice]]:
    """Return the calendar parts of ``times`` with their bars: ``Y`` year, ``M`` month, ``W`` week, ``D`` day.

    Weeks begin on Monday.
    """
    days = times.astype("datetime64[D]")
    # 1 January 1970 was a Thursday.
    key = (days.astype(np.int64) + 3) // 7 if unit == "W" else days.astype(f"datetime64[{unit}]").astype(np.int64)
    starts = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    ends = [*starts[1:].tolist(), len(times)]
    names = days[starts].astype(f"datetime64[{'D' if unit == 'W' else unit}]")
    return [(str(name), slice(a, b)) for name, a, b in zip(names, starts.tolist(), ends, strict=True)]


def by_period(
    setting: Setting, run: Run, benchmark: Floats, closed: Sequence[Trade], active: NDArray[np.bool_], unit: str
) -> list[dict[str, Any]]:
    """Return a row a calendar period: returns, Sharpe ratio, deepest fall inside it, turnover, trades by their exit.

    The return of a period in which nothing was held or done is None, not zero. ``turnover`` is the value of the fills
    by the mean equity of the period.
    """
    own, other = (_returns(curve, setting.capital) for curve in (run.equity, benchmark))
    value = np.zeros(len(run.equity))
    np.add.at(value, run.fills["bar"] - run.first, run.fills["quantity"] * run.fills["price"])
    exits = np.array([(t.exit_bar or 0) - run.first for t in closed], np.int64)
    pnl = np.array([t.pnl for t in closed])
    rows = []
    for name, at in parts_of(setting.times, unit):
        ended = (exits >= at.start) & (exits < at.stop)
        mean, held = float(run.equity[at].mean()), bool(active[at].any())
        rows.append({
            "period": name,
            "total_return": total_return(own[at]) if held else None,
            "benchmark_return": total_return(other[at]),
            "sharpe": sharpe(own[at], setting.bars_per_year),
            "max_drawdown": max_drawdown(own[at]) if held else None,
            "turnover": float(value[at].sum()) / mean if mean > 0 else None,
            "trades": int(ended.sum()), "won": int((pnl[ended] > 0).sum()), "pnl": float(pnl[ended].sum()),
        })  # fmt: skip
    return rows


def by_side(closed: Sequence[Trade]) -> list[dict[str, Any]]:
    """Return trades, wins, profit, mean return and mean bars held of the long and of the short trades."""
    rows = []
    for name, side in (("long", 1), ("short", -1)):
        mine = [t for t in closed if t.side == side]
        if mine:
            rows.append({
                "name": name, "trades": len(mine), "won": sum(t.pnl > 0 for t in mine),
                "pnl": float(sum(t.pnl for t in mine)), "fees": float(sum(t.fees for t in mine)),
                "average": float(np.mean([t.profit for t in mine])),
                "bars": float(np.mean([(t.exit_bar or 0) - t.entry_bar for t in mine])),
            })  # fmt: skip
    return rows


def quantiles(returns: Floats, times: Times) -> list[dict[str, Any]]:
    """Return the least, the greatest and five quantiles of the returns of a bar, a week and a month."""
    rows = []
    for name, unit in (("bar", ""), ("week", "W"), ("month", "M")):
        values = (
            np.array([np.prod(1.0 + returns[at]) - 1.0 for _, at in parts_of(times, unit)]) if unit else returns
        )  # fmt: skip
        known = values[np.isfinite(values)]
        if len(known) < 2:
            continue
        levels = np.percentile(known, LEVELS)
        rows.append(
            {"name": name, "count": len(known), **{str(p): float(v) for p, v in zip(LEVELS, levels, strict=True)}}
        )
    return rows


def histogram(values: Floats) -> dict[str, Any] | None:
    """Return ``BINS`` equal classes and how many ``values`` each holds, the ends what lies beyond; None under 5."""
    known = values[np.isfinite(values)]
    if len(known) < 5 or np.ptp(known) <= 0:
        return None
    low, high = np.quantile(known, [TAIL, 1.0 - TAIL])
    low, high = (low, high) if high > low else (known.min(), known.max())
    counts, edges = np.histogram(np.clip(known, low, high), BINS, (low, high))
    return {"edges": [float(f"{e:.8g}") for e in edges], "counts": counts.tolist()}


def _returns(curve: Floats, capital: float) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(curve / np.concatenate([[capital], curve[:-1]]) - 1.0)
