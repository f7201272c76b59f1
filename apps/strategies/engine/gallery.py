"""Examples over the built-in data: a first strategy is chosen, not written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.ui.engine.text import N_


@dataclass(frozen=True)
class Example:
    """A ready configuration and the sentence that says what one learns from it."""

    key: str
    name: str
    type: str
    lesson: str
    config: dict[str, Any]


_FOUR = ["AAPL", "GOOG", "IBM", "MSFT"]
_LEARNED = {"valid_start": "2010-01-04", "test_start": "2011-01-03"}
EXAMPLES: tuple[Example, ...] = (
    Example(
        "sma-aapl", N_("Moving averages on AAPL"), "rule",
        N_("The classic trend rule. Compare it with simply holding the share."),
        {"symbol": "AAPL", "rule": "sma_cross", "fast": 10, "slow": 30, "test_start": "2005-01-03"},
    ),
    Example(
        "rsi-ibm", N_("RSI reversal on IBM"), "rule",
        N_("Buys weakness and sells strength. Shows what a stop-loss does to such a rule."),
        {"symbol": "IBM", "rule": "rsi_reversal", "stop_loss": 8.0, "test_start": "2005-01-03"},
    ),
    Example(
        "hold-msft", N_("Buy and hold MSFT"), "rule",
        N_("The yardstick every other result is laid against."),
        {"symbol": "MSFT", "rule": "buy_and_hold", "test_start": "2005-01-03"},
    ),
    Example(
        "momentum-two", N_("The two strongest of four"), "allocation",
        N_("Holds what rose most in a year. Ranking needs no forecast, and still turns over."),
        {"symbols": _FOUR, "method": "top_k", "top": 2, "signal": "$close/Ref($close, 250) - 1",
         "test_start": "2005-01-03"},
    ),
    Example(
        "risk-parity-four", N_("Risk parity of four"), "allocation",
        N_("Every share carries the same risk. Compare its drawdown with equal weights."),
        {"symbols": _FOUR, "method": "risk_parity", "test_start": "2005-01-03"},
    ),
    Example(
        "dqn-quick", N_("DQN quick look"), "algorithmic_trading",
        N_("Ten episodes: enough to see the machine work, not enough to learn."),
        {"symbol": "AAPL", "episodes": 10, **_LEARNED},
    ),
    Example(
        "dqn-aapl", N_("DQN on AAPL"), "algorithmic_trading",
        N_("A double, duelling Q-network learns when to hold the share. The test years stay sealed."),
        {"symbol": "AAPL", "episodes": 100, **_LEARNED},
    ),
    Example(
        "equal-four", N_("Equal weight of four"), "portfolio",
        N_("Nothing to learn and hard to beat: the yardstick of every portfolio."),
        {"method": "equal_weight", "symbols": _FOUR, "train_start": "2004-08-19", "rebalance": 20, **_LEARNED},
    ),
    Example(
        "ppo-four", N_("PPO portfolio of four"), "portfolio",
        N_("A policy over softmax weights. Watch whether it beats equal weight after costs."),
        {"method": "ppo", "symbols": _FOUR, "train_start": "2004-08-19", **_LEARNED},
    ),
)  # fmt: skip


def example(key: str) -> Example | None:
    return next((item for item in EXAMPLES if item.key == key), None)
