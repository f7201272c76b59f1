"""What a run held over time, how it moved with its benchmark, and where chance would have led it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.metrics import NOISE, Metric
from apps.trading.engine.report.curves import rounded
from apps.trading.engine.robustness import PERCENTILES, block_length, stationary_indices

Floats = NDArray[np.float64]
#: Instruments shown by name, points of the table of holdings, samples of the cone and bars it is drawn over at most.
NAMED, POINTS, SAMPLES, BATCH, MOST_BARS = 5, 120, 500, 50, 20_000
#: Bars that a cone needs to draw from, and to be drawn over.
LEAST = 20


def rolling_beta(returns: Floats, benchmark: Floats, window: int) -> list[Metric]:
    """Return the beta of the last ``window`` returns (T,) at each bar; None before and where the benchmark stands."""
    if len(returns) < window:
        return [None] * len(returns)
    own, other = (
        np.lib.stride_tricks.sliding_window_view(np.asarray(v, np.float64), window) for v in (returns, benchmark)
    )
    left, right = own - own.mean(axis=1, keepdims=True), other - other.mean(axis=1, keepdims=True)
    spread = (right**2).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(spread > NOISE, (left * right).mean(axis=1) / spread, np.nan)
    return [None] * (window - 1) + [float(v) if math.isfinite(v) else None for v in slope.tolist()]


def rolling_volatility(returns: Floats, window: int, periods: float) -> Floats:
    """Return the volatility a year (n - 1) of the last ``window`` returns (T,) at each bar; NaN before."""
    found = np.full(len(returns), np.nan)
    if len(returns) >= window:
        views = np.lib.stride_tricks.sliding_window_view(np.asarray(returns, np.float64), window)
        found[window - 1 :] = views.std(axis=1, ddof=1) * math.sqrt(periods)
    return found


def weights_of(position: Floats, close: Floats, equity: Floats) -> Floats:
    """Return the share of equity (S, T) of each holding, at its newest close; 0 where equity is gone."""
    known = np.where(np.isfinite(close) & (close > 0), np.arange(close.shape[1]), -1)
    newest = np.maximum.accumulate(known, axis=1)
    price = np.where(newest >= 0, np.take_along_axis(close, np.maximum(newest, 0), axis=1), 0.0)
    return np.where(equity > 0, position * price / np.where(equity > 0, equity, 1.0), 0.0)


def holdings(weights: Floats, symbols: Sequence[str], days: Sequence[str]) -> dict[str, Any] | None:
    """Return the largest holdings over time, at ``POINTS`` bars at most; None for a single instrument.

    ``names`` are the instruments of the largest mean share, ``weights`` one row each, ``rest`` what all others
    weigh together, ``count`` how many are held.
    """
    if len(symbols) < 2:
        return None
    mean = np.abs(weights).mean(axis=1)
    top = [int(row) for row in np.argsort(-mean, kind="stable")[:NAMED] if mean[row] > 0]
    if not top:
        return None
    kept = np.unique(np.linspace(0, weights.shape[1] - 1, min(POINTS, weights.shape[1])).round().astype(np.int64))
    named = weights[top][:, kept]
    return {
        "times": [days[bar] for bar in kept], "names": [symbols[row] for row in top],
        "weights": [rounded(row, 6) for row in named],
        "rest": rounded(weights[:, kept].sum(axis=0) - named.sum(axis=0), 6),
        "count": [int(held) for held in (weights[:, kept] != 0).sum(axis=0)],
    }  # fmt: skip


def cone(returns: Floats, unseen: float, kept: NDArray[np.int64], *, seed: int = 0) -> dict[str, Any] | None:
    """Return the percentiles of growth where chance draws the bars: ``{"from", "seen", "5": [...], …}`` at ``kept``.

    Blocks of bars are drawn with replacement (stationary bootstrap). Where a part of the bars is ``unseen``, they are
    drawn from the seen part and laid over the unseen one: an honest result stays within the cone. Else they are
    drawn from all and laid over all. Growth is 1 at bar ``from`` - 1; entries before it are None.
    """
    count = len(returns)
    seen = count - round(unseen * count)
    split = seen if LEAST <= seen <= count - LEAST else 0
    source = returns[:split] if split else returns
    if not LEAST <= count <= MOST_BARS or not np.isfinite(returns).all() or source.std() < NOISE:
        return None
    ahead, rng, block = count - split, np.random.default_rng(seed), block_length(source)
    at = kept[kept >= split] - split
    paths = []
    for _ in range(0, SAMPLES, BATCH):
        # A path longer than its source wraps around it.
        drawn = (
            stationary_indices(len(source), block, BATCH, rng)
            if ahead <= len(source)
            else np.concatenate(
                [stationary_indices(len(source), block, BATCH, rng) for _ in range(-(-ahead // len(source)))], axis=1
            )
        )
        paths.append(np.cumprod(1.0 + source[drawn[:, :ahead]], axis=1)[:, at])
    levels = np.percentile(np.concatenate(paths), PERCENTILES, axis=0)
    before: list[float | None] = [None] * int((kept < split).sum())
    found: dict[str, Any] = {"from": int(split), "seen": bool(split), "samples": SAMPLES, "block": block}
    return found | {str(p): before + rounded(row) for p, row in zip(PERCENTILES, levels, strict=True)}
