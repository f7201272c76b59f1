"""Runs the leak checks that fit a strategy and says what was checked. Runs in a session: may load torch and numba."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.strategies.engine import leaks
from apps.strategies.engine.allocation import members
from apps.strategies.engine.config import LearnedConfig
from apps.strategies.engine.config_allocation import RANKED, AllocationConfig
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


def examine(
    type_key: str,
    config: StrategyConfig,
    panel: BarPanel,
    policy: Policy | None,
    *,
    first: int = 0,
    fill_rule: Mapping[str, Any] | None = None,
    trading: Trading | None = None,
    on_step: Step = lambda: None,
) -> dict[str, Any]:
    """Return ``{"clean", "tests": [{"name", "checked", "found"}], "leaks": [...]}`` for a strategy on ``panel``.

    Decisions, and what they are made from, are compared at 20 random dates from ``first`` on; with ``trading`` so is
    what was executed at each open. Learned strategies also have their scaler, their labels and their split looked at,
    and what a simple model makes of their inputs on shuffled bars and on noise. Fewer bars than 20 dates need are a
    finding: nothing can be said of them.
    """
    positions = positions_of(type_key, config, policy, panel)
    tests: list[dict[str, Any]] = []
    found: list[Leak] = []

    def note(name: str, checked: int, rows: list[Leak]) -> None:
        tests.append({"name": name, "checked": checked, "found": len(rows)})
        found.extend(rows)
        on_step()

    cuts = len(leaks.random_cuts(len(panel.times), first, leaks.DATES, np.random.default_rng(0)))
    if cuts < leaks.DATES:
        found.append(Leak("unchecked", "decisions", before=float(leaks.DATES), after=float(cuts)))
    one = getattr(config, "symbol", "")
    row = panel.index_of(one) if one else 0
    decided = _on(positions, row)
    note("decisions", cuts, leaks.cut_and_compare(
        lambda p: {"decisions": _whole(decided, p)}, panel, first=first, on_step=on_step
    ))  # fmt: skip
    learned = strategy_type(type_key).trains(config)
    if isinstance(config, AllocationConfig):
        _allocated(config, panel, first, cuts, note)
    elif learned and isinstance(config, LearnedConfig):
        from apps.strategies.engine.honesty_learned import examine_learning

        examine_learning(config, panel, first, note, on_step)
    note("fill_rule", 1, leaks.check_fill_rule(fill_rule or {}))
    if trading is not None:
        executed = leaks.check_tradable(
            trading.orders, trading.panel, known=trading.known, rows=trading.rows, first=first, on_step=on_step
        )
        note("tradability", cuts, executed)
    shuffles = 3 if learned else leaks.SHUFFLES
    note("time_shuffle", shuffles, leaks.check_null(decided, panel, noise=False, shuffles=shuffles))
    note("noise_canary", shuffles, leaks.check_null(decided, panel, noise=True, shuffles=shuffles))
    return {"clean": not found, "tests": tests, "leaks": [leak.document() for leak in found]}


@dataclass(frozen=True)
class Trading:
    """How the decisions of a run were executed: ``orders(panel)`` gives what is bought (above zero) or sold at each
    open, (S, T) in shares for the instruments ``rows``, on bars ``panel`` as traded or others in their place.

    ``known`` names figures of a bar, beside its open, that the execution is meant to follow.
    """

    panel: BarPanel
    rows: tuple[str, ...]
    orders: leaks.Compute
    known: frozenset[str] = frozenset()


def _whole(decided: Callable[[BarPanel], Floats], panel: BarPanel) -> Floats:
    """Return the decisions, none where they have another length than the bars (the run itself is refused then)."""
    values = decided(panel)
    return values if values.shape[-1] == len(panel.times) else np.full((1, len(panel.times)), np.nan)


def _on(positions: Callable[[BarPanel], Floats], row: int) -> Callable[[BarPanel], Floats]:
    """Return ``positions`` over all rows of the panel; a single row is the instrument ``row``."""

    def spread(market: BarPanel) -> Floats:
        values = positions(market)
        if len(values) == len(market.symbols) or values.shape[-1] != len(market.times):
            return values
        whole = np.zeros((len(market.symbols), len(market.times)))
        whole[row] = values[0]
        return whole

    return spread


def _allocated(
    config: AllocationConfig, panel: BarPanel, first: int, cuts: int, note: Callable[[str, int, list[Leak]], None]
) -> None:
    """Check what an allocation ranks by, and who its universe holds."""
    from apps.marketdata.engine.features.compute import compute

    if config.method in RANKED:
        part = panel.select(config.symbols or None)
        signal = leaks.cut_and_compare(
            lambda p: {"signal": compute(p, [config.signal], dtype=np.float64)[0]}, part, first=first
        )
        note("features", cuts, signal)
    if config.universe:
        inside = leaks.cut_and_compare(
            lambda p: {"universe": members(p, config.universe)}, panel, first=first, code="universe"
        )
        note("universe", cuts, inside)
