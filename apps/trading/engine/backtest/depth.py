"""How much of a bar's volume an order may take, and what taking it costs: what the loops are told (see ``taking``).

Loads no compiler: what agents learn with is built from it, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.backtest.options import Options
from apps.trading.engine.costs import Costs
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
#: Returns from which the volatility of a bar is estimated.
WINDOW = 20
#: More than this part of the price no model takes.
MOST = 0.5


class Room(NamedTuple):
    """``Depth`` as the compiled loops take it: arrays (S, T), then the numbers of costs and options."""

    volume: Floats
    volatility: Floats
    participation: float
    spread: float
    impact: float
    root: float


@dataclass(frozen=True)
class Depth:
    """Volume (S, T) of each bar in shares, and the ``volatility`` (S, T) of a bar as known before it opens."""

    volume: Floats
    volatility: Floats

    @classmethod
    def of(cls, volume: Floats, close: Floats) -> Depth:
        """Build it from volumes and closes, (S, T) or (T,); closes must compare over time."""
        return cls(np.atleast_2d(np.asarray(volume, np.float64)), volatility(np.atleast_2d(close)))

    def at(self, index: NDArray[np.int64]) -> Depth:
        """Return it over the bars ``index`` alone."""
        return Depth(self.volume[:, index], self.volatility[:, index])

    def room(self, costs: Costs, options: Options) -> Room | None:
        """Return what the loops take, None where neither costs nor options ask for it."""
        if not asks(costs, options):
            return None
        if asks_volume(costs, options) and not (self.volume > 0).any():
            raise _no_volume()
        return Room(
            np.ascontiguousarray(self.volume), np.ascontiguousarray(self.volatility), float(options.participation),
            float(costs.spread), float(costs.volume_impact), float(costs.root_impact),
        )  # fmt: skip


def asks(costs: Costs, options: Options) -> bool:
    """Return whether fills depend on more than the price."""
    return costs.spread > 0.0 or asks_volume(costs, options)


def asks_volume(costs: Costs, options: Options) -> bool:
    return options.participation > 0.0 or costs.volume_impact > 0.0 or costs.root_impact > 0.0


def room_of(depth: Depth | None, costs: Costs, options: Options, shape: tuple[int, int]) -> Room | None:
    """Return the room of a run over (S, T); refuse what cannot be known without volumes."""
    if not asks(costs, options):
        return None
    if depth is None:
        if asks_volume(costs, options):
            raise _no_volume()
        return Room(np.ones(shape), np.zeros(shape), 0.0, float(costs.spread), 0.0, 0.0)
    if depth.volume.shape != shape:
        raise Refusal("bad_volume", N_("There must be one volume for each instrument and bar."))
    return depth.room(costs, options)


def _no_volume() -> Refusal:
    return Refusal(
        "no_volume",
        N_("The data has no volumes: neither a share of them nor what it costs to take it can be known."),
        field="participation_pct",
    )


def volatility(close: Floats) -> Floats:
    """Return the standard deviation (S, T) of the last 20 returns before each bar, of as many as there are.

    Bars without a close are left out; 0 before the second return.
    """
    found = np.zeros(close.shape)
    for row, own in zip(found, close, strict=True):
        listed = np.flatnonzero(own > 0)
        returns = np.diff(own[listed]) / own[listed][:-1]
        total, squares = (np.concatenate([[0.0], np.cumsum(part)]) for part in (returns, returns**2))
        count = np.arange(len(returns) + 1)
        since = np.maximum(count - WINDOW, 0)
        n = np.maximum(count - since, 1)
        sums, square_sums = total[count] - total[since], squares[count] - squares[since]
        known = np.where(n > 1, np.maximum(square_sums - sums**2 / n, 0.0) / np.maximum(n - 1, 1), 0.0)
        # Before bar t the returns up to the close before it are known.
        seen = np.searchsorted(listed, np.arange(close.shape[1])) - 1
        row[:] = np.where(seen > 0, np.sqrt(known)[np.maximum(seen, 0)], 0.0) if len(listed) else 0.0
    return found
