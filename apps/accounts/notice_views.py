"""Pages and fragments of what a person was told."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import selectors, services
from apps.accounts.identity import signed_in
from apps.accounts.models import User
from apps.accounts.notices import notice_text, toasts_context

PAGE = 25
#: htmx's word for "stop polling".
STOP = 286


@login_required
@require_GET
def notices(request: HttpRequest) -> HttpResponse:
    unread = request.GET.get("show") == "unread"
    rows = selectors.notices_listed(signed_in(request), unread)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    for notice in page.object_list:
        notice.text = notice_text(notice)  # type: ignore[attr-defined]
    return render(request, "accounts/notices.html", {"page": page, "unread_only": unread})


@require_GET
def notices_poll(request: HttpRequest) -> HttpResponse:
    """What floats over the page, for this person; 204 while it is what the page shows already."""
    if not request.user.is_authenticated:
        return HttpResponse(status=STOP, headers={"HX-Reswap": "none"})
    context = _toasts(request.user, polling="polling" in request.GET)
    if context["state"] == request.GET.get("state"):
        return HttpResponse(status=204)
    return render(request, "accounts/partials/notices.html", context)


@login_required
@require_POST
def notice_read(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark a notice as read; one of somebody else is not there to mark."""
    notice = selectors.notice_for_user(signed_in(request), pk)
    services.notices_read(notice.user, notice.pk)
    if not request.headers.get("HX-Request"):
        return redirect("accounts:notices")
    context = _toasts(notice.user, polling="polling" in request.GET)
    return render(request, "accounts/partials/notices.html", context)


@login_required
@require_POST
def notices_read_all(request: HttpRequest) -> HttpResponse:
    services.notices_read(signed_in(request))
    return redirect("accounts:notices")


def _toasts(user: User, *, polling: bool) -> dict[str, object]:
    unread = selectors.notices_of(user, unread=True).count()
    return {**toasts_context(selectors.toasts_of(user, recent=polling), unread, polling=polling), "counted": True}
