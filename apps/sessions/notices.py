"""The sentences sessions tell people, and why a session waits, failed or was interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.notices import register
from apps.sessions.metrics import look_of
from apps.ui.engine.numbers import compact, number
from apps.ui.engine.text import N_

NOTICES = {
    "session.completed": N_("%(title)s has finished (session %(id)s)."),
    "session.failed": N_("%(title)s has failed (session %(id)s)."),
    "session.interrupted": N_("%(title)s was interrupted (session %(id)s); it can be resumed."),
}
REASONS = {
    "lost": N_("The process stopped without a word; it goes on from its last checkpoint."),
    "crashed": N_("The process ended with code %(exit)s; it goes on from its last checkpoint."),
    "unsaved": N_("Its process ended before it could save once more; what was saved before is kept."),
    "raised": N_("It ended with %(error)s; it goes on from its last checkpoint."),
    "crashed_too_often": N_("It ended again and again without getting further: %(attempts)s."),
    "shutdown": N_("The worker was stopped; it goes on from its last checkpoint."),
    "time_limit": N_("The time limit of %(limit)s s was reached. Resume it with a longer one."),
    "memory_limit": N_(
        "It used %(used)s MB of memory and may use %(limit)s MB. The last checkpoint is intact; resume it with a higher limit."  # noqa: E501
    ),
    "disk_full": N_("The disk is full: %(detail)s. The last checkpoint is intact; free some space and resume."),
}
#: How each attempt of a session that was given up ended.
ENDS = {
    "lost": N_("attempt %(number)s stopped without a word"),
    "crashed": N_("attempt %(number)s ended with code %(exit)s"),
    "raised": N_("attempt %(number)s ended with %(error)s"),
    "": N_("attempt %(number)s: %(code)s"),
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
#: The numbers behind each code. What is in them is formatted by ``FORMS``.
DETAILS = {
    "not_finite": N_("%(name)s was %(value)s."),
    "divergence": N_(
        "%(name)s is at %(measured)s; up to %(threshold)s is taken for noise (100 times its best level %(best)s, at least 10 times its first %(first)s)."  # noqa: E501
    ),
    "plateau": N_(
        "Over the last %(share)s%% of the run %(name)s gained %(measured)s%%, from %(before)s to %(value)s; less than %(threshold)s%% counts as no gain."  # noqa: E501
    ),
    "exploding_gradient": N_(
        "%(name)s is at %(measured)s over the last 10 points; it was %(usual)s, and up to %(threshold)s (50 times that, at least 10) is usual."  # noqa: E501
    ),
    "dead_policy": N_(
        "%(name)s stayed below %(threshold)s for %(points)s points and is at %(measured)s; it began at %(start)s."
    ),
    "stalled": N_(
        "No step for %(measured)s s; up to %(threshold)s s is usual here (5 times the longest pause of %(longest)s s, at least 30 s)."  # noqa: E501
    ),
    "slower": N_(
        "%(measured)s steps a second over %(seconds)s s; it was %(usual)s, and below %(threshold)s (a tenth) is a collapse."  # noqa: E501
    ),
    "memory_growth": N_(
        "It uses %(used_mb)s MB, %(mb_a_minute)s MB more each minute, and meets its limit of %(limit_mb)s MB in %(measured)s s; less than %(threshold)s s is flagged."  # noqa: E501
    ),
}


def flag_details(flag: Mapping[str, Any]) -> str:
    """Return what the detector measured, its threshold and since when; empty for a flag that brings no numbers."""
    params = _titled(flag)
    code = "slower" if "pace" in params else str(flag.get("code", ""))
    if "measured" not in params or code not in DETAILS:
        return ""
    shown = {name: compact(value, 3) if isinstance(value, int | float) else value for name, value in params.items()}
    try:
        text = gettext(DETAILS[code]) % shown
    except (KeyError, TypeError, ValueError):
        return ""
    return " ".join(filter(None, (text, _since(params))))


def _titled(flag: Mapping[str, Any]) -> dict[str, Any]:
    """Return the params of a flag, with the metric it is about as the page calls it."""
    params = dict(flag.get("params") or {})
    return params | {"name": look_of(str(params["name"])).title} if params.get("name") else params


def _since(params: Mapping[str, Any]) -> str:
    step, at = params.get("since_step"), params.get("since_at")
    clock = f"{timezone.localtime(datetime.fromtimestamp(at, tz=UTC)):%H:%M:%S}" if at else ""
    if step is not None and clock:
        return gettext("Since step %(step)s, %(clock)s.") % {"step": number(step), "clock": clock}
    if clock:
        return gettext("Since %(clock)s.") % {"clock": clock}
    return gettext("Since step %(step)s.") % {"step": number(step)} if step else ""


def flag_message(flag: Mapping[str, Any]) -> str:
    """Return the sentence of a flag with its numbers, for programs and the command line."""
    details = flag_details(flag)
    return f"{flag_text(flag)}: {details}" if details else flag_text(flag)


def flag_text(flag: Mapping[str, Any]) -> str:
    """Return the sentence of a flag; the metric it is about follows where the flag names one."""
    code, name = str(flag.get("code", "")), _titled(flag).get("name")
    text = gettext(FLAGS.get(code, code))
    return f"{text} ({name})" if name else text


def register_notices() -> None:
    for code, message in NOTICES.items():
        register(code, message)


def reason_text(code: str, reason: Mapping[str, Any]) -> str:
    """Return the sentence for a session's ``reason_code``; a refusal brings its own msgid along."""
    if not code:
        return ""
    code = _closer(code, reason)
    message = str(reason.get("message") or REASONS.get(code) or code)
    params = dict(reason)
    if reason.get("each"):
        params["attempts"] = gettext("; ").join(map(_end, reason["each"]))
    try:
        return gettext(message) % params
    except (KeyError, TypeError, ValueError):
        return gettext(message)


def _end(end: Mapping[str, Any]) -> str:
    return gettext(ENDS.get(_closer(str(end.get("code")), end), ENDS[""])) % dict(end)


def _closer(code: str, reason: Mapping[str, Any]) -> str:
    """Return what says more of a crash than its code where the run has said its error."""
    return "raised" if code == "crashed" and reason.get("error") else code
