"""API of administrators: calendars of one's own."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from apps.accounts.identity import signed_in
from apps.accounts.permissions import require_permission
from apps.marketdata.models import Calendar
from apps.marketdata.services.calendars import MOST_DAYS, calendar_delete, calendar_document, calendar_save

router = Router(tags=["markets"])
Days = Annotated[list[date], Field(max_length=MOST_DAYS)]


class CalendarBody(Schema):
    """``week`` like ``Mon-Fri 09:30-11:30 13:00-15:00; Sat 10:00-12:00``, in the hours of ``time_zone``."""

    time_zone: Annotated[str, Field(max_length=64)]
    week: Annotated[str, Field(max_length=1000)]
    first: date
    last: date
    title: Annotated[str, Field(max_length=120)] = ""
    closed: Days = []
    extra: Days = []


@router.get("/data/calendars", summary="Calendars of one's own")
def calendars(
    request: HttpRequest, offset: int = Query(0, ge=0), limit: int = Query(50, ge=1, le=200)
) -> dict[str, Any]:
    require_permission(signed_in(request), "user.admin")
    rows = Calendar.objects.all()
    return {"calendars": [calendar_document(row) for row in rows[offset : offset + limit]], "total": rows.count()}


@router.put("/data/calendars/{name}", summary="Define a calendar, or replace what it said")
def save(request: HttpRequest, name: str, body: CalendarBody) -> dict[str, Any]:
    require_permission(signed_in(request), "user.admin")
    return calendar_document(calendar_save(actor=signed_in(request), name=name, **body.dict()))


@router.delete("/data/calendars/{name}", summary="Take a calendar away that nothing uses")
def remove(request: HttpRequest, name: str) -> dict[str, Any]:
    require_permission(signed_in(request), "user.admin")
    row = Calendar.objects.filter(name=name).first()
    if row is None:
        raise Http404
    calendar_delete(actor=signed_in(request), row=row)
    return {"removed": name}
