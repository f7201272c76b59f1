"""Configurations, declared once per strategy type: schema, form, API and ``--set`` follow.

Every field carries a title, help and, in ``json_schema_extra``, its ``group`` and ``unit``.
Percentages and basis points are entered as people say them (5 means 5 %). Texts are msgids.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from apps.strategies.engine.config_base import AGENT, DATA, RISK, TASK, StrategyConfig, _x
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


class RuleConfig(StrategyConfig):
    """A rule on one instrument, computed by the compiled kernel."""

    symbol: str = Field(
        "AAPL",
        title=N_("Symbol"),
        description=N_("One instrument of the dataset."),
        json_schema_extra=_x(DATA, widget="symbol"),
    )
    test_start: date | None = Field(
        None,
        title=N_("Unseen from"),
        description=N_("Bars from this day on count as out of sample."),
        json_schema_extra=_x(DATA),
    )
    rule: Literal["sma_cross", "rsi_reversal", "buy_and_hold"] = Field(
        "sma_cross", title=N_("Rule"), description=N_("What decides to be in the market."), json_schema_extra=_x(TASK)
    )
    fast: int = Field(
        10,
        ge=1,
        le=500,
        title=N_("Fast average"),
        description=N_("Used by the moving-average rule."),
        json_schema_extra=_x(TASK, N_("bars"), only={"rule": "sma_cross"}),
    )
    slow: int = Field(
        30,
        ge=2,
        le=1000,
        title=N_("Slow average"),
        description=N_("Longer than the fast one."),
        json_schema_extra=_x(TASK, N_("bars"), only={"rule": "sma_cross"}),
    )
    rsi_window: int = Field(
        14,
        ge=2,
        le=250,
        title=N_("RSI window"),
        description=N_("Wilder's smoothing."),
        json_schema_extra=_x(TASK, N_("bars"), only={"rule": "rsi_reversal"}),
    )
    rsi_low: float = Field(
        30,
        gt=0,
        lt=100,
        title=N_("Buy below"),
        description=N_("Buys when the RSI falls below this level."),
        json_schema_extra=_x(TASK, only={"rule": "rsi_reversal"}),
    )
    rsi_high: float = Field(
        70,
        gt=0,
        lt=100,
        title=N_("Sell above"),
        description=N_("Sells when the RSI rises above this level."),
        json_schema_extra=_x(TASK, only={"rule": "rsi_reversal"}),
    )
    sizing: Literal["equity_fraction", "fixed_shares"] = Field(
        "equity_fraction",
        title=N_("Sizing"),
        description=N_("Whole shares; priced at the close of the signal."),
        json_schema_extra=_x(RISK),
    )
    fraction: float = Field(
        95.0,
        gt=0,
        le=100,
        title=N_("Share of equity"),
        description=N_("Invested when the rule is in the market."),
        json_schema_extra=_x(RISK, N_("% of equity"), only={"sizing": "equity_fraction"}),
    )
    shares: int = Field(
        1000,
        ge=1,
        title=N_("Shares"),
        description=N_("Bought on each entry."),
        json_schema_extra=_x(RISK, N_("shares"), only={"sizing": "fixed_shares"}),
    )
    stop_loss: float | None = Field(
        None,
        gt=0,
        lt=100,
        title=N_("Stop-loss"),
        description=N_("Empty means none; a gap fills at the open."),
        json_schema_extra=_x(RISK, N_("% below entry"), words={"": N_("none")}),
    )
    take_profit: float | None = Field(
        None,
        gt=0,
        title=N_("Take-profit"),
        description=N_("Empty means none; the stop comes first inside a bar."),
        json_schema_extra=_x(RISK, N_("% above entry"), words={"": N_("none")}),
    )
    armed: Literal["at_once", "next_bar"] = Field(
        "at_once",
        title=N_("Protection armed"),
        description=N_("On the bar of the entry, or on the one after it."),
        json_schema_extra=_x(RISK),
    )

    @model_validator(mode="after")
    def _consistent(self) -> RuleConfig:
        if self.rule == "sma_cross" and self.fast >= self.slow:
            raise Refusal(
                "fast_not_below_slow", N_("The fast average must be shorter than the slow one."), field="fast"
            )
        if self.rule == "rsi_reversal" and self.rsi_low >= self.rsi_high:
            raise Refusal("rsi_levels", N_("The buy level must lie below the sell level."), field="rsi_low")
        return self


class LearnedConfig(StrategyConfig):
    """Fields of every type that learns."""

    train_start: date | None = Field(
        None,
        title=N_("Train from"),
        description=N_("Empty means the first bar."),
        json_schema_extra=_x(DATA, words={"": N_("the first bar")}),
    )
    valid_start: date = Field(
        date(2010, 1, 4),
        title=N_("Validate from"),
        description=N_("Chooses the checkpoint."),
        json_schema_extra=_x(DATA),
    )
    test_start: date = Field(
        date(2011, 1, 3),
        title=N_("Test from"),
        description=N_("Never seen while learning."),
        json_schema_extra=_x(DATA),
    )
    test_end: date | None = Field(
        None,
        title=N_("Test to"),
        description=N_("Empty means the last bar."),
        json_schema_extra=_x(DATA, words={"": N_("the last bar")}),
    )
    compat: Literal["", "trademaster"] = Field(
        "",
        title=N_("Accounting"),
        description=N_("Empty is correct accounting; trademaster repeats that program's, errors included."),
        json_schema_extra=_x(AGENT),
    )
    window: int = Field(
        20,
        ge=2,
        le=250,
        title=N_("Window"),
        description=N_("Past bars the agent sees."),
        json_schema_extra=_x(AGENT, N_("bars")),
    )
    learning_rate: float = Field(
        0.0005, gt=0, le=1, title=N_("Learning rate"), description=N_("Step size of Adam."), json_schema_extra=_x(AGENT)
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", title=N_("Learning rate over time"), json_schema_extra=_x(AGENT),
        description=N_("Constant, or down to a hundredth at the end of the training."),
    )  # fmt: skip
    gamma: float = Field(
        0.95, ge=0, le=1, title=N_("Discount"), description=N_("Weight of later rewards."), json_schema_extra=_x(AGENT)
    )
    hidden: int = Field(
        64,
        ge=4,
        le=2048,
        title=N_("Hidden units"),
        description=N_("Width of both hidden layers."),
        json_schema_extra=_x(AGENT),
    )
    seed: int = Field(
        42, ge=0, le=2**31 - 1, title=N_("Seed"), description=N_("Same seed, same curve."), json_schema_extra=_x(AGENT)
    )
    seeds: int = Field(
        1,
        ge=1,
        le=256,
        title=N_("Seeds"),
        description=N_("Trained side by side from the seed upwards."),
        json_schema_extra=_x(AGENT),
    )
    patience: int = Field(
        0,
        ge=0,
        title=N_("Early stopping"),
        description=N_("Validations without a better score before it ends; 0 means never."),
        json_schema_extra=_x(AGENT, N_("validations"), words={"0": N_("off")}),
    )

    @model_validator(mode="after")
    def _dates(self) -> LearnedConfig:
        self.check_order(
            train_start=self.train_start,
            valid_start=self.valid_start,
            test_start=self.test_start,
            test_end=self.test_end,
        )
        return self


class AlgorithmicTradingConfig(LearnedConfig):
    """One asset, long, flat or short; a DQN decides after each close."""

    symbol: str = Field(
        "AAPL",
        title=N_("Symbol"),
        description=N_("One instrument of the dataset."),
        json_schema_extra=_x(DATA, widget="symbol"),
    )
    agent: Literal["dqn"] = Field(
        "dqn", title=N_("Agent"), description=N_("Deep Q-network."), json_schema_extra=_x(AGENT)
    )
    double: bool = Field(
        True,
        title=N_("Double"),
        description=N_("One network chooses, the other values: less over-estimation."),
        json_schema_extra=_x(AGENT),
    )
    duelling: bool = Field(
        True,
        title=N_("Duelling"),
        description=N_("Separates the value of a state from the gain of an action."),
        json_schema_extra=_x(AGENT),
    )
    allow_short: bool = Field(
        False,
        title=N_("May sell short"),
        description=N_("Adds the short position to the actions."),
        json_schema_extra=_x(RISK),
    )
    episodes: int = Field(
        100,
        ge=1,
        le=100_000,
        title=N_("Episodes"),
        description=N_("One episode walks the training period once."),
        json_schema_extra=_x(AGENT),
    )
    batch: int = Field(
        64,
        ge=1,
        le=65_536,
        title=N_("Batch"),
        description=N_("Transitions of one update."),
        json_schema_extra=_x(AGENT),
    )
    buffer: int = Field(
        20_000,
        ge=64,
        le=10_000_000,
        title=N_("Replay buffer"),
        description=N_("Transitions remembered."),
        json_schema_extra=_x(AGENT),
    )
    epsilon_start: float = Field(
        1.0,
        ge=0,
        le=1,
        title=N_("Exploration at the start"),
        description=N_("Share of random actions."),
        json_schema_extra=_x(AGENT),
    )
    epsilon_end: float = Field(
        0.05,
        ge=0,
        le=1,
        title=N_("Exploration at the end"),
        description=N_("Reached after half of the training."),
        json_schema_extra=_x(AGENT),
    )
    target_update: float = Field(
        0.01,
        gt=0,
        le=1,
        title=N_("Target update"),
        description=N_("Share of the online network mixed in at each update."),
        json_schema_extra=_x(AGENT),
    )


class PortfolioConfig(LearnedConfig):
    """Several assets and cash; weights by PPO, or equal."""

    symbols: list[str] = Field(
        default_factory=list,
        title=N_("Symbols"),
        description=N_("Empty means every symbol with bars over all periods."),
        json_schema_extra=_x(DATA, widget="symbols", words={"": N_("all")}),
    )
    method: Literal["ppo", "equal_weight"] = Field(
        "ppo",
        title=N_("Method"),
        description=N_("PPO learns softmax weights; equal weight is the yardstick."),
        json_schema_extra=_x(AGENT),
    )
    rebalance: int = Field(
        1,
        ge=1,
        le=250,
        title=N_("Rebalance every"),
        description=N_("Bars between two changes of weights."),
        json_schema_extra=_x(RISK, N_("bars")),
    )
    invest: float = Field(
        95.0,
        gt=0,
        le=100,
        title=N_("Invested"),
        description=N_("The rest stays cash."),
        json_schema_extra=_x(RISK, N_("% of equity")),
    )
    epochs: int = Field(
        100,
        ge=1,
        le=100_000,
        title=N_("Epochs"),
        description=N_("Rollout and update count as one."),
        json_schema_extra=_x(AGENT),
    )
    copies: int = Field(
        32,
        ge=1,
        le=8192,
        title=N_("Environment copies"),
        description=N_("Rolled out together."),
        json_schema_extra=_x(AGENT),
    )
    horizon: int = Field(
        64,
        ge=8,
        le=4096,
        title=N_("Rollout length"),
        description=N_("Steps of each copy per epoch."),
        json_schema_extra=_x(AGENT, N_("bars")),
    )
    clip: float = Field(
        0.2,
        gt=0,
        lt=1,
        title=N_("Clip"),
        description=N_("Furthest change of the policy ratio."),
        json_schema_extra=_x(AGENT),
    )
    entropy: float = Field(
        0.001,
        ge=0,
        le=1,
        title=N_("Entropy bonus"),
        description=N_("Keeps the policy exploring."),
        json_schema_extra=_x(AGENT),
    )
