"""Pages of the sessions, and the fragments they ask for while no socket is up."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect, HttpResponseClientRefresh, HttpResponseStopPolling

from apps.accounts.identity import signed_in
from apps.accounts.permissions import has_permission
from apps.sessions import pages
from apps.sessions.api_documents import session_document
from apps.sessions.engine.states import FINAL, ON_A_WORKER, Command
from apps.sessions.figures import curves_document
from apps.sessions.limits import MOST, given_limits
from apps.sessions.live.partials import FRAGMENTS, fragments
from apps.sessions.logs import PAGE_LINES, LogLines, log_path
from apps.sessions.models import Kind, Session, Status
from apps.sessions.presenters import buttons_of
from apps.sessions.selectors import (
    session_for_user,
    session_list,
    sessions_listed,
    strategies_seen,
    tags_seen,
    waiting_seen,
)
from apps.sessions.services.commands import give
from apps.sessions.services.sessions import session_clone, session_create
from apps.strategies.models import StrategyVersion
from apps.strategies.selectors import strategy_visible
from apps.ui.engine.refusal import Refusal
from apps.ui.npm_finder import available
from apps.ui.refusals import refusal_text
from apps.ui.tables import MOST_ROWS, csv_file

PAGE_SIZE = 25
#: Fields a page may post for a run; the service checks their values.
RUN_FIELDS = (
    "start",
    "end",
    "capital",
    "benchmark",
    "benchmark_dataset",
    "market_rules",
    "goal_pct",
    "checkpoint_session",
    "override_reason",
    "study",
    "mode",
    "open_holdout",
)
#: All that a start form posts, for sending it again with a reason.
POSTED = {*RUN_FIELDS, *MOST, "version", "kind"}


@require_safe
@login_required
def sessions(request: HttpRequest) -> HttpResponse:
    """The list: the whole page, its table alone for htmx, or the same rows as CSV."""
    user, filters = signed_in(request), filters_of(request)
    asked = {**filters, "sort": filters["sort"] or "-id"}
    if request.GET.get("format") == "csv":
        return _csv(session_list(user, **asked))
    found = sessions_listed(user, **asked)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": pages.rows_of(list(page.object_list)),
        "filters": filters,
        "filtered": any(value for name, value in filters.items() if name != "sort"),
        "show_owner": user.is_administrator,
    }
    if request.headers.get("HX-Request"):
        return render(request, "sessions/partials/table.html", context)
    return render(request, "sessions/list.html", context | _list_head(user))


def _csv(rows: QuerySet[Session]) -> HttpResponse:
    columns = (
        "id", "title", "kind", "status", "reason_code", "strategy_id", "version", "dataset", "owner", "created",
        "started_at", "finished_at", "seconds_used", "progress", "result_return", "result_sharpe", "out_of_sample",
        "tags",
    )  # fmt: skip
    documents = map(session_document, rows[:MOST_ROWS])
    lines = (document | {"tags": " ".join(document["tags"])} for document in documents)
    return csv_file("sessions.csv", columns, (map(line.get, columns) for line in lines))


def filters_of(request: HttpRequest) -> dict[str, Any]:
    """Return the filters of the list as the address names them; what it does not understand filters nothing."""
    given = request.GET
    strategy = given.get("strategy", "")
    return {
        "status": given.get("status", "") if given.get("status") in Status.values else "",
        "kind": given.get("kind", "") if given.get("kind") in Kind.values else "",
        "strategy": int(strategy) if strategy.isdecimal() and len(strategy) < 18 else None,
        "search": given.get("search", "").strip()[:100],
        "tag": given.get("tag", "").replace("\x00", "")[:32],
        "sort": given.get("sort", ""),
    }


def _list_head(user: Any) -> dict[str, Any]:
    return {
        "statuses": Status.choices,
        "kinds": Kind.choices,
        "strategies": strategies_seen(user),
        "tags": tags_seen(user),
        "waiting": waiting_seen(user),
        "on_worker": Session.objects.filter(status__in=ON_A_WORKER).count(),
        "slots": settings.SLOTS,
    }


@require_safe
@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    user = signed_in(request)
    session = session_for_user(user, pk)
    watching = not pages.may_command(session, user)
    context = pages.detail_context(session, watching=watching) | pages.label_context(session, user)
    context["view"] = "detail-watch" if watching else "detail"
    document = curves_document(session) if session.kind == Kind.TRAINING else {}
    drawing = {"curves_document": document, "seq": session.last_seq, "charts_available": available() and bool(document)}
    return render(request, "sessions/detail.html", context | drawing)


@require_safe
@login_required
def fragment(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """One fragment of the session page, or ``all`` of them out of band; stops the polling at the end."""
    user = signed_in(request)
    session = session_for_user(user, pk)
    view = "detail" if pages.may_command(session, user) else "detail-watch"
    known = FRAGMENTS[view]
    if name != "all" and name not in known:
        raise Http404
    body = "".join(fragments(session, view, list(known) if name == "all" else [name]))
    return HttpResponse(body, status=HTTPStatus.OK if pages.is_live(session) else HttpResponseStopPolling.status_code)


@require_safe
@login_required
def curves(request: HttpRequest, pk: int) -> JsonResponse:
    return JsonResponse(curves_document(session_for_user(signed_in(request), pk)))


@require_POST
@login_required
def start(request: HttpRequest) -> HttpResponse:
    """Queue a run of a strategy's version: training, or backtest with its dates and capital."""
    user, given = signed_in(request), request.POST
    pk = given.get("version", "")
    if not pk.isdecimal() or len(pk) > 17:
        raise Http404
    visible = StrategyVersion.objects.select_related("strategy").filter(strategy__in=strategy_visible(user))
    version = get_object_or_404(visible, pk=int(pk))
    params = {name: given[name] for name in RUN_FIELDS if given.get(name)}
    try:
        session = session_create(
            owner=user, version=version, kind=given.get("kind", ""), params=params, **given_limits(given.dict())
        )
    except Refusal as refusal:
        if refusal.code != "data_blocked":
            raise
        return _blocked(request, refusal)
    if request.headers.get("HX-Request"):
        return HttpResponseClientRedirect(reverse("sessions:detail", args=[session.pk]))
    return redirect("sessions:detail", session.pk)


def _blocked(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Lead to the findings and, for those who may run nevertheless, take the reason for the same run."""
    kept = [(name, value) for name, value in request.POST.items() if name in POSTED and name != "override_reason"]
    context = {
        "text": refusal_text(refusal), "refusal": refusal, "dataset": refusal.params["dataset_id"], "kept": kept,
        "may_override": has_permission(signed_in(request), "data.override"),
    }  # fmt: skip
    template = "sessions/partials/blocked.html" if request.headers.get("HX-Request") else "sessions/override.html"
    return render(request, template, context, status=refusal.status)


@require_POST
@login_required
def command(request: HttpRequest, pk: int, command: str) -> HttpResponse:
    """Give a command; htmx gets the fragments that changed, a browser without scripts the page."""
    user = signed_in(request)
    before = session_for_user(user, pk, write=True)
    session = give(session=before, command=_human(command), actor=user)
    if not request.headers.get("HX-Request"):
        return redirect("sessions:detail", pk)
    if before.status in FINAL or session.status in FINAL:
        return HttpResponseClientRefresh()
    return HttpResponse("".join(fragments(session, "detail", ["status", "actions", "notice", "progress"])))


def _human(command: str) -> Command:
    if command not in {"pause", "resume", "cancel", "retry"}:
        raise Http404
    return Command(command)


@require_safe
@login_required
def confirm(request: HttpRequest, pk: int, command: str) -> HttpResponse:
    """The second step of a command that cannot be taken back."""
    session = session_for_user(signed_in(request), pk, write=True)
    button = next((one for one in buttons_of(session) if one.command == command and one.confirm), None)
    if button is None:
        _human(command)
        messages.warning(request, _("The session has moved on; this can no longer be done."))
        return redirect("sessions:detail", pk)
    return render(request, "sessions/confirm.html", {"session": session, "button": button})


@require_POST
@login_required
def clone(request: HttpRequest, pk: int) -> HttpResponse:
    user = signed_in(request)
    made = session_clone(session=session_for_user(user, pk), actor=user)
    return redirect("sessions:detail", made.pk)


@require_safe
@login_required
def log(request: HttpRequest, pk: int) -> HttpResponse:
    """The whole log, page by page; the last page first."""
    session = session_for_user(signed_in(request), pk)
    paginator = Paginator(LogLines(log_path(pk)), PAGE_LINES)
    page = paginator.get_page(request.GET.get("page", paginator.num_pages))
    context = {"session": session, "page": page, "has_file": log_path(pk).is_file()}
    return render(request, "sessions/log.html", context)


@require_safe
@login_required
def log_download(request: HttpRequest, pk: int) -> FileResponse:
    session_for_user(signed_in(request), pk)
    path = log_path(pk)
    if not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=f"session-{pk}.log", content_type="text/plain")
