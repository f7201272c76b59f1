"""Calendars of one's own: defined, changed and taken away by administrators."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.accounts.services import audit
from apps.marketdata.engine.calendars import CustomCalendar, checked, read_week, write_week
from apps.marketdata.models import Calendar, CalendarDay, Dataset, Feed
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

MOST_DAYS = 2000
OUTSIDE = N_("%(day)s lies outside the calendar, which knows %(first)s to %(last)s.")
BOTH = N_("%(day)s cannot be closed and open at once.")
TOO_MANY = N_("At most %(most)s single days.")
BAD_DAY = N_("“%(value)s” is not a day. Write days like 2024-10-01.")
IN_USE = N_("%(name)s is used by %(users)s. Change or archive those first.")


def read_days(text: str, field: str) -> list[date]:
    """Read days parted by commas, blanks or lines; raises ``Refusal`` ``bad_day``."""
    found = []
    for word in text.replace("\uff0c", ",").replace(",", " ").split():
        try:
            found.append(date.fromisoformat(word))
        except ValueError:
            raise Refusal("bad_day", BAD_DAY, field=field, value=word[:40]) from None
    return found


def read_day(text: str, field: str) -> date:
    """Read one day; raises ``Refusal`` ``bad_day``."""
    days = read_days(text, field)
    if len(days) != 1:
        raise Refusal("bad_day", BAD_DAY, field=field, value=text[:40] or "–")
    return days[0]


def calendar_save(
    *, actor: User | None, name: str, time_zone: str, week: str, first: date, last: date, title: str = "",
    closed: Iterable[date] = (), extra: Iterable[date] = (),
) -> Calendar:  # fmt: skip
    """Define the calendar ``name``, or replace what it said. The program itself (None) may, and administrators.

    Raises ``Refusal`` (422, 409) with the field at fault.
    """
    _require(actor)
    own = checked(name, time_zone, week, first, last)
    shut, opened = set(closed), set(extra)
    _check_days(own, shut, opened)
    values = {
        "title": " ".join(title.replace("\x00", "").split())[:120],
        "time_zone": time_zone, "week": write_week(own.week),
        "first": first, "last": last, "changed_by": actor, "changed": timezone.now(),
    }  # fmt: skip
    with transaction.atomic():
        row, created = Calendar.objects.update_or_create(name=name, defaults=values)
        CalendarDay.objects.filter(calendar=name).delete()
        CalendarDay.objects.bulk_create(
            [
                CalendarDay(calendar=name, day=day, is_open=day in opened, added_by=actor)
                for day in sorted(shut | opened)
            ]
        )
        audit(actor, "calendar.save", row, {"name": name, "new": created, "week": row.week, "last": str(last)})
        transaction.on_commit(lambda: cache.delete(f"market-status:{name}"))
    return row


def _check_days(own: CustomCalendar, closed: set[date], extra: set[date]) -> None:
    if len(closed) + len(extra) > MOST_DAYS:
        raise Refusal("too_many_days", TOO_MANY, field="closed", most=MOST_DAYS)
    for field, days in (("closed", closed), ("extra", extra)):
        for day in sorted(days):
            if not own.first <= day <= own.last:
                raise Refusal("bad_day", OUTSIDE, field=field, day=str(day), first=str(own.first), last=str(own.last))
    for day in sorted(closed & extra):
        raise Refusal("bad_day", BOTH, field="extra", day=str(day))


def calendar_delete(*, actor: User | None, row: Calendar) -> None:
    """Take a calendar away that nothing uses. Raises ``Refusal`` ``calendar_in_use`` (409)."""
    _require(actor)
    datasets = [str(one) for one in Dataset.objects.filter(calendar=row.name, archived_at=None)[:6]]
    users = [*datasets, *Feed.objects.filter(calendar=row.name).values_list("name", flat=True)[:6]]
    if users:
        raise Refusal("calendar_in_use", IN_USE, status=409, name=row.name, users=", ".join(users))
    with transaction.atomic():
        audit(actor, "calendar.delete", row, {"name": row.name, "week": row.week})
        CalendarDay.objects.filter(calendar=row.name).delete()
        row.delete()
        transaction.on_commit(lambda: cache.delete(f"market-status:{row.name}"))


def _require(actor: User | None) -> None:
    if actor is not None:
        require_permission(actor, "user.admin")


def custom_calendar(name: str) -> CustomCalendar | None:
    """Return a calendar of one's own with its single days; the engine asks here."""
    row = Calendar.objects.filter(name=name).first()
    if row is None:
        return None
    days = dict(CalendarDay.objects.filter(calendar=name).values_list("day", "is_open"))
    return CustomCalendar(
        row.name, row.time_zone, read_week(row.week), row.first, row.last,
        frozenset(day for day, is_open in days.items() if not is_open),
        frozenset(day for day, is_open in days.items() if is_open),
    )  # fmt: skip


def calendar_document(row: Calendar) -> dict[str, Any]:
    """Return a calendar for programs."""
    days = list(CalendarDay.objects.filter(calendar=row.name).order_by("day").values_list("day", "is_open"))
    return {
        "name": row.name, "title": row.title, "time_zone": row.time_zone, "week": row.week,
        "first": row.first.isoformat(), "last": row.last.isoformat(),
        "closed": [day.isoformat() for day, is_open in days if not is_open],
        "extra": [day.isoformat() for day, is_open in days if is_open],
        "changed": row.changed.isoformat(),
    }  # fmt: skip
