"""Runs the leak checks that fit a strategy and says what was checked. Runs in a session: may load torch and numba."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.instants import instant
from apps.strategies.engine import features, leaks
from apps.strategies.engine.config import AlgorithmicTradingConfig, LearnedConfig, PortfolioConfig
from apps.strategies.engine.config_base import StrategyConfig
from apps.strategies.engine.leaks import Leak
from apps.strategies.engine.ports import NamedRule, Policy, TargetPositions, TargetWeights
from apps.strategies.engine.registry import strategy_type
from apps.trading.engine.backtest import HOLD, Bars, rule_targets
from apps.trading.engine.backtest.rules import price_unit

Floats = NDArray[np.float64]
Step = Callable[[], None]


def positions_of(
    type_key: str, config: StrategyConfig, policy: Policy | None, whole: BarPanel
) -> Callable[[BarPanel], Floats]:
    """Return what turns bars into decisions (S or 1, T): sides or weights, NaN where nothing is decided.

    The grid of prices is that of ``whole``: how prices are quoted is no knowledge of the future, but a
    rule that finds it from the bars it is given would decide ties in another way on fewer bars.
    """
    decide = strategy_type(type_key).load("decide")
    tick = None
    if hasattr(config, "symbol"):
        close = np.asarray(whole.fields["close"][whole.index_of(config.symbol)], np.float64)
        tick = 1.0 / price_unit(close[np.isfinite(close) & (close > 0)])

    def positions(panel: BarPanel) -> Floats:
        found = decide(config, panel, policy)
        if isinstance(found, NamedRule):
            row = panel.index_of(getattr(config, "symbol", panel.symbols[0]))
            bars = Bars.of(*(panel.fields[name][row] for name in ("open", "close", "high", "low")))
            targets = rule_targets(found.name, found.params, bars, tick=tick)[None]
            return np.where(targets == HOLD, np.nan, targets.astype(np.float64))
        if isinstance(found, TargetPositions):
            sides = np.atleast_2d(found.targets)
            return np.where(sides == HOLD, np.nan, sides.astype(np.float64))
        if isinstance(found, TargetWeights):
            return np.asarray(found.weights, np.float64)
        raise TypeError(f"no leak check knows {type(found).__name__}")

    return positions


def symbols_used(config: StrategyConfig, panel: BarPanel) -> list[str]:
    """Return the instruments whose features the strategy reads."""
    if isinstance(config, PortfolioConfig):
        from apps.strategies.engine.training.portfolio import symbols_of

        return symbols_of(config, panel)
    return [config.symbol] if isinstance(config, AlgorithmicTradingConfig) else []


def examine(
    type_key: str,
    config: StrategyConfig,
    panel: BarPanel,
    policy: Policy | None,
    *,
    first: int = 0,
    fill_rule: Mapping[str, Any] | None = None,
    on_step: Step = lambda: None,
) -> dict[str, Any]:
    """Return ``{"clean", "tests": [{"name", "checked", "found"}], "leaks": [...]}`` for a strategy on ``panel``.

    Decisions and features are compared at 20 random dates from ``first`` on; learned strategies also
    have their scaler, their split and their earnings on shuffled bars and on noise looked at.
    """
    positions = positions_of(type_key, config, policy, panel)
    tests: list[dict[str, Any]] = []
    found: list[Leak] = []

    def note(name: str, checked: int, rows: list[Leak]) -> None:
        tests.append({"name": name, "checked": checked, "found": len(rows)})
        found.extend(rows)
        on_step()

    cuts = len(leaks.random_cuts(len(panel.times), first, leaks.DATES, np.random.default_rng(0)))
    rows = leaks.cut_and_compare(lambda p: {"decisions": _whole(positions(p), p)}, panel, first=first, on_step=on_step)
    note("decisions", cuts, rows)
    learned = strategy_type(type_key).trains(config)
    if learned:
        _learned(config, panel, first, cuts, note)
    note("fill_rule", 1, leaks.check_fill_rule(fill_rule or {}))
    row = panel.index_of(config.symbol) if hasattr(config, "symbol") else 0
    shuffles = 3 if learned else leaks.SHUFFLES
    note("time_shuffle", shuffles, leaks.check_null(_on(positions, row), panel, noise=False, shuffles=shuffles))
    note("noise_canary", shuffles, leaks.check_null(_on(positions, row), panel, noise=True, shuffles=shuffles))
    return {"clean": not found, "tests": tests, "leaks": [leak.document() for leak in found]}


def _whole(values: Floats, panel: BarPanel) -> Floats:
    return values if values.shape[-1] == len(panel.times) else np.full((1, len(panel.times)), np.nan)


def _on(positions: Callable[[BarPanel], Floats], row: int) -> Callable[[BarPanel], Floats]:
    """Return ``positions`` over all rows of the panel; a single row is the instrument ``row``."""

    def spread(market: BarPanel) -> Floats:
        values = positions(market)
        if len(values) == len(market.symbols):
            return values
        whole = np.zeros((len(market.symbols), len(market.times)))
        whole[row] = values[0]
        return whole

    return spread


def _learned(
    config: StrategyConfig, panel: BarPanel, first: int, cuts: int, note: Callable[[str, int, list[Leak]], None]
) -> None:
    if not isinstance(config, LearnedConfig):
        return
    used = symbols_used(config, panel)
    part = panel.select(used or None)
    rows = leaks.cut_and_compare(lambda p: {"features": features.compute(p).transpose(1, 2, 0)}, part, first=first)
    note("features", cuts, rows)
    if isinstance(config, PortfolioConfig):
        after = int(np.searchsorted(panel.times, instant(config.valid_start)))
        note(
            "universe",
            cuts,
            leaks.cut_and_compare(_membership(config), panel, first=max(first, after), code="universe"),
        )
    days = [int(np.searchsorted(panel.times, instant(day))) for day in (config.valid_start, config.test_start)]
    stop = min(days[0], len(panel.times))
    note("scaler", len(features.FEATURES) * 2, leaks.check_fitted(_scaler(config), panel, stop))
    names = (("train", 0, days[0]), ("valid", days[0], days[1]), ("test", days[1], len(panel.times)))
    note("split", 2, leaks.check_split([leaks.Part(*row) for row in names], horizon=1))


def _membership(config: PortfolioConfig) -> leaks.Compute:
    def compute(panel: BarPanel) -> leaks.Columns:
        inside = set(symbols_used(config, panel))
        member = np.array([[float(symbol in inside)] for symbol in panel.symbols])
        return {"universe": np.broadcast_to(member, (len(panel.symbols), len(panel.times)))}

    return compute


def _scaler(config: StrategyConfig) -> Callable[[BarPanel], Mapping[str, float]]:
    """Return what fits the strategy's own scaler, through the very class its training uses."""
    from apps.strategies.engine.training import algorithmic, portfolio

    def fit(panel: BarPanel) -> Mapping[str, float]:
        if isinstance(config, PortfolioConfig):
            scaler = portfolio.Market(config, panel).scaler
        elif isinstance(config, AlgorithmicTradingConfig):
            scaler = algorithmic.Market(config, panel).scaler
        else:
            return {}
        pairs = zip(features.FEATURES, scaler.mean.tolist(), scaler.std.tolist(), strict=True)
        return {
            f"{name} {what}": value for name, *both in pairs for what, value in zip(("mean", "std"), both, strict=True)
        }

    return fit
