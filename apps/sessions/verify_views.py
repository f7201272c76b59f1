"""The button Verify, and the part of the page that shows what came of it."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.identity import signed_in
from apps.sessions.selectors import session_for_user
from apps.sessions.services.verifying import session_verify
from apps.sessions.verdicts import verification_context


@require_POST
@login_required
def verify(request: HttpRequest, pk: int) -> HttpResponse:
    """Queue the run again; its page shows the progress and has the button to stop it."""
    user = signed_in(request)
    run = session_verify(session=session_for_user(user, pk), actor=user)
    return redirect("sessions:detail", run.pk)


@require_safe
@login_required
def verifications(request: HttpRequest, pk: int) -> HttpResponse:
    """The verifications of a session, asked for again while one of them runs."""
    session = session_for_user(signed_in(request), pk)
    return render(request, "sessions/partials/verification.html", {"session": session, **verification_context(session)})
