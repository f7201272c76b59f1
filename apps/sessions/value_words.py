"""What the values of a result are called: metrics of a training, figures of a report, and where they stand in it."""

from __future__ import annotations

from django.utils.translation import gettext as _

from apps.sessions.metrics import look_of
from apps.sessions.presenters import baseline_word
from apps.strategies.engine.training.metrics import METRICS
from apps.trading.engine.glossary import GLOSSARY
from apps.ui.engine.numbers import number
from apps.ui.engine.text import N_

#: Parts of a result and columns by bar; figures have their words in the glossary.
PLACES = {
    "time": N_("Time"), "cash": N_("Cash"), "equity": N_("Equity"), "benchmark": N_("Benchmark"),
    "test": N_("On unseen data"), "valid": N_("On validation data"), "train": N_("On training data"),
    "metrics": N_("Figures"), "benchmark_metrics": N_("Benchmark"), "baselines": N_("Baselines"),
    "best_checkpoint": N_("Best checkpoint"), "weights": N_("Weights"), "sha256": N_("hash"), "step": N_("step"),
    "trades": N_("Trades"), "open_positions": N_("Open positions"), "fills": N_("Fills"),
    "refused": N_("Refused orders"), "curves": N_("Curves"), "holdings": N_("Holdings"), "monthly": N_("Months"),
    "drawdowns": N_("Drawdowns"), "by_symbol": N_("By symbol"), "by_reason": N_("By reason"), "luck": N_("Luck"),
    "leaks": N_("Looking ahead"), "robustness": N_("Robustness"), "stress": N_("Stress"),
    "break_even": N_("Break-even costs"), "cost_curve": N_("By costs"), "costs": N_("Costs"),
    "market": N_("Market rules"), "period": N_("Period"), "walk_forward": N_("Walk-forward"),
    "sweep": N_("Parameter sweep"), "capital": N_("Capital"), "symbols": N_("Symbols"), "findings": N_("Findings"),
    "headline": N_("Headline"), "verdict": N_("Verdict"),
}  # fmt: skip
BASELINES = "baselines"


def value_words(name: str, seed: int | None = None) -> str:
    """Return what a value is called in the reader's language, given its metric or its dotted path in a result.

    Positions stay numbers; what nobody gave a word is shown without its underscores.
    """
    if name in METRICS:
        words = look_of(name).title
    else:
        parts = name.split(".")
        words = ": ".join(_word(part, before) for before, part in zip(["", *parts], parts, strict=False))
    return words if seed is None else _("%(name)s, seed %(seed)s") % {"name": words, "seed": seed}


def _word(part: str, before: str) -> str:
    if part.isdecimal():
        return number(int(part) + 1)
    if before == BASELINES:
        return baseline_word(part)
    if part in PLACES and not (before and part in GLOSSARY):
        return _(PLACES[part])
    return _(GLOSSARY[part].title) if part in GLOSSARY else part.replace("_", " ")
