"""The configuration of portfolios built by a named method, without anything to learn."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from apps.marketdata.engine.features.expression import parse
from apps.strategies.engine.config_base import DATA, RISK, TASK, StrategyConfig, _x
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Method = Literal[
    "equal_weight", "inverse_volatility", "min_variance", "risk_parity", "max_sharpe", "top_k", "top_k_dropout",
    "ucrp", "eg", "pamr", "olmar", "universal",
]  # fmt: skip
OPTIMISERS = ("inverse_volatility", "min_variance", "risk_parity", "max_sharpe")
RANKED = ("top_k", "top_k_dropout")
ONLINE = ("ucrp", "eg", "pamr", "olmar", "universal")
PERIODIC = ("equal_weight", *OPTIMISERS, *RANKED)


class AllocationConfig(StrategyConfig):
    """Weights over many instruments by an optimiser, by rank of a signal, or by online selection."""

    symbols: list[str] = Field(
        default_factory=list,
        title=N_("Symbols"),
        description=N_("Empty means every symbol of the data, or of the universe."),
        json_schema_extra=_x(DATA, widget="symbols", words={"": N_("all")}),
    )
    universe: str = Field(
        "",
        max_length=64,
        title=N_("Universe"),
        description=N_("A dated membership of the data: only its members of the day are held. Empty means none."),
        json_schema_extra=_x(DATA, widget="universe", words={"": N_("none")}),
    )
    test_start: date | None = Field(
        None,
        title=N_("Unseen from"),
        description=N_("Bars from this day on count as out of sample."),
        json_schema_extra=_x(DATA),
    )
    method: Method = Field(
        "top_k_dropout",
        title=N_("Method"),
        description=N_("How money is spread over the instruments."),
        json_schema_extra=_x(TASK),
    )
    signal: str = Field(
        "$close/Ref($close, 20) - 1",
        max_length=500,
        title=N_("Signal"),
        description=N_("An expression in Qlib's syntax; the highest values are held."),
        json_schema_extra=_x(TASK, widget="expression", only={"method": list(RANKED)}),
    )
    top: int = Field(
        10,
        ge=1,
        le=2000,
        title=N_("Held at once"),
        description=N_("Instruments with the highest signal."),
        json_schema_extra=_x(TASK, only={"method": list(RANKED)}),
    )
    drop: int = Field(
        2,
        ge=1,
        le=2000,
        title=N_("Exchanged at most"),
        description=N_("The lowest of those held give way to better ones; the others keep their shares."),
        json_schema_extra=_x(TASK, only={"method": "top_k_dropout"}),
    )
    window: int = Field(
        60,
        ge=10,
        le=1000,
        title=N_("Window"),
        description=N_("Past returns from which risk is estimated."),
        json_schema_extra=_x(TASK, N_("bars"), only={"method": list(OPTIMISERS)}),
    )
    rebalance: int = Field(
        20,
        ge=1,
        le=250,
        title=N_("Rebalance every"),
        description=N_("Bars between two changes of weights."),
        json_schema_extra=_x(RISK, N_("bars"), only={"method": list(PERIODIC)}),
    )
    invest: float = Field(
        95.0,
        gt=0,
        le=100,
        title=N_("Invested"),
        description=N_("The rest stays cash."),
        json_schema_extra=_x(RISK, N_("% of equity")),
    )

    @model_validator(mode="after")
    def _consistent(self) -> AllocationConfig:
        if self.method in RANKED:
            try:
                parse(self.signal)
            except Refusal as refusal:
                raise Refusal(refusal.code, refusal.message, field="signal", **refusal.params) from None
        if self.method == "top_k_dropout" and self.drop > self.top:
            raise Refusal("drop_above_top", N_("No more can be exchanged than are held at once."), field="drop")
        return self
