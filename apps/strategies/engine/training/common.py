"""What every trainer shares: periods, scores, baselines, the summary over seeds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.instants import instant
from apps.strategies.engine.config import LearnedConfig
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

if TYPE_CHECKING:
    from torch import Tensor

    from apps.strategies.engine.execution import Ruled

Array = NDArray[np.float64]
LEAST_BARS = 30


@dataclass(frozen=True)
class Split:
    """Bar indices of the periods: [first, valid), [valid, test), [test, end)."""

    first: int
    valid: int
    test: int
    end: int


def split(config: LearnedConfig, panel: BarPanel, usable: NDArray[np.bool_]) -> Split:
    """Return the periods over bars where ``usable``; refuse periods without enough of them."""
    times = panel.times
    if not usable.any():
        raise Refusal("no_usable_bars", N_("The symbols have no bars in common in this dataset."), field="symbol")
    begin = int(np.argmax(usable))

    def index(day: object, default: int) -> int:
        return default if day is None else int(np.searchsorted(times, instant(str(day))))

    found = Split(
        first=max(begin, index(config.train_start, begin)),
        valid=index(config.valid_start, 0),
        test=index(config.test_start, 0),
        end=len(times)
        if config.test_end is None
        else int(np.searchsorted(times, instant(str(config.test_end)), "right")),
    )
    lengths = {
        "train_start": found.valid - found.first,
        "valid_start": found.test - found.valid,
        "test_start": found.end - found.test,
    }
    for field, bars in lengths.items():
        if bars < LEAST_BARS + (config.window if field == "train_start" else 0):
            raise Refusal(
                "period_too_short",
                N_("The period from %(period)s on has only %(bars)s bars; it needs more."),
                field=field,
                period=field,
                bars=max(bars, 0),
            )
    if not usable[found.first : found.end].all():
        gap = found.first + int(np.argmin(usable[found.first : found.end]))
        raise Refusal(
            "missing_bars",
            N_("A bar is missing on %(date)s; choose another period or symbol."),
            field="symbol",
            date=str(times[gap])[:10],
        )
    return found


def score(growth: Array, bars_per_year: float) -> dict[str, float | None]:
    """Return the headline metrics of simple returns per bar (T,); undefined is None."""
    from apps.trading.engine import metrics

    return {
        "total_return": metrics.total_return(growth),
        "sharpe": metrics.sharpe(growth, bars_per_year),
        "max_drawdown": metrics.max_drawdown(growth),
        "ann_vol": metrics.ann_vol(growth, bars_per_year),
    }


def position_returns(open_: Array, close: Array, targets: Array, cost: float) -> Array:
    """Return simple returns per bar of holding ``targets`` (T,) decided at each close, traded at the next
    open: the accounting of the corrected environment, in double precision. The first bar returns 0."""
    result, held = np.zeros(len(close)), 0.0
    for t in range(len(close) - 1):
        night, day = open_[t + 1] / close[t] - 1.0, close[t + 1] / open_[t + 1] - 1.0
        growth = 1.0 + held * night
        moved = held * (1.0 + night) / growth if growth > 0 else 0.0
        held = float(targets[t])
        result[t + 1] = growth * (1.0 - cost * abs(held - moved)) * (1.0 + held * day) - 1.0
    return result


def weight_returns(open_: Array, close: Array, weights: Array, cost: float) -> Array:
    """The same for weights (T, N + 1), cash first; a row of NaN keeps what is held."""
    result = np.zeros(len(close))
    held = np.r_[1.0, np.zeros(close.shape[1])]
    for t in range(len(close) - 1):
        night = np.r_[1.0, open_[t + 1] / close[t]]
        day = np.r_[1.0, close[t + 1] / open_[t + 1]]
        moved = held * night
        growth = moved.sum()
        moved /= growth
        wanted = moved if np.isnan(weights[t, 0]) else weights[t]
        growth *= 1.0 - cost * np.abs(wanted - moved)[1:].sum()
        after = wanted * day
        growth *= after.sum()
        held = after / after.sum()
        result[t + 1] = growth - 1.0
    return result


def ruled_returns(ruled: Ruled, decided: Array, *, allow_short: bool = False) -> Array:
    """Return simple returns per bar under the rules of the market, by the very kernels of a backtest.

    ``decided`` is (T,) sides of one instrument, or (T, N + 1) weights, cash first, whose rows of NaN keep what
    is held. The first bar returns 0.
    """
    from apps.trading.engine.backtest import Bars, Options, run_targets, run_weights

    # As a backtest sizes the orders of an agent: all it asks for, cut to the cash.
    options = Options(
        capital=ruled.capital, fraction=1.0, cash_short="reduce", allow_short=allow_short,
        order_maximum="refuse" if ruled.refuse else "split",
    )  # fmt: skip
    if decided.ndim == 1:
        bars = Bars.of(ruled.open[0], ruled.close[0])
        sides = decided.astype(np.int8)
        equity = run_targets(sides, bars, ruled.costs, options, market=ruled.market, depth=ruled.depth).equity
    else:
        wanted = decided[: ruled.close.shape[1], 1:].T
        equity = run_weights(
            wanted, ruled.open, ruled.close, ruled.costs, options, market=ruled.market, depth=ruled.depth
        ).equity
    return growth_of(equity)


def seeds(count: int) -> str:
    """Return how many seeds a training has, as its log says it."""
    return "1 seed" if count == 1 else f"{count} seeds"


def under(ruled: Ruled | None) -> str:
    """Return what the log of a training says of the rules its account obeys."""
    return "" if ruled is None else ", under the rules of its market"


def growth_of(equity: Array) -> Array:
    """Return simple returns per bar of equity (T,), the first 0."""
    return np.concatenate([[0.0], equity[1:] / equity[:-1] - 1.0])


def over_seeds(values: Sequence[float | None]) -> dict[str, float | None]:
    """Return interquartile mean, 95 % band (percentile bootstrap of that mean) and worst of the seeds.

    Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice".
    """
    known = np.sort(np.array([v for v in values if v is not None and math.isfinite(v)]))
    if not len(known):
        return {"seeds": float(len(values)), "interquartile_mean": None, "low": None, "high": None, "worst": None}

    def middle(sample: Array) -> float:
        cut = len(sample) // 4
        return float(np.sort(sample)[cut : len(sample) - cut].mean())

    low = high = middle(known)
    if len(known) > 1:
        draws = np.random.default_rng(0).choice(known, (1000, len(known)))
        low, high = (float(q) for q in np.quantile([middle(row) for row in draws], [0.025, 0.975]))
    return {
        "seeds": float(len(values)),
        "interquartile_mean": middle(known),
        "low": low,
        "high": high,
        "worst": float(known[0]),
    }


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over name, type, shape and bytes of ``tensors``, whatever their order."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        whole.update(tensor.numpy().tobytes())
    return whole.hexdigest()


#: What a falling schedule leaves of the learning rate at the end.
LAST_SHARE = 0.01


def scheduled(config: LearnedConfig, done: float) -> float:
    """Return the learning rate after the share ``done`` (0…1) of the training (cosine: Loshchilov & Hutter 2017)."""
    done = min(max(done, 0.0), 1.0)
    left = {"linear": 1.0 - done, "cosine": 0.5 + 0.5 * math.cos(math.pi * done)}.get(config.schedule, 1.0)
    return config.learning_rate * (LAST_SHARE + (1.0 - LAST_SHARE) * left)


def finite(value: float, name: str, step: int) -> float:
    """Return ``value``; a NaN or infinity ends the training with its name and step."""
    if not math.isfinite(value):
        raise Refusal(
            "nan_metric",
            N_("%(name)s became %(value)s at step %(step)s. Lower the learning rate or look at the data."),
            name=name, value=str(value), step=step,
        )  # fmt: skip
    return value
