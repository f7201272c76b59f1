"""The ledger of trials of one idea."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.strategies.selectors import strategy_for_user
from apps.strategies.trials import trial_count, trials_of

PAGE = 50


@require_safe
@login_required
def trials(request: HttpRequest, pk: int) -> HttpResponse:
    """Every trial of the strategy and its copies, newest first."""
    user: Any = request.user
    strategy = strategy_for_user(user, pk)
    context = {
        "strategy": strategy,
        "total": trial_count(strategy),
        "trials": Paginator(trials_of(strategy), PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "strategies/trials.html", context)
