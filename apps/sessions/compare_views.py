"""The page that lays sessions side by side; its address can be shared."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.accounts.identity import signed_in
from apps.sessions import comparing
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

NOTHING_CHOSEN = 2


@require_safe
@login_required
def compare(request: HttpRequest) -> HttpResponse:
    """Two to ``comparing.MOST`` sessions, named by ``?s=7&s=9``."""
    given = request.GET
    try:
        choice = comparing.choice_of(given.getlist("s"), given.get("align", ""), given.get("smoothing", ""))
        sessions = comparing.chosen_sessions(signed_in(request), choice.ids)
    except Refusal as refusal:
        return _page(request, {"error": refusal_text(refusal), "sessions": []}, refusal.status)
    context = {"choice": choice, "sessions": sessions, "most": comparing.MOST, "columns": _columns(sessions)}
    if len(sessions) >= NOTHING_CHOSEN:
        context |= {
            "overlays": comparing.overlays(sessions, choice),
            "coordinates": comparing.coordinates(sessions),
            "tables": [
                (_("Results"), _("on the data each was tested on; the best is bold"), comparing.figure_rows(sessions)),
                (_("Configuration"), _("what differs first"), comparing.config_rows(sessions)),
                (_("What it took"), "", comparing.resource_rows(sessions)),
            ],
        }
    return _page(request, context, 200)


def _columns(sessions: list[comparing.Session]) -> list[tuple[comparing.Session, str]]:
    return [(session, comparing.LINES[place]) for place, session in enumerate(sessions)]


def _page(request: HttpRequest, context: dict[str, object], status: int) -> HttpResponse:
    return render(request, "sessions/compare.html", context, status=status)
