"""Calendars of one's own: days of the week with their hours, in a time zone, from a first to a last day.

``Mon-Fri 09:30-11:30 13:00-15:00; Sat 10:00-12:00`` are the usual weeks; single days are closed or
open beside them. Nothing is known before the first day or beyond the last (a loud end).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NAME = re.compile(r"[A-Z][A-Z0-9_]{1,15}")
PART = re.compile(r"(\w{3})(?:-(\w{3}))?((?:\s+\d{1,2}:\d{2}-\d{1,2}:\d{2})+)")
HOURS = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
LONGEST_YEARS = 100
BAD_NAME = N_("A calendar's name is 2 to 16 capital letters, digits or _, like MYEX. %(name)s is not.")
TAKEN = N_("%(name)s is a calendar of the library. Choose another name.")
BAD_WEEK = N_("“%(value)s” is not understood. Write days and hours like %(example)s.")
BAD_HOURS = N_("“%(value)s”: hours run from early to late within a day and do not overlap.")
BAD_ZONE = N_("%(zone)s is not a time zone. Write it like Asia/Shanghai.")
BAD_SPAN = N_("The last day must come after the first, at most %(years)s years later.")
EXAMPLE = "Mon-Fri 09:30-11:30 13:00-15:00; Sat 10:00-12:00"
#: Weekday (0 is Monday) → (open, close) in minutes after midnight.
Week = Mapping[int, tuple[tuple[int, int], ...]]


@dataclass(frozen=True)
class CustomCalendar:
    """``first`` and ``last`` bound what is known; ``closed`` and ``extra`` are days beside the usual weeks."""

    name: str
    time_zone: str
    week: Week
    first: date
    last: date
    closed: frozenset[date] = frozenset()
    extra: frozenset[date] = frozenset()

    def days(self, start: np.datetime64, end: np.datetime64) -> NDArray[np.datetime64]:
        """Return the sessions from ``start`` to ``end`` (days), of those that are known."""
        low, high = max(start, np.datetime64(self.first, "D")), min(end, np.datetime64(self.last, "D"))
        days = np.arange(low, high + np.timedelta64(1, "D"))
        # The first of 1970 was a Thursday.
        usual = days[np.isin((days.astype(np.int64) + 3) % 7, list(self.week))]
        extra = np.array(sorted(self.extra), dtype="datetime64[D]")
        closed = np.array(sorted(self.closed), dtype="datetime64[D]")
        found = np.union1d(usual, extra[(extra >= low) & (extra <= high)])
        return np.setdiff1d(found, closed)

    def is_session(self, day: date) -> bool:
        """Tell whether the market opens on ``day``."""
        if day in self.closed or not self.first <= day <= self.last:
            return False
        return day in self.extra or day.weekday() in self.week

    def spans(self, day: date) -> list[tuple[datetime, datetime]]:
        """Return the (open, close) moments of a session, in UTC; none on a closed day.

        An extra day on a weekday without hours has those of the first day of the week that has some.
        """
        if not self.is_session(day):
            return []
        hours = self.week.get(day.weekday()) or self.week[min(self.week)]
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.time_zone))
        return [tuple((midnight + timedelta(minutes=at)).astimezone(UTC) for at in span) for span in hours]  # type: ignore[misc]

    def next_session(self, day: date) -> date | None:
        """Return the first session after ``day``; None where the calendar does not know one."""
        later = max(day + timedelta(days=1), self.first)
        if later > self.last:
            return None
        days = self.days(np.datetime64(later, "D"), np.datetime64(self.last, "D"))
        return days[0].astype(date) if len(days) else None  # type: ignore[no-any-return]


def read_week(text: str) -> Week:
    """Read days and hours; raises ``Refusal`` ``bad_week`` with the part that is wrong."""
    week: dict[int, tuple[tuple[int, int], ...]] = {}
    for part in filter(None, (part.strip() for part in re.split(r"[;\n\uff1b]", text))):
        found = PART.fullmatch(part)
        names = [name.lower() for name in found.group(1, 2) if name] if found else []
        if found is None or any(name not in DAYS for name in names):
            raise Refusal("bad_week", BAD_WEEK, field="week", value=part[:60], example=EXAMPLE)
        first, last = DAYS.index(names[0]), DAYS.index(names[-1])
        hours = _hours(found.group(3), part)
        for day in range(first, last + 1) if first <= last else (*range(first, 7), *range(last + 1)):
            if day in week:
                raise Refusal("bad_week", BAD_HOURS, field="week", value=part[:60])
            week[day] = hours
    if not week:
        raise Refusal("bad_week", BAD_WEEK, field="week", value=text[:60], example=EXAMPLE)
    return MappingProxyType(week)


def _hours(text: str, part: str) -> tuple[tuple[int, int], ...]:
    spans = [
        (int(hour) * 60 + int(minute), int(to_hour) * 60 + int(to_minute))
        for hour, minute, to_hour, to_minute in HOURS.findall(text)
    ]
    moments = [moment for span in spans for moment in span]
    minutes = [int(minute) for found in HOURS.findall(text) for minute in (found[1], found[3])]
    if any(a >= b for a, b in pairwise(moments)) or moments[-1] > 24 * 60 or max(minutes) > 59:
        raise Refusal("bad_week", BAD_HOURS, field="week", value=part[:60])
    return tuple(spans)


def write_week(week: Week) -> str:
    """Write days and hours as ``read_week`` reads them, neighbours with the same hours together."""
    parts: list[tuple[int, int, tuple[tuple[int, int], ...]]] = []
    for day in sorted(week):
        if parts and parts[-1][1] == day - 1 and parts[-1][2] == week[day]:
            parts[-1] = (parts[-1][0], day, week[day])
        else:
            parts.append((day, day, week[day]))
    return "; ".join(_part(first, last, hours) for first, last, hours in parts)


def _part(first: int, last: int, hours: tuple[tuple[int, int], ...]) -> str:
    names = DAYS[first].title() + (f"-{DAYS[last].title()}" if last > first else "")
    clock = (f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in hours)
    return f"{names} {' '.join(clock)}"


def checked(name: str, time_zone: str, week: str, first: date, last: date) -> CustomCalendar:
    """Return the calendar these words describe.

    Raises ``Refusal``: ``bad_calendar_name``, ``calendar_name_taken``, ``bad_time_zone``, ``bad_week``, ``bad_span``.
    """
    if not NAME.fullmatch(name):
        raise Refusal("bad_calendar_name", BAD_NAME, field="name", name=name[:40] or "–")
    if in_library(name):
        raise Refusal("calendar_name_taken", TAKEN, status=409, field="name", name=name)
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refusal("bad_time_zone", BAD_ZONE, field="time_zone", zone=time_zone[:40] or "–") from error
    if not first < last <= first + timedelta(days=366 * LONGEST_YEARS):
        raise Refusal("bad_span", BAD_SPAN, field="last", years=LONGEST_YEARS)
    return CustomCalendar(name, time_zone, read_week(week), first, last)


_look_up: Callable[[str], CustomCalendar | None] = lambda name: None  # noqa: E731 - until a catalogue is there


def provide(look_up: Callable[[str], CustomCalendar | None]) -> None:
    """Say where calendars of one's own are kept; the catalogue does when it starts."""
    global _look_up  # noqa: PLW0603 - one catalogue a process
    _look_up = look_up


def custom(name: str) -> CustomCalendar | None:
    """Return the calendar of one's own called ``name``, if there is one; the library's names are never asked for."""
    return _look_up(name) if NAME.fullmatch(name) and not in_library(name) else None


def in_library(name: str) -> bool:
    """Tell whether ``name`` is a calendar, or another name of one, of the library."""
    import exchange_calendars as xcals

    return name in xcals.get_calendar_names()
