"""How the metrics of a run look on its page: label, note, place and scale."""

from __future__ import annotations

from dataclasses import replace

from django.utils.translation import gettext as _

from apps.strategies.engine.training.metrics import METRICS, Metric

COMMON = ("reward", "loss", "valid_sharpe")
#: What a type reports beside the common ones; anything else is drawn once it is reported.
BY_TYPE = {
    "algorithmic_trading": ("epsilon", "learning_rate", "gradient_norm", "q_mean"),
    "portfolio": ("entropy", "learning_rate", "gradient_norm", "value_loss"),
}


def known_metrics(type_key: str) -> list[str]:
    """Return the metrics every training of a type reports, in page order."""
    return [*COMMON, *BY_TYPE.get(type_key, ())]


def look_of(name: str) -> Metric:
    """Return the look of a metric in the reader's language; one nobody described is drawn small."""
    look = METRICS.get(name)
    if look is None:
        return Metric(name.replace("_", " ").capitalize())
    return replace(
        look, title=_(look.title), note=_(look.note) if look.note else "", unit=_(look.unit) if look.unit else ""
    )
