"""The rules of a market as the broker of the third door asks them: instrument by instrument."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.backtest.account import Prices
from apps.trading.engine.backtest.market import Event, Market
from apps.trading.engine.costs import Costs
from apps.trading.engine.rules.schedule import LIMIT_ORDER, MARKET_ORDER

#: A bar, and a session, that never comes.
NEVER = 1 << 62
Floats = NDArray[np.float64]


class Own(NamedTuple):
    """The rules of one instrument; ``most`` by kind of order, ``lots`` the least and the step, both in shares;
    ``least_value`` in money."""

    up: Floats
    down: Floats
    lots: tuple[float, float]
    settles: bool
    most: tuple[Floats, Floats]
    least_value: float
    cage: Floats | None


def moved(market: Market, prices: list[Prices]) -> tuple[Event, ...]:
    opens, closes = (np.array([getattr(row.bars, name) for row in prices]) for name in ("open", "close"))
    return market.when_traded(opens, closes).events


def owed_by_bar(market: Market, prices: list[Prices], costs: Costs) -> Floats | None:
    """Return borrow fee and funding (2, S, T) as ``Market.owed`` tells them, paid where an instrument trades."""
    if market.owed(costs) is None:
        return None
    found = np.zeros((2, len(prices), len(market.day)))
    for s, row in enumerate(prices):
        index = np.flatnonzero((row.bars.open > 0) & (row.bars.close > 0))
        owed = market.row(s).at(index).levied(costs.levies).owed(costs)
        if owed is not None:
            found[0, s, index], found[1, s, index] = owed[0], owed[1][0]
    return found


def session_starts(day: NDArray[np.int64]) -> list[int]:
    """Return the bars on which a session begins, after the first, and one that never comes."""
    return [*(np.flatnonzero(day[1:] != day[:-1]) + 1).tolist(), NEVER]


def whole_steps(quantity: float, step: float) -> bool:
    count = quantity / step
    return abs(count - round(count)) < 1e-6


def own_rules(market: Market, s: int) -> Own:
    return Own(
        market.up[s], market.down[s], (float(market.minimum[s]), float(market.step[s])), bool(market.settle[s]),
        (market.most(s, LIMIT_ORDER), market.most(s, MARKET_ORDER)),
        0.0 if market.least_value is None else float(market.least_value[s]),
        None if market.cage is None else market.cage[market.board[s]],
    )  # fmt: skip
