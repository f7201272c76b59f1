"""How much of the Sharpe ratio is luck, seen over everything that was tried of the idea."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine import overfitting as o


@dataclass(frozen=True)
class History:
    """The trials of the idea before this run: how many, and the Sharpe ratios by bar of those that have one."""

    count: int = 0
    ratios: Sequence[float] = field(default_factory=tuple)


def luck_of(returns: NDArray[np.float64], periods: float, history: History) -> dict[str, Any]:
    """Return the figures of luck of a run with ``returns`` (T,), this run counted as one more trial.

    Sharpe ratios in it are by year, as a reader knows them.
    """
    moments, trials = o.Moments.of(returns), history.count + 1
    found: dict[str, Any] = {
        "trials": trials, "deflated": None, "psr": None, "expected": None, "spread": None, "left": None,
        "track_record": None, "track_years": len(returns) / periods, "sharpe": None, "scatter": None,
        "backtest_length": None,
    }  # fmt: skip
    if moments is None:
        return found
    variance = o.trial_variance([*history.ratios, moments.sharpe], moments.observations)
    # Trials that hardly differ still scatter by their own error.
    variance = max(variance, 1.0 / (moments.observations - 1))
    length, root = o.minimum_track_record(moments), math.sqrt(periods)
    return found | {
        "deflated": o.deflated_sharpe(moments, trials, variance),
        "psr": o.probabilistic_sharpe(moments),
        "expected": o.expected_max_sharpe(trials, variance) * root,
        "spread": math.sqrt(max(moments.spread, 0.0) / (moments.observations - 1)) * root,
        "left": o.trials_left(moments, trials, variance),
        "track_record": None if length is None else length / periods,
        "sharpe": moments.sharpe * root,
        "scatter": math.sqrt(variance) * root,
        "backtest_length": o.minimum_backtest_length(trials),
    }
