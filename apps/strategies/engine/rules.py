"""Strategies of the type rule: what the configuration says, in the kernel's words."""

from __future__ import annotations

from apps.marketdata.engine.bars import BarPanel
from apps.strategies.engine.config import RuleConfig
from apps.strategies.engine.ports import Decisions, NamedRule, Policy


def decide(config: RuleConfig, panel: BarPanel, policy: Policy | None = None) -> Decisions:
    """Return the named rule with its parameters; the kernel computes it. Refuses an unknown symbol."""
    panel.index_of(config.symbol)
    if config.rule == "sma_cross":
        return NamedRule("sma_cross", {"fast": config.fast, "slow": config.slow})
    if config.rule == "rsi_reversal":
        return NamedRule("rsi_reversal", {"window": config.rsi_window, "low": config.rsi_low, "high": config.rsi_high})
    return NamedRule("buy_and_hold", {})
