"""What the leak check looks at beside decisions where something was learned: inputs, scaler, labels, split.

Runs in a session: loads torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.instants import instant
from apps.strategies.engine import features, leaks
from apps.strategies.engine.config import AlgorithmicTradingConfig, LearnedConfig, PortfolioConfig
from apps.strategies.engine.leaks import Leak
from apps.strategies.engine.training import algorithmic, portfolio

Floats = NDArray[np.float64]
Step = Callable[[], None]
#: (name of the test, how often it looked, what it found)
Note = Callable[[str, int, list[Leak]], None]
#: Null markets on which the inputs are tried; instruments of one of them.
NULLS, MOST = 3, 30


def examine_learning(config: LearnedConfig, panel: BarPanel, first: int, note: Note, on_step: Step) -> None:
    """Check what ``config`` learns from on ``panel``, through the very classes its training uses."""
    used = panel.select(symbols_used(config, panel) or None)
    days = [int(np.searchsorted(panel.times, instant(day))) for day in (config.valid_start, config.test_start)]
    stop = min(days[0], len(panel.times))
    cuts = len(leaks.random_cuts(len(panel.times), first, leaks.DATES, np.random.default_rng(0)))
    note("features", cuts, leaks.cut_and_compare(named_features, used, first=first, on_step=on_step))
    if isinstance(config, PortfolioConfig):
        chosen = leaks.cut_and_compare(_chosen(config), panel, first=max(first, stop), code="universe", on_step=on_step)
        note("universe", cuts, chosen)
    later = min(leaks.DATES, max(len(panel.times) - stop, 1))
    note("scaler", later, leaks.check_fitted(_scaler(config), panel, stop))
    note(
        "labels", leaks.DATES + 1, leaks.check_labels(_rewards(config), panel, stop, _horizon(config), on_step=on_step)
    )
    parts = (("train", 0, days[0]), ("valid", days[0], days[1]), ("test", days[1], len(panel.times)))
    note("split", 2, leaks.check_split([leaks.Part(*part) for part in parts], horizon=1))
    narrow = used.select(used.symbols[:MOST])
    for name, noise in (("inputs_shuffle", False), ("inputs_noise", True)):
        found = leaks.check_null(_foresight(config, stop), narrow, noise=noise, shuffles=NULLS, column="inputs")
        note(name, NULLS, found)
        on_step()


def symbols_used(config: LearnedConfig, panel: BarPanel) -> list[str]:
    """Return the instruments whose features the strategy reads."""
    if isinstance(config, PortfolioConfig):
        return portfolio.symbols_of(config, panel)
    return [config.symbol] if isinstance(config, AlgorithmicTradingConfig) else []


def named_features(panel: BarPanel) -> Mapping[str, Floats]:
    """Return each feature (S, T) by its name."""
    values = features.compute(panel).transpose(2, 1, 0)
    return dict(zip(features.FEATURES, values, strict=True))


def _chosen(config: PortfolioConfig) -> leaks.Compute:
    def compute(panel: BarPanel) -> leaks.Columns:
        inside = set(symbols_used(config, panel))
        member = np.array([[float(symbol in inside)] for symbol in panel.symbols])
        return {"universe": np.broadcast_to(member, (len(panel.symbols), len(panel.times)))}

    return compute


def _market(config: LearnedConfig, panel: BarPanel) -> Any:
    return portfolio.Market(config, panel) if isinstance(config, PortfolioConfig) else algorithmic.Market(config, panel)  # type: ignore[arg-type]


def _scaler(config: LearnedConfig) -> Callable[[BarPanel], Mapping[str, float]]:
    """Return what fits the strategy's own scaler."""

    def fit(panel: BarPanel) -> Mapping[str, float]:
        scaler = _market(config, panel).scaler
        pairs = zip(features.FEATURES, scaler.mean.tolist(), scaler.std.tolist(), strict=True)
        return {
            f"{name} {what}": value for name, *both in pairs for what, value in zip(("mean", "std"), both, strict=True)
        }

    return fit


def _horizon(config: LearnedConfig) -> int:
    """Return how many bars after its decision a reward looks at."""
    return config.rebalance if isinstance(config, PortfolioConfig) else 1


def _rewards(config: LearnedConfig) -> leaks.Compute:
    """Return the rewards of the training environment to who is always invested, (T,), at the bars of its decisions."""

    def compute(panel: BarPanel) -> leaks.Columns:
        market = _market(config, panel)
        split, every = market.split, _horizon(config)
        if isinstance(config, PortfolioConfig):
            env = market.env(config, split.first, split.valid, copies=1, rebalance=every)
            action = torch.full((1, len(market.symbols) + 1), 1.0 / (len(market.symbols) + 1))
        else:
            env = market.env(config, 1)
            action = torch.full((1,), env.actions - 1)
        rewards = np.full(len(panel.times), np.nan)
        env.reset(0)
        for step in range(env.horizon):
            rewards[split.first + config.window - 1 + step * every] = float(env.step(action).reward[0])
        return {"reward": rewards}

    return compute


def _foresight(config: LearnedConfig, stop: int) -> Callable[[BarPanel], Floats]:
    """Return what a quick linear model makes of what the strategy sees of a market, (S, T)."""

    def positions(panel: BarPanel) -> Floats:
        named = {"symbols": list(panel.symbols)} if isinstance(config, PortfolioConfig) else {}
        scaled = _market(config.model_copy(update=named), panel).scaled.numpy()
        inputs = np.asarray(scaled, np.float64).reshape(len(panel.times), len(panel.symbols), -1)
        return leaks.probe(inputs, stop, np.asarray(panel.close, np.float64))

    return positions
