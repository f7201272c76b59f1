"""The page of one metric over many sessions, where those to compare are ticked."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.accounts.identity import signed_in
from apps.sessions import comparing, ranking
from apps.sessions.metrics import look_of
from apps.sessions.models import Kind, Status
from apps.sessions.views import filters_of

PAGE_SIZE = 50


@require_safe
@login_required
def metric(request: HttpRequest) -> HttpResponse:
    """Sessions by ``?name=``, the metric that most likely matters without one."""
    user, filters = signed_in(request), filters_of(request)
    names = ranking.metric_names(user)
    name = request.GET.get("name", "")
    if name not in names:
        name = "valid_sharpe" if "valid_sharpe" in names else next(iter(names), "")
    sort = filters.pop("sort") or ("-last" if look_of(name).good == "up" else "last")
    rows = ranking.rows_listed(user, name, sort=sort, **filters)
    context = {
        "names": [(one, look_of(one).title) for one in names],
        "name": name,
        "look": look_of(name),
        "filters": filters,
        "page": Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")),
        "chart": ranking.distribution_chart(rows, name),
        "statuses": Status.choices,
        "kinds": Kind.choices,
        "most": comparing.MOST,
    }
    return render(request, "sessions/metric.html", context)
