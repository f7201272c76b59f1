"""Tags and notes, trying again with changes, and deleting with what hangs on it shown first."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.identity import signed_in
from apps.accounts.models import User
from apps.marketdata.selectors import dataset_to_override
from apps.sessions.limits import MOST, default_time_limit, given_limits
from apps.sessions.models import Kind, Session
from apps.sessions.selectors import session_for_user, session_owned
from apps.sessions.services.deleting import attached, check_deletable, session_delete
from apps.sessions.services.labels import session_label, split_tags
from apps.sessions.services.sessions import RUN_FIELDS, session_again
from apps.strategies.engine.registry import InvalidConfig
from apps.strategies.forms import ConfigForm, config_form, posted_values
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text


@require_POST
@login_required
def labels(request: HttpRequest, pk: int) -> HttpResponse:
    user, given = signed_in(request), request.POST
    session_label(
        session=session_for_user(user, pk, write=True), actor=user,
        tags=split_tags(given.get("tags", "")), notes=given.get("notes", ""),
    )  # fmt: skip
    messages.success(request, _("Tags and notes are saved."))
    return redirect("sessions:detail", pk)


@require_http_methods(["GET", "POST"])
@login_required
def again(request: HttpRequest, pk: int) -> HttpResponse:
    """The configuration of a run as a form; sending it queues a new session linked to this one."""
    user = signed_in(request)
    session = session_for_user(user, pk)
    key, posted = session.version.strategy.type, request.method == "POST"
    values = posted_values(key, request.POST) if posted else dict(session.config)
    form, error = config_form(user, key, values, base=session.config), ""
    if posted:
        try:
            made = _again(request, session, values)
        except InvalidConfig as invalid:
            form.add_errors(invalid)
        except Refusal as refusal:
            error = _place(form, refusal)
        else:
            return redirect("sessions:detail", made.pk)
    wrong = bool(form.errors or error)
    context = {
        "session": session, "form": form, "error": error, "run": _run_values(request, session),
        "blocked": dataset_to_override(user, str(values.get("dataset", ""))),
        "override_reason": request.POST.get("override_reason", _own_reason(user, session)),
        "market_rules": (request.POST if posted else session.params).get("market_rules", ""),
        "limits": _limit_values(request, session), "default_time_limit": default_time_limit(session.kind),
    }  # fmt: skip
    return render(request, "sessions/again.html", context, status=422 if wrong else 200)


def _own_reason(user: User, session: Session) -> str:
    return str(session.params.get("override_reason", "")) if user.pk == session.owner_id else ""


def _again(request: HttpRequest, session: Session, values: dict[str, Any]) -> Session:
    given = request.POST
    fields = RUN_FIELDS if session.kind == Kind.BACKTEST else ("market_rules", "override_reason")
    run = {name: given[name].strip() for name in fields if name in given}
    limits = given_limits(given.dict())
    if "memory_limit_mb" in given:
        limits.setdefault("memory_limit_mb", 0)  # Emptied: the installation's.
    return session_again(session=session, actor=signed_in(request), overrides=values, params=run, **limits)


def _limit_values(request: HttpRequest, session: Session) -> dict[str, str]:
    if request.method == "POST":
        return {name: request.POST.get(name, "") for name in MOST}
    return {name: str(getattr(session, name) or "") for name in MOST}


def _place(form: ConfigForm, refusal: Refusal) -> str:
    """Put a refusal at its field where the form has it, else return it as the page's error."""
    if refusal.field in form.type.config.model_fields:
        form.errors[str(refusal.field)] = refusal_text(refusal)
        return ""
    return refusal_text(refusal)


def _run_values(request: HttpRequest, session: Session) -> dict[str, str]:
    """Return what the fields of the run hold; nothing for a training, which has none."""
    if session.kind != Kind.BACKTEST:
        return {}
    source = request.POST if request.method == "POST" else session.params
    values = {name: source.get(name, "") for name in RUN_FIELDS}
    return {name: f"{value:.12g}" if isinstance(value, float) else str(value) for name, value in values.items()}


@require_http_methods(["GET", "POST"])
@login_required
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """What goes and what stays; sending the form deletes."""
    user = signed_in(request)
    session = session_owned(user, pk)
    if request.method == "POST":
        session_delete(session=session, actor=user)
        messages.success(request, _("Session %(id)s is deleted.") % {"id": pk})
        return redirect("sessions:list")
    error = ""
    try:
        check_deletable(session)
    except Refusal as refusal:
        error = refusal_text(refusal)
    return render(request, "sessions/delete.html", {"session": session, "attached": attached(session), "error": error})
