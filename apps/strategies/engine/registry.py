"""Strategy types: their configuration and, as dotted strings, what trains and decides.

Strings keep torch out of every process that only lists types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from apps.strategies.engine.config import AlgorithmicTradingConfig, PortfolioConfig, RuleConfig
from apps.strategies.engine.config_allocation import AllocationConfig
from apps.strategies.engine.config_base import StrategyConfig
from apps.ui.engine.config import FieldError, InvalidConfig, validated
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

__all__ = ["TYPES", "FieldError", "InvalidConfig", "StrategyType", "parse_config", "strategy_type"]


@dataclass(frozen=True)
class StrategyType:
    """One kind of strategy. ``train`` is empty where there is nothing to learn."""

    key: str
    label: str
    summary: str
    config: type[StrategyConfig]
    decide: str
    train: str = ""

    def load(self, entry: str) -> Callable[..., Any]:
        module, _, name = getattr(self, entry).partition(":")
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function

    def trains(self, config: StrategyConfig) -> bool:
        """Tell whether this configuration has anything to learn."""
        return bool(self.train) and getattr(config, "method", "") != "equal_weight"


TYPES: dict[str, StrategyType] = {
    t.key: t
    for t in (
        StrategyType(
            "rule", N_("Rule"), N_("A fixed rule on one instrument."), RuleConfig,
            decide="apps.strategies.engine.rules:decide",
        ),
        StrategyType(
            "allocation", N_("Allocation"), N_("Many instruments, weighted by a named method."), AllocationConfig,
            decide="apps.strategies.engine.allocation:decide",
        ),
        StrategyType(
            "algorithmic_trading", N_("Algorithmic trading"), N_("An agent trades one instrument."),
            AlgorithmicTradingConfig,
            decide="apps.strategies.engine.training.algorithmic:decide",
            train="apps.strategies.engine.training.algorithmic:train",
        ),
        StrategyType(
            "portfolio", N_("Portfolio"), N_("Weights over several instruments."), PortfolioConfig,
            decide="apps.strategies.engine.training.portfolio:decide",
            train="apps.strategies.engine.training.portfolio:train",
        ),
    )
}  # fmt: skip


def strategy_type(key: str) -> StrategyType:
    try:
        return TYPES[key]
    except KeyError:
        raise Refusal(
            "unknown_strategy_type", N_("There is no strategy type %(type)s."), status=404, type=key
        ) from None


def parse_config(type_key: str, values: Mapping[str, Any]) -> StrategyConfig:
    """Return the validated configuration, or raise ``InvalidConfig`` with an error per field."""
    return validated(strategy_type(type_key).config, values)
