"""Filters of the monitoring pages: ``{% load monitoring %}``."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from apps.sessions.engine.states import ON_A_WORKER
from apps.sessions.models import Session
from apps.ui.engine.text import N_
from apps.ui.templatetags.ui import shape, span

register = template.Library()
#: Below this share of the work the remaining time would be a guess.
LEAST_SHARE = 0.005
VERDICTS = {"pass": ("pass", N_("Pass")), "not_yet": ("notyet", N_("Not yet")), "fail": ("fail", N_("Fail"))}


@register.filter
def time_left(session: Session) -> str:
    """How long a running session still takes at the pace so far, in words; a dash while unknown."""
    if session.status not in ON_A_WORKER or session.progress < LEAST_SHARE:
        return span(None)
    return span(session.seconds_used * (1 - session.progress) / session.progress)


@register.filter
def best_score(session: Session) -> float | None:
    """The best score on unseen data so far; read when the row was loaded without it, as a push does."""
    if hasattr(session, "best_score"):
        score: float | None = session.best_score
        return score
    return session.checkpoints.filter(is_best=True).order_by("-id").values_list("score", flat=True).first()


@register.simple_tag
def verdict(word: str) -> SafeString:
    """The verdict of a report as a shape and a word; a dash where the run was not judged."""
    if word not in VERDICTS:
        return mark_safe('<span class="q">–</span>')
    kind, text = VERDICTS[word]
    return format_html('<span class="stt">{}{}</span>', shape(kind), gettext(text))
