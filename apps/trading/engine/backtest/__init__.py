"""The backtester: one compiled kernel behind a named rule, a signal array or target weights.

All doors write the same fill ledger. A decision at the close of bar t fills at the open of the
next bar that trades. A name is loaded when it is asked for: what runs loads numba, bars and
markets do not, so that a training under market rules begins without it.

    result = run_rule("sma_cross", {"fast": 10, "slow": 30}, bars, Costs(rate=0.001))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from apps.trading.engine.ledger import LEDGER, REASONS

if TYPE_CHECKING:
    from apps.trading.engine.backtest.bars import Bars
    from apps.trading.engine.backtest.depth import Depth
    from apps.trading.engine.backtest.market import Market
    from apps.trading.engine.backtest.on_bar import Context, OrderRun, run_on_bar
    from apps.trading.engine.backtest.options import (
        FLAT,
        HOLD,
        LONG,
        REFUSALS,
        SHORT,
        Options,
        Result,
    )
    from apps.trading.engine.backtest.orders import Order, Spread, SquareRoot, VolumeShare
    from apps.trading.engine.backtest.run import (
        Sweep,
        rule_targets,
        run_rule,
        run_targets,
        run_weights,
        sweep,
        warm,
    )

#: The module of this package in which each name is at home.
_HOMES = {
    "bars": "Bars",
    "depth": "Depth",
    "market": "Market",
    "on_bar": "Context OrderRun run_on_bar",
    "options": "FLAT HOLD LONG REFUSALS SHORT Options Result",
    "orders": "Order Spread SquareRoot VolumeShare",
    "run": "Sweep rule_targets run_rule run_targets run_weights sweep warm",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


__all__ = [
    "FLAT",
    "HOLD",
    "LEDGER",
    "LONG",
    "REASONS",
    "REFUSALS",
    "SHORT",
    "Bars",
    "Context",
    "Depth",
    "Market",
    "Options",
    "Order",
    "OrderRun",
    "Result",
    "Spread",
    "SquareRoot",
    "Sweep",
    "VolumeShare",
    "rule_targets",
    "run_on_bar",
    "run_rule",
    "run_targets",
    "run_weights",
    "sweep",
    "warm",
]
