"""Random markets with every rule in them: limits, suspensions, lots, settlement, charges, dividends and splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from apps.strategies.engine.envs import Prices
from apps.strategies.engine.execution import Ruled
from apps.trading.engine.backtest.depth import Depth
from apps.trading.engine.backtest.market import Event, Market
from apps.trading.engine.costs import Costs

BOARDS = (("CN", "main"), ("CN", "star"), ("US", "stock"), ("CN", "etf_t0"), None)


def ruled_market(
    seed: int, assets: int = 1, bars: int = 40, *, bars_a_day: int = 1, capital: float = 50_000.0
) -> Ruled:
    """Bars whose opens hit the limits often, a seventh of them suspended, with three corporate actions."""
    draw = np.random.default_rng(seed)
    shape = (assets, bars)
    close = np.round(10 * np.exp(np.cumsum(draw.normal(0, 0.06, shape), axis=1)), 2)
    before = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    open_ = np.round(before * (1 + draw.choice([0, 0.1, -0.1, 0.03, -0.03], shape)), 2)
    idle = draw.random(shape) < 0.15
    idle[:, 0] = False
    open_[idle] = close[idle] = np.nan
    events = [
        Event(int(draw.integers(1, bars)), int(draw.integers(assets)), float(draw.choice([1, 2, 0.5, 1.3])),
              float(draw.choice([0, 0.2])))
        for _ in range(3)
    ]  # fmt: skip
    days = np.datetime64("2012-06-01", "D") + np.arange(bars) // bars_a_day
    boards = [BOARDS[int(draw.integers(len(BOARDS)))] for _ in range(assets)]
    market = replace(
        Market.build(boards, days, before, events=events), stamps=np.arange(bars) * 3,
        least_value=draw.choice([0.0, 0.0, 300.0, 2_000.0], assets),
    )  # fmt: skip
    costs = Costs(
        rate=0.0005, minimum=float(draw.choice([0, 5])), per_share=float(draw.choice([0, 0.002])),
        slippage=float(draw.choice([0, 0.002])), sell_tax=float(draw.choice([0, 0.0002])),
        borrow=float(draw.choice([0, 0.2])), funding=float(draw.choice([0, 0.0005, -0.0005])),
    )  # fmt: skip
    ruled = Ruled(open_, close, market, costs, capital, refuse=bool(draw.random() < 0.5))
    return slipping(ruled, draw) if draw.random() < 0.5 else ruled


def slipping(ruled: Ruled, draw: np.random.Generator) -> Ruled:
    """The same where orders lose half a spread and by their size; some volumes are unknown, some are none."""
    volume = np.round(10 ** draw.uniform(2, 6, ruled.close.shape))
    volume[draw.random(volume.shape) < 0.1] = np.nan
    volume[draw.random(volume.shape) < 0.1] = 0.0
    costs = replace(
        ruled.costs, spread=float(draw.choice([0, 0.02])), volume_impact=float(draw.choice([0, 0.3])),
        root_impact=float(draw.choice([0, 1.0])),
    )  # fmt: skip
    return replace(ruled, costs=costs, depth=Depth.of(volume, ruled.close))


def unseen(ruled: Ruled) -> Prices:
    """Prices an environment is built on where nothing of them is looked at."""
    shape = ruled.close.T.shape
    return Prices(np.ones(shape), np.ones(shape), np.zeros((*shape, 1), np.float32))
