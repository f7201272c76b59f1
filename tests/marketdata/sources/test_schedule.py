"""When a source is asked next."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine.sources.schedule import BOUNDS, cron_next, next_time, parse_cron
from apps.ui.engine.refusal import Refusal


def timing(when, **more):
    usual = {"minutes": 60, "after_close": 30, "cron": "", "calendar": "", "time_zone": "UTC"}
    return SimpleNamespace(when=when, **usual | more)


NOW = datetime(2024, 3, 29, 12, 0, tzinfo=UTC)


def part(bounds):
    low, high = bounds
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda two: f"{min(two)}-{max(two)}")
    item = st.one_of(number.map(str), span, st.just("*"), st.integers(1, 7).map(lambda step: f"*/{step}"))
    return st.lists(item, min_size=1, max_size=3).map(",".join)


def brute(cron, after):
    """Step through the minutes, in UTC."""
    moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for _ in range(60 * 24 * 8):
        if cron.has(moment.date()) and moment.hour in cron.hours and moment.minute in cron.minutes:
            return moment
        moment += timedelta(minutes=1)
    return None


@given(part(BOUNDS[0]), part(BOUNDS[1]), part(BOUNDS[4]), st.datetimes(datetime(2023, 1, 1), datetime(2026, 1, 1)))
def test_cron_agrees_with_stepping_through_every_minute(minute, hour, weekday, start):
    cron, after = parse_cron(f"{minute} {hour} * * {weekday}"), start.replace(tzinfo=UTC)
    assert cron_next(cron, after, "UTC") == brute(cron, after)


@given(st.text(max_size=40))
def test_any_text_is_a_cron_or_refused(text):
    with suppress(Refusal):
        found = parse_cron(text)
        assert found.minutes
        assert found.hours


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-3 * * * *", "*/0 * * * *",
     "a * * * *", "-1 * * * *", "1, * * * *", "*-5 * * * *", "² * * * *", "99999999999 * * * *", "0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6 *"],
)  # fmt: skip
def test_what_is_no_cron_is_refused(text):
    with pytest.raises(Refusal) as caught:
        parse_cron(text)
    assert caught.value.code == "bad_cron"


def test_of_day_and_weekday_either_is_enough():
    cron = parse_cron("0 6 13 * 5")  # the 13th, and every Friday
    found = [cron_next(cron, NOW + timedelta(days=shift), "UTC").date().isoformat() for shift in (0, 7, 12)]
    assert found == ["2024-04-05", "2024-04-12", "2024-04-12"]
    assert cron_next(cron, datetime(2024, 4, 12, 12, tzinfo=UTC), "UTC").date().isoformat() == "2024-04-13"


def test_leap_days_come():
    assert cron_next(parse_cron("0 0 29 2 *"), NOW, "UTC") == datetime(2028, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe"])
def test_the_clock_is_that_of_the_zone_and_summer_time_skips_nothing(zone):
    cron, moment = parse_cron("30 2 * * *"), datetime(2024, 1, 1, tzinfo=UTC)
    days = []
    for _ in range(366):
        moment = cron_next(cron, moment, zone)
        days.append(moment.astimezone(ZoneInfo(zone)).date())
    assert len(set(days)) == 366


def test_an_interval_counts_from_now_and_by_hand_is_never():
    assert next_time(timing("interval", minutes=90), NOW) == NOW + timedelta(minutes=90)
    assert next_time(timing("manual"), NOW) is None


def test_after_the_close_of_the_session_not_of_the_morning():
    shanghai = timing("close", calendar="XSHG", after_close=45)
    morning = datetime(2024, 3, 29, 2, 0, tzinfo=UTC)  # the morning's trading ends at 03:30, the day's at 07:00
    assert next_time(shanghai, morning) == datetime(2024, 3, 29, 7, 45, tzinfo=UTC)
    between = datetime(2024, 3, 29, 7, 20, tzinfo=UTC)
    assert next_time(shanghai, between) == datetime(2024, 3, 29, 7, 45, tzinfo=UTC)
    assert next_time(shanghai, datetime(2024, 3, 29, 8, 0, tzinfo=UTC)) == datetime(2024, 4, 1, 7, 45, tzinfo=UTC)


def test_half_days_and_holidays_are_known():
    new_york = timing("close", calendar="XNYS", after_close=0)
    assert next_time(new_york, datetime(2024, 11, 28, 12, tzinfo=UTC)) == datetime(2024, 11, 29, 18, tzinfo=UTC)


def test_what_never_closes_is_asked_at_midnight():
    assert next_time(timing("close", calendar="24/7", after_close=5), NOW) == datetime(2024, 3, 30, 0, 5, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.parametrize(("calendar", "code"), [("XXXX", "unknown_calendar"), ("XSHG", "calendar_ended")])
def test_a_calendar_that_does_not_know_says_so(calendar, code):
    with pytest.raises(Refusal) as caught:
        next_time(timing("close", calendar=calendar), datetime(2090, 1, 1, tzinfo=UTC))
    assert caught.value.code == code


def test_a_calendar_of_ones_own_tells_its_closes_and_its_end(monkeypatch):
    from datetime import date

    from apps.marketdata.engine import market_status
    from apps.marketdata.engine.calendars import CustomCalendar
    from apps.marketdata.engine.market_status import last_closed_session

    hours = ((9 * 60, 11 * 60), (13 * 60, 16 * 60))
    own = CustomCalendar("OWN", "Asia/Tokyo", dict.fromkeys(range(5), hours), date(2024, 1, 1), date(2024, 4, 5))
    monkeypatch.setattr(market_status, "custom", lambda name: own if name == "OWN" else None)
    tokyo = timing("close", calendar="OWN", after_close=10)
    noon = datetime(2024, 3, 29, 3, 0, tzinfo=UTC)
    assert next_time(tokyo, noon) == datetime(2024, 3, 29, 7, 10, tzinfo=UTC)
    assert next_time(tokyo, noon + timedelta(hours=5)) == datetime(2024, 4, 1, 7, 10, tzinfo=UTC)
    assert last_closed_session("OWN", noon) == date(2024, 3, 28)
    assert last_closed_session("OWN", noon + timedelta(days=2)) == date(2024, 3, 29)
    for asked in (
        lambda: next_time(tokyo, datetime(2024, 4, 6, tzinfo=UTC)),
        lambda: last_closed_session("OWN", datetime(2024, 4, 9, tzinfo=UTC)),
    ):
        with pytest.raises(Refusal) as caught:
            asked()
        assert caught.value.code == "calendar_ended"
