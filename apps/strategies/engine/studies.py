"""Studies of a strategy's parameters: the neighbourhood on a grid; ``walking`` goes forward through time.

Both run the kernel once a configuration; they run in a session. Every configuration looked at is
a trial of the idea.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.strategies.engine.allocation import decide as decide_weights
from apps.strategies.engine.allocation import members
from apps.strategies.engine.config import RuleConfig
from apps.strategies.engine.config_allocation import ONLINE, OPTIMISERS, RANKED, AllocationConfig
from apps.strategies.engine.config_base import StrategyConfig
from apps.strategies.engine.markets import TradedMarket
from apps.strategies.engine.ports import NamedRule
from apps.strategies.engine.rules import decide as decide_rule
from apps.trading.engine.backtest import HOLD, Options, Result, rule_targets, run_targets
from apps.trading.engine.metrics import metrics_of, returns_of
from apps.trading.engine.overfitting import cscv
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Floats = NDArray[np.float64]
Step = Callable[[float, float], None]
SWEEP, WALK_FORWARD = "sweep", "walk_forward"
#: Factors of the grid around each parameter.
FACTORS = (0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.0)
#: Allocations run over many instruments: fewer points take as long.
FEWER = (0.5, 0.75, 1.0, 1.5, 2.0)
#: Points of a sweep in one call of the kernel: few enough that a stop is heard soon, and at most so many cells.
AT_ONCE, CELLS = 8, 2**23
#: A neighbour holds where it keeps this share of the own Sharpe ratio.
HOLDS = 0.8
C = TypeVar("C", bound=RuleConfig | AllocationConfig)


class Player(Protocol):
    """Runs configurations of one kind of strategy over the bars of a study."""

    def wanted(self, config: Any) -> NDArray[Any]:
        """Return what ``config`` wants after each close; time is the last axis."""

    def nothing(self) -> NDArray[Any]:
        """Return an array like ``wanted`` that orders nothing."""

    def standing(self, wanted: NDArray[Any], span: slice) -> NDArray[Any]:
        """Return ``wanted`` of a span that begins with what is in force, not with "no order"."""

    def trade(self, wanted: NDArray[Any], first: int) -> Result:
        """Trade ``wanted`` from bar ``first`` on."""

    def trade_each(self, wanted: Sequence[NDArray[Any]], first: int) -> list[Result]:
        """Trade each of ``wanted`` in an account of its own."""

    def hold(self, first: int) -> Floats:
        """Return the equity (T,) of the yardstick: holding what the strategy may hold."""

    def upto(self, stop: int) -> Player:
        """Return the same on bars before ``stop``."""


@dataclass(frozen=True)
class RulePlayer:
    """A rule on one instrument: what is wanted is a side (T,), ``HOLD`` where nothing is ordered."""

    market: TradedMarket
    options: Options
    row: int

    def wanted(self, config: RuleConfig) -> NDArray[Any]:
        found = cast("NamedRule", decide_rule(config, self.market.panel))
        return rule_targets(found.name, found.params, self.market.seen(self.row))

    def nothing(self) -> NDArray[Any]:
        return np.full(len(self.market.panel.times), HOLD, np.int8)

    def standing(self, wanted: NDArray[Any], span: slice) -> NDArray[Any]:
        part = wanted[span].copy()
        if len(part) and part[0] == HOLD:
            before = wanted[: span.start][wanted[: span.start] != HOLD]
            part[0] = before[-1] if len(before) else 0
        return np.asarray(part)

    def trade(self, wanted: NDArray[Any], first: int) -> Result:
        own, rules = self.market.bars(self.row), self.market.rules([self.row])
        depth = self.market.depth([self.row], self.market.costs, self.options)
        return run_targets(wanted, own, self.market.costs, self.options, first=first, market=rules, depth=depth)

    def trade_each(self, wanted: Sequence[NDArray[Any]], first: int) -> list[Result]:
        from apps.trading.engine.backtest.accounts import AccountOf, targets_of_accounts

        own, rules = self.market.bars(self.row), self.market.rules([self.row])
        accounts = [AccountOf(self.market.costs, self.options)] * len(wanted)
        depth = self.market.depth([self.row], self.market.costs, self.options)
        return targets_of_accounts(np.stack(wanted), own, accounts, first=first, market=rules, depth=depth)

    def hold(self, first: int) -> Floats:
        return self.trade(np.ones(len(self.market.panel.times), np.int8), first).equity

    def upto(self, stop: int) -> RulePlayer:
        return replace(self, market=self.market.upto(stop))


@dataclass(frozen=True)
class AllocationPlayer:
    """An allocation over ``rows``: what is wanted are weights (S, T), NaN where shares are kept."""

    market: TradedMarket
    options: Options
    rows: list[int]
    universe: str
    every: int

    def wanted(self, config: AllocationConfig) -> NDArray[Any]:
        return np.asarray(decide_weights(config, self.market.panel).weights[self.rows], np.float64)

    def nothing(self) -> NDArray[Any]:
        return np.full((len(self.rows), len(self.market.panel.times)), np.nan)

    def standing(self, wanted: NDArray[Any], span: slice) -> NDArray[Any]:
        part = wanted[:, span].copy()
        if part.shape[1]:
            known = wanted[:, : span.start + 1]
            last = np.where(np.isfinite(known), np.arange(known.shape[1]), -1).max(axis=1)
            found = np.take_along_axis(known, np.maximum(last, 0)[:, None], axis=1)[:, 0]
            part[:, 0] = np.where(last >= 0, found, 0.0)
        return np.asarray(part)

    def trade(self, wanted: NDArray[Any], first: int) -> Result:
        return self.market.since(first).weigh(wanted, self.rows, self.market.costs, self.options)

    def trade_each(self, wanted: Sequence[NDArray[Any]], first: int) -> list[Result]:
        return self.market.since(first).weigh_each(np.stack(wanted), self.rows, self.market.costs, self.options)

    def hold(self, first: int) -> Floats:
        market = self.market.since(first)
        if self.universe:
            return market.equal_members(self.universe, self.every)
        listed = [row for row in self.rows if np.isfinite(market.panel.close[row, first:]).any()]
        return market.hold(listed)

    def upto(self, stop: int) -> AllocationPlayer:
        return replace(self, market=self.market.upto(stop))


@dataclass(frozen=True)
class Study:
    """What both studies run on: the configuration, who plays it, and the bars [first, stop)."""

    config: RuleConfig | AllocationConfig
    player: Player
    times: NDArray[np.datetime64]
    frequency: str
    year: float
    capital: float
    first: int

    @classmethod
    def of(cls, config: StrategyConfig, market: TradedMarket, options: Options) -> Study:
        """Refuse what has no parameters to vary."""
        panel, player = market.panel, None
        if isinstance(config, RuleConfig) and config.rule != "buy_and_hold":
            player = cast("Player", RulePlayer(market, options, panel.index_of(config.symbol)))
        elif isinstance(config, AllocationConfig) and config.method not in ONLINE:
            player = AllocationPlayer(market, options, _rows(config, panel), config.universe, config.rebalance)
        if player is None or not isinstance(config, (RuleConfig, AllocationConfig)):
            raise Refusal(
                "nothing_to_sweep",
                N_("Only rules and allocations with parameters can be swept and walked forward. This has none."),
                field="study",
            )
        return cls(config, player, panel.times, panel.frequency, panel.bars_per_year, market.capital, market.first)

    def run(self, config: RuleConfig | AllocationConfig) -> Result:
        """Trade ``config`` over [first, end)."""
        return self.player.trade(self.player.wanted(config), self.first)

    def upto(self, stop: int) -> Study:
        """Return the study on bars before ``stop``: what is locked is not even there."""
        return replace(self, player=self.player.upto(stop), times=self.times[:stop])


def _rows(config: AllocationConfig, panel: BarPanel) -> list[int]:
    """Return who may be held: those named, else whoever is a member while there are prices."""
    if config.symbols:
        return [panel.index_of(symbol) for symbol in config.symbols]
    able = members(panel, config.universe) & (np.asarray(panel.close) > 0)
    return np.flatnonzero(able.any(axis=1)).tolist()


def axes(config: RuleConfig | AllocationConfig) -> tuple[tuple[str, list[float]], tuple[str, list[float]]]:
    """Return the two parameters of the grid with their values around those of ``config``, rising."""
    if isinstance(config, AllocationConfig):
        return _allocation_axes(config)
    if config.rule == "sma_cross":
        return ("fast", _around(config.fast, 2)), ("slow", _around(config.slow, 3))
    low = float(config.rsi_low)
    values = sorted({low, *(round(low * f, 1) for f in (0.5, 0.67, 0.83, 1.17, 1.33, 1.5))})
    return ("rsi_window", _around(config.rsi_window, 2)), ("rsi_low", [v for v in values if v < config.rsi_high])


def _allocation_axes(config: AllocationConfig) -> tuple[tuple[str, list[float]], tuple[str, list[float]]]:
    """Return what a method looks at or holds, against how often it changes (equal parts: against what is invested)."""
    every = ("rebalance", _around(config.rebalance, 1, FEWER, 250))
    if config.method in RANKED:
        return ("top", _around(config.top, 1, FEWER, 2000)), every
    if config.method in OPTIMISERS:
        return ("window", _around(config.window, 10, FEWER, 1000)), every
    shares = sorted({config.invest, *(min(100.0, round(config.invest * factor, 1)) for factor in FEWER)})
    return every, ("invest", [float(share) for share in shares])


def _around(value: int, least: int, factors: Sequence[float] = FACTORS, most: int = 10**9) -> list[float]:
    near = (min(most, max(least, round(value * factor))) for factor in factors)
    return [float(v) for v in sorted({value, *near})]


def grid(config: C) -> Iterator[tuple[int, int, C]]:
    """Yield column, row and configuration of each valid point of the grid."""
    (x, xs), (y, ys) = axes(config)
    for i, left in enumerate(xs):
        for j, right in enumerate(ys):
            changed = {**config.model_dump(), x: _typed(config, x, left), y: _typed(config, y, right)}
            try:
                yield i, j, cast("C", type(config).model_validate(changed))
            except (ValueError, Refusal):
                continue


def size(config: StrategyConfig) -> int:
    """Return how many configurations a study of ``config`` looks at; 1 where there is nothing to vary."""
    varied = isinstance(config, AllocationConfig) and config.method not in ONLINE
    varied = varied or (isinstance(config, RuleConfig) and config.rule != "buy_and_hold")
    return sum(1 for _ in grid(config)) if varied and isinstance(config, (RuleConfig, AllocationConfig)) else 1


def _typed(config: RuleConfig | AllocationConfig, name: str, value: float) -> float | int:
    return int(value) if isinstance(getattr(config, name), int) else value


def sweep(study: Study, on_step: Step = lambda done, total: None) -> dict[str, Any]:
    """Return the heat map around the configuration: Sharpe ratio and return of each neighbour.

    ``plateau`` is the share of direct neighbours that keep 80 % of the own Sharpe ratio; ``pbo`` the
    probability that choosing the best of the grid is over-fitting (CSCV over 10 blocks).
    """
    points = list(grid(study.config))
    (x, xs), (y, ys) = axes(study.config)
    ratios: list[list[float | None]] = [[None] * len(xs) for _ in ys]
    totals: list[list[float | None]] = [[None] * len(xs) for _ in ys]
    columns = []
    at_once = max(1, min(AT_ONCE, CELLS // max(study.player.nothing().size, 1)))
    for start in range(0, len(points), at_once):
        part = points[start : start + at_once]
        wanted = [study.player.wanted(config) for _, _, config in part]
        for (i, j, _), run in zip(part, study.player.trade_each(wanted, study.first), strict=True):
            returns = returns_of(run.equity, study.capital)
            figures = metrics_of(returns, study.year)
            ratios[j][i], totals[j][i] = figures["sharpe"], figures["total_return"]
            columns.append(returns)
            on_step(len(columns), len(points))
    own = xs.index(float(getattr(study.config, x))), ys.index(float(getattr(study.config, y)))
    matrix = np.stack(columns, axis=1)
    found = cscv(matrix, 10) if matrix.shape[1] > 1 and len(matrix) >= 20 else None
    best = max(((r, i, j) for j, row in enumerate(ratios) for i, r in enumerate(row) if r is not None), default=None)
    return {
        "x": x, "xs": xs, "y": y, "ys": ys, "sharpe": ratios, "total_return": totals, "own": list(own),
        "best": None if best is None else {x: xs[best[1]], y: ys[best[2]], "sharpe": best[0]},
        "plateau": plateau(ratios, own), "count": len(points),
        "pbo": None if found is None else found.pbo, "loss": None if found is None else found.loss,
    }  # fmt: skip


def plateau(ratios: Sequence[Sequence[float | None]], own: tuple[int, int]) -> float | None:
    """Return the share of the up to eight neighbours of ``own`` (column, row) that hold; None without any."""
    at = ratios[own[1]][own[0]]
    around = [
        ratios[j][i]
        for j in range(max(0, own[1] - 1), min(len(ratios), own[1] + 2))
        for i in range(max(0, own[0] - 1), min(len(ratios[0]), own[0] + 2))
        if (i, j) != own
    ]
    known = [value for value in around if value is not None]
    if at is None or at <= 0 or not known:
        return None
    return sum(value >= HOLDS * at for value in known) / len(known)
