"""What only a strategy and its market know of a run, for its report.

Runs in the process of a session: importing it loads numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.strategies.engine.allocation import members as members_of
from apps.strategies.engine.config_base import StrategyConfig
from apps.strategies.engine.markets import TradedMarket
from apps.strategies.engine.ports import Decisions, TargetWeights
from apps.trading.engine.backtest import HOLD, Options
from apps.trading.engine.report import Baseline, Universe
from apps.trading.engine.report.curves import day_texts
from apps.trading.engine.report.ranking import signal_quality

Floats = NDArray[np.float64]


def facts_of(
    config: StrategyConfig, decisions: Decisions, rows: list[int], aims: Floats | None, market: TradedMarket,
    members: Baseline,
) -> dict[str, Any]:  # fmt: skip
    """Return the fields of ``Setting`` for what was wanted, lots, the market's change, the universe and the signal.

    ``aims`` (S, T) are of the traded ``rows``; ``members`` is the equity of the members of the day.
    """
    first, panel = market.first, market.panel
    rules = market.rules(rows)
    found: dict[str, Any] = {
        "aims": aims,
        "lots": None if rules is None else np.stack([rules.minimum, rules.step], axis=1),
        "market_change": _change(np.asarray(panel.close[rows, first:], np.float64)),
    }
    universe, every = getattr(config, "universe", ""), getattr(config, "rebalance", 1)
    if universe and panel.meta.get("membership"):
        belongs = members_of(panel, universe)[:, first:]
        frozen = market.equal_members(universe, every, frozen=True)
        found["universe"] = Universe(universe, belongs, rows, members.equity, frozen)
    if isinstance(decisions, TargetWeights) and decisions.scores is not None:
        days = day_texts(panel.times[first:], panel.frequency == "1d")
        opens = np.asarray(panel.fields["open"], np.float64)
        found["signal"] = signal_quality(decisions.scores, opens, panel.times[first:], days, first)
    return found


def _change(close: Floats) -> float | None:
    """Return the mean change of instruments (S, T) from their first to their last known close."""
    changes = []
    for row in close:
        known = row[np.isfinite(row) & (row > 0)]
        if len(known) > 1:
            changes.append(float(known[-1] / known[0] - 1.0))
    return float(np.mean(changes)) if changes else None


def aims_of(wanted: NDArray[np.int8], options: Options) -> Floats | None:
    """Return the part of the equity wanted (1, T) where a side is taken; None where shares are fixed."""
    if options.sizing != "equity_fraction":
        return None
    sides = np.where(wanted < 0, wanted if options.allow_short else 0, wanted)
    decided = np.flatnonzero(sides != HOLD)
    before = np.concatenate([[0], sides[decided]])[:-1]
    taken = decided[(sides[decided] != before) & (sides[decided] != 0)]
    aims = np.full((1, len(sides)), np.nan)
    aims[0, taken] = options.fraction
    return aims
