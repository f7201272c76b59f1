"""Walking forward: parameters chosen on one stretch of time trade the next, all in one account."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.strategies.engine.studies import Step, Study, axes, grid
from apps.trading.engine.metrics import metrics_of, returns_of
from apps.trading.engine.report.curves import day_texts, drawn_positions, rounded
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
TRAIN_BARS, TEST_BARS, HOLDOUT_BARS = 756, 126, 252
SHOWN = ("total_return", "cagr", "sharpe", "max_drawdown", "ann_vol")


@dataclass(frozen=True)
class Window:
    """Bars [train, train_end) choose, bars [test, test_end) are traded; those between are purged."""

    train: int
    train_end: int
    test: int
    test_end: int


def windows(count: int, *, anchored: bool, train: int, test: int, purge: int) -> list[Window]:
    """Return the windows over ``count`` bars; the last one may be short. Refuses where not one fits."""
    found, start = [], train + purge
    while start < count - 1:
        border = start - purge
        found.append(Window(0 if anchored else border - train, border, start, min(start + test, count)))
        start += test
    if not found:
        raise Refusal(
            "too_few_bars_to_walk",
            N_("Walking forward needs more than %(needed)s bars before the hold-out; there are %(bars)s."),
            field="start", needed=train + purge + 1, bars=count,
        )  # fmt: skip
    return found


def walk_forward(
    study: Study,
    *,
    anchored: bool = False,
    train: int = TRAIN_BARS,
    test: int = TEST_BARS,
    purge: int = 1,
    holdout: int = HOLDOUT_BARS,
    open_holdout: bool = False,
    on_step: Step = lambda done, total: None,
) -> dict[str, Any]:
    """Choose by Sharpe ratio on each training window, trade the next, all in one account.

    The last ``holdout`` bars stay locked: nothing reads them unless ``open_holdout``; then the
    configuration of the last window trades them, apart from the stitched account.
    """
    total = len(study.times) - study.first
    locked = min(holdout, max(total - train - purge - 2, 0))
    count = total - locked
    parts = windows(count, anchored=anchored, train=train, test=test, purge=purge)
    points = [config for *_, config in grid(study.config)]
    known = study.upto(study.first + count)
    wanted, whole = [], []
    for number, config in enumerate(points):
        wanted.append(known.player.wanted(config))
        whole.append(returns_of(known.player.trade(wanted[-1], study.first).equity, study.capital))
        on_step(number + 1, len(points) + len(parts))
    stitched = known.player.nothing()
    rows, chosen = [], points[0]
    for number, part in enumerate(parts):
        scores = [_ratio(returns[part.train : part.train_end], study.year) for returns in whole]
        best = int(np.argmax(scores))
        chosen = points[best]
        # The close before a window decides what its first open trades; the account begins with the first window.
        span = slice(study.first + max(part.test - 1, parts[0].test), study.first + part.test_end - 1)
        stitched[..., span] = known.player.standing(wanted[best], span)
        outside = metrics_of(whole[best][part.test : part.test_end], study.year)
        rows.append({
            **{name: str(study.times[study.first + at].astype("datetime64[D]")) for name, at in (
                ("train_start", part.train), ("train_end", part.train_end - 1),
                ("test_start", part.test), ("test_end", part.test_end - 1),
            )},
            "params": {name: getattr(chosen, name) for name in (axes(study.config)[0][0], axes(study.config)[1][0])},
            "train_sharpe": scores[best] if math.isfinite(scores[best]) else None,
            "test_sharpe": outside["sharpe"], "test_return": outside["total_return"],
        })  # fmt: skip
        on_step(len(points) + number + 1, len(points) + len(parts))
    return {
        "mode": "anchored" if anchored else "rolling", "train": train, "test": test, "purge": purge,
        "windows": rows, "count": len(points),
        **_stitched(known, stitched, study.first + parts[0].test, rows),
        "holdout": _holdout(study, chosen, count, locked, open_holdout),
    }  # fmt: skip


def _ratio(returns: Floats, year: float) -> float:
    found = metrics_of(returns, year)["sharpe"]
    return -math.inf if found is None else found


def _stitched(study: Study, wanted: NDArray[Any], first: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the one account over all test windows beside holding what may be held."""
    run, hold = study.player.trade(wanted, first), study.player.hold(first)
    figures = metrics_of(returns_of(run.equity, study.capital), study.year)
    other = metrics_of(returns_of(hold, study.capital), study.year)
    inside = [row["train_sharpe"] for row in rows if row["train_sharpe"] is not None]
    mean = sum(inside) / len(inside) if inside else 0.0
    kept = drawn_positions(run.equity, hold)
    days = day_texts(study.times[first:], study.frequency == "1d")
    return {
        "metrics": {name: figures[name] for name in SHOWN}, "benchmark": {name: other[name] for name in SHOWN},
        "fills": len(run.fills),
        "efficiency": figures["sharpe"] / mean if mean > 0 and figures["sharpe"] is not None else None,
        "curve": {
            "times": [days[i] for i in kept], "equity": rounded(run.equity[kept]), "benchmark": rounded(hold[kept]),
        },
    }  # fmt: skip


def _holdout(study: Study, chosen: Any, count: int, locked: int, opened: bool) -> dict[str, Any] | None:
    if not locked:
        return None
    days = study.times[study.first + count :].astype("datetime64[D]")
    found: dict[str, Any] = {
        "bars": locked,
        "start": str(days[0]),
        "end": str(days[-1]),
        "opened": opened,
        "metrics": None,
    }
    if opened:
        run = study.player.trade(study.player.wanted(chosen), study.first + count)
        figures = metrics_of(returns_of(run.equity, study.capital), study.year)
        found["metrics"] = {key: figures[key] for key in SHOWN}
    return found
