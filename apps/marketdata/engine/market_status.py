"""Whether a market is open: by its exchange's calendar, with a loud end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from apps.marketdata.engine.calendars import CustomCalendar, custom
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

ALWAYS = "24/7"
#: Days without a session after which a calendar of one's own is taken to have none.
LONGEST_BREAK = 40
MARKETS = ("XSHG", "XHKG", "XNYS", ALWAYS)
#: What people call the exchange of a calendar.
MARKET_NAMES = {
    "XSHG": N_("Shanghai"), "XSHE": N_("Shenzhen"), "XHKG": N_("Hong Kong"), "XNYS": N_("New York"),
    "XNAS": N_("Nasdaq"), "XLON": N_("London"), "XTKS": N_("Tokyo"), ALWAYS: N_("Crypto"),
}  # fmt: skip
UNKNOWN_MARKET = N_("There is no calendar %(calendar)s. Use an exchange's code like %(known)s.")
ENDED = N_(
    "The calendar %(calendar)s ends on %(last)s: whether the market is open on %(day)s is not known. Update exchange_calendars."  # noqa: E501
)
ENDED_OWN = N_(
    "The calendar %(calendar)s ends on %(last)s: whether the market is open on %(day)s is not known. Give it a later last day."  # noqa: E501
)


@dataclass(frozen=True)
class MarketStatus:
    """``state`` is open, break (the midday pause) or closed; ``session`` the day it belongs to, if any.

    Times are UTC; ``next_open`` and ``next_close`` are None where the calendar does not know them.
    """

    calendar: str
    state: str
    session: date | None
    next_open: datetime | None
    next_close: datetime | None
    last_known: date | None

    @property
    def changes_at(self) -> datetime | None:
        """When the state ends: never for a market that is always open."""
        return self.next_close if self.state == "open" else self.next_open


def market_status(calendar: str, now: datetime) -> MarketStatus:
    """Return the status at ``now`` (aware).

    Raises ``Refusal`` ``unknown_calendar``, and ``calendar_ended`` beyond the last session that is known.
    """
    if calendar == ALWAYS:
        return MarketStatus(ALWAYS, "open", now.astimezone(UTC).date(), None, None, None)
    own = custom(calendar)
    if own is not None:
        return _custom_status(own, now.astimezone(UTC))
    import pandas as pd

    cal = _calendar(calendar)
    minute = pd.Timestamp(now.astimezone(UTC)).floor("min")
    last = cal.last_session.date()
    if minute.normalize().tz_localize(None) > cal.last_session:
        raise Refusal(
            "calendar_ended", ENDED, status=409, calendar=calendar, last=last.isoformat(), day=minute.date().isoformat()
        )
    if minute > cal.last_minute:  # the evening of the last session
        return MarketStatus(calendar, "closed", None, None, None, last)
    inside = bool(cal.is_open_on_minute(minute, ignore_breaks=True))
    state = "open" if cal.is_open_on_minute(minute) else "break" if inside else "closed"
    session = cal.minute_to_session(minute, direction="previous").date() if inside else None
    opens, closes = _after(cal.opens, minute), _after(cal.closes, minute)
    if inside:
        day = cal.minute_to_session(minute, direction="previous")
        start, end = cal.session_break_start(day), cal.session_break_end(day)
        opens = _utc(end) if state == "break" else opens
        closes = _utc(start) if state == "open" and not pd.isna(start) and minute < start else closes
    return MarketStatus(calendar, state, session, opens, closes, last)


def _custom_status(own: CustomCalendar, now: datetime) -> MarketStatus:
    """Return the status by a calendar of one's own; beyond its last day it is refused, not guessed."""
    today = now.astimezone(ZoneInfo(own.time_zone)).date()
    if today > own.last:
        raise Refusal("calendar_ended", ENDED_OWN, status=409, calendar=own.name, last=own.last.isoformat(),
                      day=today.isoformat())  # fmt: skip
    spans = own.spans(today)
    state = "closed"
    if spans and spans[0][0] <= now < spans[-1][1]:
        state = "open" if any(start <= now < end for start, end in spans) else "break"
    later = own.next_session(today)
    moments = spans + (own.spans(later) if later else [])
    opens = next((start for start, _end in moments if start > now), None)
    closes = next((end for start, end in moments if end > now), None)
    session = today if state != "closed" else None
    return MarketStatus(own.name, state, session, opens, closes, own.last)


def next_session_close(calendar: str, after: datetime) -> datetime:
    """Return the end of the first session that closes after ``after`` (aware), in UTC; midnight where it never closes.

    Raises ``Refusal`` ``unknown_calendar``, and ``calendar_ended`` beyond the last session that is known.
    """
    if calendar == ALWAYS:
        midnight = after.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=1)
    own = custom(calendar)
    if own is not None:
        return _own_close(own, after)
    import pandas as pd

    cal = _calendar(calendar)
    found = _after(cal.closes, pd.Timestamp(after.astimezone(UTC)))
    if found is None:
        last, day = cal.last_session.date().isoformat(), after.date().isoformat()
        raise Refusal("calendar_ended", ENDED, status=409, calendar=calendar, last=last, day=day)
    return found


def last_closed_session(calendar: str, now: datetime) -> date:
    """Return the day of the newest session that is over at ``now`` (aware); UTC's yesterday where it never closes.

    Raises ``Refusal`` ``unknown_calendar`` or ``calendar_ended``.
    """
    if calendar == ALWAYS:
        return now.astimezone(UTC).date() - timedelta(days=1)
    own = custom(calendar)
    if own is not None:
        return _own_closed(own, now)
    import pandas as pd

    cal = _calendar(calendar)
    at = int(cal.closes.searchsorted(pd.Timestamp(now.astimezone(UTC)), side="right"))
    if at >= len(cal.closes):
        last, day = cal.last_session.date().isoformat(), now.date().isoformat()
        raise Refusal("calendar_ended", ENDED, status=409, calendar=calendar, last=last, day=day)
    found: date = cal.closes.index[at - 1].date()
    return found


def _own_close(own: CustomCalendar, after: datetime) -> datetime:
    day: date | None = after.astimezone(ZoneInfo(own.time_zone)).date()
    while day is not None and day <= own.last:
        spans = own.spans(day)
        if spans and spans[-1][1] > after:
            return spans[-1][1].astimezone(UTC)
        day = own.next_session(day)
    raise Refusal("calendar_ended", ENDED_OWN, status=409, calendar=own.name, last=own.last.isoformat(),
                  day=after.date().isoformat())  # fmt: skip


def _own_closed(own: CustomCalendar, now: datetime) -> date:
    day = now.astimezone(ZoneInfo(own.time_zone)).date()
    for back in range(LONGEST_BREAK if day <= own.last else 0):
        spans = own.spans(day - timedelta(days=back))
        if spans and spans[-1][1] <= now:
            return day - timedelta(days=back)
    raise Refusal("calendar_ended", ENDED_OWN, status=409, calendar=own.name, last=own.last.isoformat(),
                  day=day.isoformat())  # fmt: skip


def _after(times: Any, minute: Any) -> datetime | None:
    at = int(times.searchsorted(minute, side="right"))
    return _utc(times.iloc[at]) if at < len(times) else None


def _utc(moment: Any) -> datetime:
    found: datetime = moment.to_pydatetime()
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@lru_cache(maxsize=8)
def _calendar(name: str) -> Any:
    import exchange_calendars as xcals

    if name not in xcals.get_calendar_names(include_aliases=False):
        raise Refusal(
            "unknown_calendar", UNKNOWN_MARKET, field="calendar", calendar=name[:20], known=", ".join(MARKETS)
        )
    return xcals.get_calendar(name)
