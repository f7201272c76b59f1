"""The page of administrators about workers and live connections."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.identity import signed_in
from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.monitoring.engine.resources import resources
from apps.monitoring.selectors import system
from apps.monitoring.selectors.workers import lost_rows, worker_list, worker_rows
from apps.sessions.live.registry import connection_close, connection_list, connection_rows, live_figures
from apps.sessions.services.workers import worker_drain

PAGE = 20


@require_safe
@never_cache
@login_required
def machinery(request: HttpRequest) -> HttpResponse:
    """The whole page, or what changes by itself for htmx; for administrators."""
    return _shown(request, signed_in(request))


@require_POST
@login_required
def drain(request: HttpRequest, pk: int) -> HttpResponse:
    return _drained(request, pk, draining=True)


@require_POST
@login_required
def undrain(request: HttpRequest, pk: int) -> HttpResponse:
    return _drained(request, pk, draining=False)


@require_POST
@login_required
def close_connection(request: HttpRequest, connection_id: str) -> HttpResponse:
    """Close one connection; one that has gone meanwhile is what was wanted."""
    user = signed_in(request)
    closed = connection_close(actor=user, connection_id=connection_id)
    if request.headers.get("HX-Request"):
        return _shown(request, user)
    if not closed:
        messages.info(request, _("This connection had ended already."))
    return redirect("monitoring:machinery")


def _drained(request: HttpRequest, pk: int, *, draining: bool) -> HttpResponse:
    user = signed_in(request)
    worker_drain(worker=get_object_or_404(worker_list(user), pk=pk), actor=user, draining=draining)
    return _shown(request, user) if request.headers.get("HX-Request") else redirect("monitoring:machinery")


def _shown(request: HttpRequest, user: User) -> HttpResponse:
    require_permission(user, "user.admin")
    workers = Paginator(worker_list(user), PAGE).get_page(request.GET.get("page"))
    sort = request.GET.get("sort", "")
    connections = Paginator(connection_list(sort), PAGE).get_page(request.GET.get("connections"))
    names = list(worker_list(user).values_list("name", flat=True))
    context = {
        "workers": workers,
        "rows": worker_rows(list(workers.object_list)),
        "lost": lost_rows(names),
        "connections": connections,
        "sockets": connection_rows(connections.object_list),
        "live": live_figures(),
        "queue_age": system.queue_age(),
        "events_per_second": system.events_per_second(),
        "machine": resources(settings.VAR_DIR),
        "query": request.GET.urlencode(),
    }
    partial = request.headers.get("HX-Request") and not request.headers.get("HX-Boosted")
    template = "monitoring/partials/machinery.html" if partial else "monitoring/machinery.html"
    response = render(request, template, context)
    response["Vary"] = "HX-Request, Cookie"
    return response
