"""The sentences sessions tell people, and why a session waits, failed or was interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

from apps.accounts.notices import register
from apps.ui.engine.text import N_

NOTICES = {
    "session.completed": N_("%(title)s has finished (session %(id)s)."),
    "session.failed": N_("%(title)s has failed (session %(id)s)."),
    "session.interrupted": N_("%(title)s was interrupted (session %(id)s); it can be resumed."),
}
REASONS = {
    "lost": N_("The process stopped without a word; it goes on from its last checkpoint."),
    "crashed": N_("The process ended with code %(exit)s; it goes on from its last checkpoint."),
    "crashed_too_often": N_("Every attempt crashed: %(attempts)s."),
    "shutdown": N_("The worker was stopped; it goes on from its last checkpoint."),
    "time_limit": N_("The time limit of %(limit)s s was reached. Resume it with a longer one."),
    "memory_limit": N_(
        "It used %(used)s MB of memory and may use %(limit)s MB. The last checkpoint is intact; resume it with a higher limit."  # noqa: E501
    ),
    "disk_full": N_("The disk is full: %(detail)s. The last checkpoint is intact; free some space and resume."),
}
#: What the watch over a run may find, by its code.
FLAGS = {
    "not_finite": N_("A value became infinite or undefined"),
    "divergence": N_("The loss is growing away"),
    "plateau": N_("It has stopped learning"),
    "exploding_gradient": N_("The gradient is exploding"),
    "dead_policy": N_("The policy always chooses the same"),
    "stalled": N_("The throughput has collapsed"),
    "memory_growth": N_("Memory grows and will hit its limit"),
}


def flag_text(flag: Mapping[str, Any]) -> str:
    """Return the sentence of a flag; the metric it is about follows where the flag names one."""
    code, name = str(flag.get("code", "")), (flag.get("params") or {}).get("name")
    text = gettext(FLAGS.get(code, code))
    return f"{text} ({name})" if name else text


def register_notices() -> None:
    for code, message in NOTICES.items():
        register(code, message)


def reason_text(code: str, reason: Mapping[str, Any]) -> str:
    """Return the sentence for a session's ``reason_code``; a refusal brings its own msgid along."""
    if not code:
        return ""
    message = str(reason.get("message") or REASONS.get(code) or code)
    try:
        return gettext(message) % dict(reason)
    except (KeyError, TypeError, ValueError):
        return gettext(message)
