"""Pages of administrators: calendars of one's own."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.identity import signed_in
from apps.accounts.permissions import require_permission
from apps.marketdata.engine.calendars import EXAMPLE
from apps.marketdata.market_api import status_or_reason
from apps.marketdata.models import Calendar
from apps.marketdata.services.calendars import (
    calendar_delete,
    calendar_document,
    calendar_save,
    read_day,
    read_days,
)
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

PAGE_SIZE = 25
FIELDS = ("name", "title", "time_zone", "week", "first", "last", "closed", "extra")


@require_safe
@login_required
def calendars(request: HttpRequest) -> HttpResponse:
    """All of them, each with what its market does now."""
    require_permission(signed_in(request), "user.admin")
    page = Paginator(Calendar.objects.all(), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "marketdata/calendars.html", {"page": page})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def calendar(request: HttpRequest, name: str = "") -> HttpResponse:
    """The form of one, or of a new one; a refusal stands at its field."""
    user = signed_in(request)
    require_permission(user, "user.admin")
    row = Calendar.objects.filter(name=name).first() if name else None
    if name and row is None:
        raise Http404
    values, errors = _values(row), {}
    if request.method == "POST":
        values = {field: request.POST.get(field, "").strip() for field in FIELDS}
        values["name"] = name or values["name"]
        try:
            saved = _save(user, values)
        except Refusal as refusal:
            errors = {refusal.field or "name": refusal_text(refusal)}
        else:
            messages.success(request, _("The calendar %(name)s is saved.") % {"name": saved.name})
            return redirect("marketdata:calendar", name=saved.name)
    context = {
        "row": row, "values": values, "errors": errors, "example": EXAMPLE,
        "status": status_or_reason(name) if row and not errors else None,
    }  # fmt: skip
    return render(request, "marketdata/calendar.html", context, status=422 if errors else 200)


def _values(row: Calendar | None) -> dict[str, Any]:
    if row is None:
        return dict.fromkeys(FIELDS, "")
    document = calendar_document(row)
    return {**document, "closed": "\n".join(document["closed"]), "extra": "\n".join(document["extra"])}


def _save(user: Any, values: dict[str, str]) -> Calendar:
    return calendar_save(
        actor=user, name=values["name"], title=values["title"], time_zone=values["time_zone"], week=values["week"],
        first=read_day(values["first"], "first"), last=read_day(values["last"], "last"),
        closed=read_days(values["closed"], "closed"), extra=read_days(values["extra"], "extra"),
    )  # fmt: skip


@require_POST
@login_required
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """Take one away that nothing uses."""
    user = signed_in(request)
    require_permission(user, "user.admin")
    row = Calendar.objects.filter(name=name).first()
    if row is None:
        raise Http404
    try:
        calendar_delete(actor=user, row=row)
    except Refusal as refusal:
        messages.error(request, refusal_text(refusal))
        return redirect("marketdata:calendar", name=name)
    messages.success(request, _("The calendar %(name)s is removed.") % {"name": name})
    return redirect("marketdata:calendars")
