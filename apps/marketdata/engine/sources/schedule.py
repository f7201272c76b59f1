"""When a source is asked next: after an interval, by cron, or after the session's close."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from apps.marketdata.engine.market_status import next_session_close
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

BAD_CRON = N_(
    "“%(text)s” is not a time: write five parts, minute (0-59), hour (0-23), day (1-31), month (1-12), weekday (0-7)."
)
NEVER = N_("“%(text)s” names a day that no year has.")
#: Minute, hour, day of the month, month, weekday (0 and 7 are Sunday).
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
#: 29 February comes at least this often (1896 to 1904).
YEARS = 9


class Timing(Protocol):
    """The fields of a configuration that say when."""

    @property
    def when(self) -> str: ...
    @property
    def minutes(self) -> int: ...
    @property
    def after_close(self) -> int: ...
    @property
    def cron(self) -> str: ...
    @property
    def calendar(self) -> str: ...
    @property
    def time_zone(self) -> str: ...


@dataclass(frozen=True)
class Cron:
    """Five sets of numbers; ``any_day`` and ``any_weekday`` tell whether that part was ``*``."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def has(self, day: date) -> bool:
        """Tell whether ``day`` is one of them: of two given parts, day and weekday, either is enough, as in cron."""
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return by_day and by_weekday
        return by_day or by_weekday


def parse_cron(text: str) -> Cron:
    """Read ``minute hour day month weekday`` with ``*``, lists, ranges and steps. Raises ``Refusal`` ``bad_cron``."""
    parts = text.split()
    if len(parts) != len(BOUNDS):
        raise Refusal("bad_cron", BAD_CRON, field="cron", text=text[:60])
    sets = [_numbers(part, *bounds, text) for part, bounds in zip(parts, BOUNDS, strict=True)]
    weekdays = frozenset(number % 7 for number in sets[4])
    any_day, any_weekday = parts[2].startswith("*"), parts[4].startswith("*")
    cron = Cron(sets[0], sets[1], sets[2], sets[3], weekdays, any_day, any_weekday)
    longest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    if any_weekday and all(min(cron.days) > longest.get(month, 31) for month in cron.months):
        raise Refusal("bad_cron", NEVER, field="cron", text=text[:60])
    return cron


def _numbers(part: str, low: int, high: int, text: str) -> frozenset[int]:
    found: set[int] = set()
    for item in part.split(","):
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        values = ["0" if first == "*" else first, last if dash else "0", step if slash else "1"]
        # isdecimal alone lets other scripts' digits in, which int() would take for numbers.
        if (first == "*" and dash) or not all(v.isascii() and v.isdecimal() and len(v) < 5 for v in values):
            raise Refusal("bad_cron", BAD_CRON, field="cron", text=text[:60])
        start = low if first == "*" else int(first)
        end = int(last) if dash else high if first == "*" or slash else start
        if not low <= start <= end <= high or int(values[2]) < 1:
            raise Refusal("bad_cron", BAD_CRON, field="cron", text=text[:60])
        found.update(range(start, end + 1, int(values[2])))
    return frozenset(found)


def cron_next(cron: Cron, after: datetime, zone: str) -> datetime:
    """Return the first moment after ``after`` (aware), in UTC; a time the clock skips counts as the moment after."""
    local = after.astimezone(ZoneInfo(zone))
    day = local.date()
    for _ in range(366 * YEARS):
        if cron.has(day):
            # One wall time can name two moments and the other way round, so moments are compared.
            for hour in sorted(cron.hours):
                for minute in sorted(cron.minutes):
                    moment = datetime.combine(day, time(hour, minute), ZoneInfo(zone)).astimezone(UTC)
                    if moment > after:
                        return moment
        day += timedelta(days=1)
    raise Refusal("bad_cron", NEVER, field="cron", text="")


def next_time(config: Timing, now: datetime) -> datetime | None:
    """Return when to sync next, in UTC; None for a source that is asked by hand.

    Raises ``Refusal`` ``calendar_ended`` or ``unknown_calendar`` where the calendar tells no next close.
    """
    if config.when == "interval":
        return now + timedelta(minutes=config.minutes)
    if config.when == "cron":
        return cron_next(parse_cron(config.cron), now, config.time_zone)
    if config.when == "close":
        late = timedelta(minutes=config.after_close)
        return next_session_close(config.calendar, now - late) + late
    return None
