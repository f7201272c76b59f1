"""Pages of the imports: the history, one of them with its progress, and the orders."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseStopPolling

from apps.accounts.identity import signed_in
from apps.marketdata.engine.import_states import HUMAN, LIVE, ImportState
from apps.marketdata.import_pages import import_context, reason_text
from apps.marketdata.models import ImportJob
from apps.marketdata.selectors import import_for_user, import_visible
from apps.marketdata.services.import_jobs import import_order
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

PAGE_SIZE = 25


@require_safe
@login_required
def imports(request: HttpRequest) -> HttpResponse:
    """The history, newest first; ``?state=`` filters it. The table alone for htmx."""
    user = signed_in(request)
    state = request.GET.get("state", "")
    rows = import_visible(user)
    if state in ImportState.__members__.values():
        rows = rows.filter(state=state)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    found: list[tuple[ImportJob, str]] = [(job, reason_text(job)) for job in page.object_list]
    context = {
        "page": page, "rows": found, "state": state, "states": [str(one) for one in ImportState],
        "live": any(job.state in LIVE for job, _reason in found), "show_owner": user.is_administrator,
    }  # fmt: skip
    template = "partials/imports_table.html" if request.headers.get("HX-Request") else "imports.html"
    return render(request, f"marketdata/{template}", context)


@require_safe
@login_required
def import_job(request: HttpRequest, pk: int) -> HttpResponse:
    """One import; for htmx its state alone, until it has ended."""
    context = import_context(import_for_user(signed_in(request), pk))
    if not request.headers.get("HX-Request"):
        return render(request, "marketdata/import_job.html", context)
    answer = render(request, "marketdata/partials/import_status.html", context)
    if not context["live"]:
        answer.status_code = HttpResponseStopPolling.status_code
    return answer


@require_POST
@login_required
def order(request: HttpRequest, pk: int, order: str) -> HttpResponse:
    """Cancel, resume or discard, and go back to it."""
    user = signed_in(request)
    job = import_for_user(user, pk)
    if order not in HUMAN:
        raise Http404
    try:
        import_order(job=job, order=order, actor=user)
    except Refusal as refusal:
        messages.error(request, refusal_text(refusal))
    else:
        said = {
            "cancel": _("It stops at the next file or block; what was read is kept."),
            "resume": _("It goes on."), "discard": _("What was read is discarded."),
        }  # fmt: skip
        messages.success(request, said[order])
    return redirect("marketdata:import_job", pk=pk)
