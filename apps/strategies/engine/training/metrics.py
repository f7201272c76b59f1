"""The metrics a training reports: what they are called and where they are drawn. Light to import."""

from __future__ import annotations

from dataclasses import dataclass

from apps.ui.engine.text import N_


@dataclass(frozen=True)
class Metric:
    """One curve: title and note (msgids), unit, place on the page, scale and better direction."""

    title: str
    note: str = ""
    unit: str = ""
    place: str = "small"
    log: bool = False
    good: str = "up"
    held_out: bool = False


METRICS: dict[str, Metric] = {
    "reward": Metric(N_("Reward"), N_("mean log return per step, bp"), N_("bp"), "half"),
    "loss": Metric(N_("Loss"), N_("of the updates, log scale"), place="half", log=True, good="down"),
    "valid_sharpe": Metric(
        N_("Sharpe ratio on unseen data"), N_("annualised, validation period, after costs"), place="full", held_out=True
    ),
    "valid_return": Metric(N_("Return on unseen data"), N_("validation period, after costs, %"), "%"),
    "epsilon": Metric(N_("Exploration")),
    "gradient_norm": Metric(N_("Gradient norm")),
    "q_mean": Metric(N_("Mean Q value")),
    "entropy": Metric(N_("Entropy")),
    "value_loss": Metric(N_("Value loss"), log=True, good="down"),
    "clip_share": Metric(N_("Clipped updates"), unit="%"),
    "learning_rate": Metric(N_("Learning rate")),
}
