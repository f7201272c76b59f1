"""What a market allows, bar by bar, as the third door asks it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.rules import day_rules

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Market:
    """Rules over (S, T): ``up`` and ``down`` price limits (NaN: none), ``day`` (T,) the session of a bar.

    ``minimum`` and ``step`` are shares by instrument; ``settle`` 1: shares bought in a session are sold
    in a later one. An instrument without an open and a close is suspended.
    """

    up: Floats
    down: Floats
    day: NDArray[np.int64]
    minimum: Floats
    step: Floats
    settle: NDArray[np.int64]

    @classmethod
    def of(
        cls, market: str, boards: Sequence[str], days: Sequence[date], close: Floats, *,
        st: NDArray[np.bool_] | None = None,
    ) -> Market:  # fmt: skip
        """Build daily rules from raw closes (S, T), the board of each instrument and its ST flags (S, T)."""
        up, down = np.full(close.shape, math.nan), np.full(close.shape, math.nan)
        last_rules = [day_rules(market, board, days[-1]) for board in boards]
        for s, board in enumerate(boards):
            previous = math.nan
            for t, day in enumerate(days):
                if previous > 0:
                    rules = day_rules(market, board, day, st=bool(st is not None and st[s, t]))
                    up[s, t], down[s, t] = rules.limits(previous) or (math.nan, math.nan)
                previous = close[s, t] if close[s, t] > 0 else previous
        ordinals = np.array([day.toordinal() for day in days], np.int64)
        return cls(
            up, down, ordinals, np.array([r.minimum for r in last_rules]), np.array([r.step for r in last_rules]),
            np.array([r.settle for r in last_rules], np.int64),
        )  # fmt: skip
