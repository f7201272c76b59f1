"""The fields that every strategy type has, and the groups of a form."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

DATA, TASK, AGENT, RISK = N_("Task and data"), N_("Rule"), N_("Agent"), N_("Risk and costs")


def _x(group: str, unit: str = "", **more: Any) -> dict[str, Any]:
    return {"group": group, "unit": unit, **more}


class StrategyConfig(BaseModel):
    """Fields every type has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = Field(
        "us-daily-adjusted",
        title=N_("Dataset"),
        description=N_("Its newest version when a run starts; name@1 stays on version 1."),
        json_schema_extra=_x(DATA, widget="dataset"),
    )
    commission_bp: float = Field(
        10.0,
        ge=0,
        le=1000,
        title=N_("Cost, each side"),
        description=N_("Of the traded value: commission, and slippage where no model below tells it."),
        json_schema_extra=_x(RISK, "bp"),
    )
    slippage: Literal["none", "fixed", "spread", "volume_share", "square_root"] = Field(
        "none",
        title=N_("Slippage"),
        description=N_(
            "What market and stop orders lose beyond that. Agents learn with it under the rules of a market; without "
            "any, with the fixed one only."
        ),
        json_schema_extra=_x(RISK),
    )
    slippage_bp: float = Field(
        5.0,
        ge=0,
        le=1000,
        title=N_("Fixed slippage"),
        description=N_("Lost at each fill."),
        json_schema_extra=_x(RISK, N_("bp of the price"), only={"slippage": "fixed"}),
    )
    spread: float = Field(
        0.01,
        ge=0,
        title=N_("Quoted spread"),
        description=N_("Half of it is lost at each fill."),
        json_schema_extra=_x(RISK, N_("money a share"), only={"slippage": "spread"}),
    )
    volume_impact: float = Field(
        0.1,
        ge=0,
        le=10,
        title=N_("Impact by volume share"),
        description=N_("Times the square of the order's share of the bar's volume, of the price."),
        json_schema_extra=_x(RISK, only={"slippage": "volume_share"}),
    )
    root_impact: float = Field(
        1.0,
        ge=0,
        le=10,
        title=N_("Impact by square root"),
        description=N_("Times the volatility of a bar and the root of the order's share of its volume, of the price."),
        json_schema_extra=_x(RISK, only={"slippage": "square_root"}),
    )
    participation_pct: float = Field(
        0.0,
        ge=0,
        le=100,
        title=N_("Volume limit"),
        description=N_(
            "The rest of a larger order is ordered again at the next bar. 0 means no limit. Agents learn without it."
        ),
        json_schema_extra=_x(RISK, N_("% of a bar's volume"), words={"0": N_("no limit")}),
    )
    order_maximum: Literal["split", "refuse"] = Field(
        "split",
        title=N_("Orders above the market's maximum"),
        description=N_("Given as several orders that obey it, or refused as the exchange refuses a single one."),
        json_schema_extra=_x(RISK),
    )

    borrow_pct: float = Field(
        0.0,
        ge=0,
        le=1000,
        title=N_("Borrow fee of shorts"),
        description=N_("Of the value of what is sold short, for each calendar day by 360."),
        json_schema_extra=_x(RISK, N_("% a year"), words={"0": N_("none")}),
    )
    funding_bp: float = Field(
        0.0,
        ge=-100,
        le=100,
        title=N_("Funding of perpetuals"),
        description=N_(
            "Of the value held, at 0, 8 and 16 h UTC; above zero longs pay shorts. Rates that come with the data "
            "take precedence."
        ),
        json_schema_extra=_x(RISK, N_("bp each 8 hours"), words={"0": N_("none")}),
    )

    @property
    def side_bp(self) -> float:
        """What a side of a trade costs whatever its size, in basis points: an agent without a market pays it."""
        return self.commission_bp + (self.slippage_bp if self.slippage == "fixed" else 0.0)

    def check_order(self, **dates: date | None) -> None:
        """Refuse dates that are not in the given order."""
        known = [(name, value) for name, value in dates.items() if value is not None]
        for (early, first), (late, second) in pairwise(known):
            if first >= second:
                raise Refusal(
                    "dates_out_of_order", N_("%(late)s must come after %(early)s."), field=late, early=early, late=late
                )
