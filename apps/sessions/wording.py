"""Words of the session pages that come from stored codes."""

from __future__ import annotations

from django.utils.translation import gettext as _

from apps.sessions.models import Status
from apps.ui.engine.text import N_

UNITS = {
    "episode": N_("episode"), "epoch": N_("epoch"), "bar": N_("bar"), "step": N_("step"), "update": N_("update"),
    "fold": N_("fold"), "trial": N_("trial"), "part": N_("part"), "run": N_("run"),
}  # fmt: skip


def unit_word(unit: str) -> str:
    """Return the unit of work in the reader's language; units of others are shown as they are."""
    return _(UNITS.get(unit, unit)) if unit else ""


def attempt_word(outcome: str) -> str:
    """Return how an attempt ended; it runs while nothing is recorded."""
    if not outcome:
        return _("running")
    if outcome == Status.QUEUED:
        return _("queued again")
    return str(dict(Status.choices).get(outcome, outcome))
