"""The backtester: one compiled kernel behind a named rule, a signal array or target weights.

All doors write the same fill ledger. A decision at the close of bar t fills at the open of the
next bar that trades. Importing this package loads numba: only processes that compute do it.

    result = run_rule("sma_cross", {"fast": 10, "slow": 30}, bars, Costs(rate=0.001))
"""

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
    Bars,
    Sweep,
    rule_targets,
    run_rule,
    run_targets,
    run_weights,
    sweep,
    warm,
)
from apps.trading.engine.ledger import LEDGER, REASONS

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
