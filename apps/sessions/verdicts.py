"""Verifications as pages, API and command show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.sessions.capsule_pages import path_text, short_text
from apps.sessions.engine.states import ACTIVE, State
from apps.sessions.engine.verifying import DIFFERENT, IDENTICAL, WITHIN_TOLERANCE
from apps.sessions.models import Session
from apps.sessions.notices import reason_text
from apps.sessions.presenters import value_text
from apps.sessions.value_words import value_words
from apps.ui.engine.numbers import number
from apps.ui.engine.text import N_
from apps.ui.prepared import prepared

VERDICTS = {
    IDENTICAL: N_("identical"), WITHIN_TOLERANCE: N_("within tolerance"), DIFFERENT: N_("different"),
}  # fmt: skip
SHAPES = {IDENTICAL: "pass", WITHIN_TOLERANCE: "pass", DIFFERENT: "fail"}
SHOWN = 5


@dataclass(frozen=True)
class Verdict:
    """One verification as a page shows it; ``word`` is the state while there is no verdict."""

    run: Session
    word: str
    shape: str
    css: str
    sentence: str
    differences: list[tuple[str, str, str]]
    active: bool


def verdict_of(run: Session) -> Verdict:
    document = run.verification
    if not run.verdict:
        sentence = reason_text(run.reason_code, run.reason)
        active = run.status in ACTIVE
        shape = "wait" if active else "fail" if run.status == State.FAILED else "pause"
        return Verdict(run, str(run.get_status_display()), shape, "", sentence, [], active)
    different = run.verdict == DIFFERENT
    rows = [
        (path_text(one["name"]), short_text(one["original"]), short_text(one["again"])) for one in document["capsule"]
    ]
    word = _(VERDICTS[run.verdict])
    return Verdict(run, word, SHAPES[run.verdict], "bad" if different else "good", _sentence(document), rows, False)


def _sentence(document: dict[str, Any]) -> str:
    """Say how much was compared, or where the runs part and with which values."""
    first, tolerance = document["first_difference"], document["tolerance"]
    if first is None:
        return _("%(count)s values are the same to the bit.") % {"count": number(document["compared"])}
    parts = {
        "metric": value_words(first["metric"], first["seed"]),
        "where": first["when"] or (number(first["step"]) if first["step"] is not None else "–"),
        "original": _exact(first["original"]), "again": _exact(first["again"]),
    }  # fmt: skip
    if first["step"] is None:
        text = _("The results differ first in %(metric)s: %(original)s, now %(again)s.") % parts
    elif first["when"]:
        text = _("They differ first on %(where)s in %(metric)s: %(original)s, now %(again)s.") % parts
    else:
        text = _("They differ first at step %(where)s in %(metric)s: %(original)s, now %(again)s.") % parts
    if tolerance:
        allowed = {"relative": f"{tolerance['relative']:g}", "absolute": f"{tolerance['absolute']:g}"}
        text += " " + _("On a GPU %(relative)s of the value, or %(absolute)s, may differ.") % allowed
    return text


def _exact(value: Any) -> str:
    """Return a value with every digit, since the last one may be what differs."""
    return repr(value) if isinstance(value, float) else value_text(value)


@prepared
def _verifications(session: int) -> QuerySet[Session]:
    return Session.objects.filter(verifies_id=session).order_by("-id")[:SHOWN]


def verification_context(session: Session) -> dict[str, Any]:
    """Return what the page shows: the run's own verdict, or the newest verifications of a completed run."""
    if session.verifies_id is not None:
        return {"verdict": verdict_of(session), "verifications": [], "can_verify": False}
    rows = _verifications(session.pk) if session.status == State.COMPLETED else []
    found = [verdict_of(run) for run in rows]
    running = any(one.active for one in found)
    can = session.status == State.COMPLETED and bool(session.capsule_hash) and not running
    return {"verdict": None, "verifications": found, "can_verify": can, "verifying": running}


def verification_document(run: Session) -> dict[str, Any]:
    """Return one verification for programs; without a verdict while it runs, or where it ended without one."""
    empty: dict[str, Any] = {"verdict": None, "first_difference": None, "tolerance": None, "compared": 0, "capsule": []}
    return {
        "session": run.pk, "original": run.verifies_id, "status": run.status, "finished_at": run.finished_at,
        **empty, **run.verification,
    }  # fmt: skip
