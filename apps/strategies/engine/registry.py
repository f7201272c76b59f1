"""Strategy types: their configuration and, as dotted strings, what trains and decides.

Strings keep torch out of every process that only lists types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from apps.strategies.engine.config import AlgorithmicTradingConfig, PortfolioConfig, RuleConfig, StrategyConfig
from apps.strategies.engine.config_allocation import AllocationConfig
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


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


@dataclass(frozen=True)
class FieldError:
    """One wrong field: a msgid with its params, for the form, the API and the command line."""

    field: str
    message: str
    params: dict[str, Any]


class InvalidConfig(Refusal):
    """A configuration with errors at its fields."""

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors
        first = errors[0]
        super().__init__("invalid_config", first.message, field=first.field, **first.params)


#: pydantic's error types in words people read; anything else keeps pydantic's own.
MESSAGES = {
    "missing": N_("This field is needed."),
    "extra_forbidden": N_("There is no such field."),
    "greater_than": N_("Enter more than %(gt)s."),
    "greater_than_equal": N_("Enter %(ge)s or more."),
    "less_than": N_("Enter less than %(lt)s."),
    "less_than_equal": N_("Enter %(le)s or less."),
    "int_parsing": N_("Enter a whole number."),
    "int_from_float": N_("Enter a whole number."),
    "int_type": N_("Enter a whole number."),
    "float_parsing": N_("Enter a number."),
    "float_type": N_("Enter a number."),
    "finite_number": N_("Enter a number."),
    "bool_parsing": N_("Enter yes or no."),
    "date_from_datetime_parsing": N_("Enter a date such as 2011-01-03."),
    "date_parsing": N_("Enter a date such as 2011-01-03."),
    "date_type": N_("Enter a date such as 2011-01-03."),
    "literal_error": N_("Choose one of %(expected)s."),
    "list_type": N_("Enter a list."),
    "string_type": N_("Enter a text."),
}


def parse_config(type_key: str, values: Mapping[str, Any]) -> StrategyConfig:
    """Return the validated configuration, or raise ``InvalidConfig`` with an error per field."""
    try:
        return strategy_type(type_key).config.model_validate(dict(values))
    except ValidationError as error:
        raise InvalidConfig(
            [
                FieldError(
                    str(item["loc"][0]) if item["loc"] else "",
                    MESSAGES.get(item["type"], item["msg"].replace("%", "%%")),
                    dict(item.get("ctx", {})),
                )
                for item in error.errors(include_url=False, include_input=False)
            ]
        ) from None
    except InvalidConfig:
        raise
    except Refusal as refusal:
        raise InvalidConfig([FieldError(refusal.field or "", refusal.message, refusal.params)]) from None
