"""Pages of this room: dashboard, search, monitoring, and the scrape of Prometheus."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts.identity import signed_in
from apps.monitoring import metrics
from apps.monitoring.engine.resources import resources
from apps.monitoring.selectors import dashboard as dashboards
from apps.monitoring.selectors import search as searches
from apps.monitoring.selectors import system


@require_safe
@login_required
def dashboard(request: HttpRequest) -> HttpResponse:
    context = {
        "board": dashboards.dashboard(signed_in(request)),
        "machine": resources(settings.VAR_DIR),
        "slots": settings.SLOTS,
    }
    return render(request, "monitoring/dashboard.html", context)


@require_safe
@login_required
def search(request: HttpRequest) -> HttpResponse:
    query = request.GET.get("q", "")
    groups = searches.search(signed_in(request), query)
    palette = getattr(request, "htmx", False) and request.htmx.target == "palette"  # type: ignore[attr-defined]
    template = "monitoring/partials/palette.html" if palette else "monitoring/search.html"
    response = render(request, template, {"groups": groups, "query": query.strip()[:100]})
    response["Vary"] = "HX-Request, HX-Target, Cookie"
    return response


@require_safe
@login_required
def overview(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    context = {
        "states": system.sessions_by_state(user),
        "machine": resources(settings.VAR_DIR),
        "machinery": system.machinery() if user.is_administrator else None,
    }
    return render(request, "monitoring/overview.html", context)


@require_safe
@never_cache
def scrape(request: HttpRequest) -> HttpResponse:
    """The metrics, for whoever holds ``METRICS_TOKEN``; without one, for this machine alone."""
    if not metrics.may_scrape(request):
        return HttpResponse("The metrics need a token.\n", status=401, content_type="text/plain; charset=utf-8")
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)
