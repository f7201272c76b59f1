"""Calendars of one's own: weeks in words, sessions, market status with a loud end, page, API and command."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import AuditEntry
from apps.marketdata.engine.assemble import Imported
from apps.marketdata.engine.calendars import CustomCalendar, checked, read_week, write_week
from apps.marketdata.engine.market_status import market_status
from apps.marketdata.engine.quality.sessions import sessions
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.models import Calendar, CalendarDay
from apps.marketdata.services import dataset_import, dataset_import_path
from apps.marketdata.services.calendars import calendar_delete, calendar_save, custom_calendar
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars, csv_lines

pytestmark = pytest.mark.django_db
WEEK = "Mon-Fri 09:30-11:30 13:00-15:00"
FIRST, LAST = date(2024, 1, 1), date(2024, 12, 31)
BASE = {"name": "MYEX", "time_zone": "Asia/Shanghai", "week": WEEK, "first": FIRST, "last": LAST}
FORM = {**{key: str(value) for key, value in BASE.items()}, "closed": "2024-10-01, 2024-10-02", "extra": "2024-10-05"}


@pytest.fixture
def myex(root):
    return calendar_save(
        actor=root, **BASE, closed=[date(2024, 10, 1), date(2024, 10, 2)], extra=[date(2024, 10, 5)]
    )  # fmt: skip


HOURS = st.lists(st.integers(0, 1440), min_size=2, max_size=6, unique=True).map(sorted).map(
    lambda at: tuple(zip(at[::2], at[1::2], strict=False))
)  # fmt: skip


@given(st.dictionaries(st.integers(0, 6), HOURS, min_size=1))
def test_a_week_reads_as_it_was_written(week):
    assert dict(read_week(write_week(week))) == {day: tuple(spans) for day, spans in week.items()}


@pytest.mark.parametrize(
    "text",
    ["", "Mon", "Foo 09:00-10:00", "Mon 10:00-09:00", "Mon 09:00-24:01", "Mon 09:60-10:00", "Mon 09:00-11:00 10:00-12:00",
     "Mon-Wed 09:00-10:00; Tue 09:00-10:00", "Mon 9-10", "Mon 09:00-10:00 x"],
)  # fmt: skip
def test_a_week_that_makes_no_sense_is_refused_with_its_part(text):
    with pytest.raises(Refusal) as caught:
        read_week(text)
    assert (caught.value.code, caught.value.field) == ("bad_week", "week")


def test_a_week_may_run_over_sunday_and_stand_on_lines():
    assert set(read_week("Sat-Mon 10:00-24:00\nWed 09:00-10:00")) == {5, 6, 0, 2}


@pytest.mark.parametrize(
    ("change", "code"),
    [({"name": "my"}, "bad_calendar_name"), ({"name": "XSHG"}, "calendar_name_taken"), ({"time_zone": "Moon"}, "bad_time_zone"),
     ({"week": "x"}, "bad_week"), ({"last": FIRST}, "bad_span"), ({"last": date(2200, 1, 1)}, "bad_span")],
)  # fmt: skip
def test_what_makes_no_calendar_is_refused(change, code):
    with pytest.raises(Refusal) as caught:
        checked(**{**BASE, **change})
    assert caught.value.code == code


def test_sessions_are_the_weeks_with_single_days_within_what_is_known(myex):
    found = sessions("MYEX", np.datetime64("2024-09-30"), np.datetime64("2024-10-07"))
    assert found.days.astype(str).tolist() == ["2024-09-30", "2024-10-03", "2024-10-04", "2024-10-05", "2024-10-07"]
    outside = sessions("MYEX", np.datetime64("2025-01-01"), np.datetime64("2025-02-01"))
    assert not len(outside.days)
    with pytest.raises(Refusal) as caught:
        sessions("NOBODYS", np.datetime64("2024-01-01"), np.datetime64("2024-02-01"))
    assert caught.value.code == "unknown_calendar"


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "state", "opens", "closes"),
    [("2024-09-30T01:29", "closed", "2024-09-30T01:30", "2024-09-30T03:30"),
     ("2024-09-30T01:30", "open", "2024-09-30T05:00", "2024-09-30T03:30"),
     ("2024-09-30T04:00", "break", "2024-09-30T05:00", "2024-09-30T07:00"),
     ("2024-09-30T07:00", "closed", "2024-10-03T01:30", "2024-10-03T03:30"),
     ("2024-10-01T02:00", "closed", "2024-10-03T01:30", "2024-10-03T03:30"),
     ("2024-10-05T02:00", "open", "2024-10-05T05:00", "2024-10-05T03:30")],
)  # fmt: skip
def test_market_status_follows_hours_holidays_and_extra_sessions(myex, now, state, opens, closes):
    found = market_status("MYEX", at(now))
    assert (found.state, found.next_open, found.next_close) == (state, at(opens), at(closes))
    assert found.last_known == LAST


def test_the_end_is_loud(myex):
    after = market_status("MYEX", at("2024-12-31T10:00"))
    assert (after.state, after.next_open) == ("closed", None)
    with pytest.raises(Refusal) as caught:
        market_status("MYEX", at("2025-01-02T03:00"))
    assert caught.value.code == "calendar_ended"


def test_hours_follow_summer_time():
    own = CustomCalendar("EST", "America/New_York", read_week("Mon-Fri 09:30-16:00"), FIRST, LAST)
    assert own.spans(date(2024, 1, 2))[0][0] == at("2024-01-02T14:30")
    assert own.spans(date(2024, 7, 2))[0][0] == at("2024-07-02T13:30")


def test_an_import_is_checked_by_it_and_keeps_it_from_being_removed(myex, root, write, var_dir, alice):
    made = dataset_import_path(
        write("A.csv", csv_lines(30, start="2024-09-16")), name="a", options=ReadOptions(), calendar="MYEX", owner=alice
    )  # fmt: skip
    checks = {(row.check_name, str(row.time)[:10]) for row in made.checks.first().findings.all()}
    assert {("extra_session", "2024-10-01"), ("missing_session", "2024-10-05")} <= checks
    with pytest.raises(Refusal) as caught:
        calendar_delete(actor=root, row=myex)
    assert (caught.value.code, caught.value.params["users"]) == ("calendar_in_use", "a@1")
    made.archived_at = made.created
    made.save()
    calendar_delete(actor=root, row=myex)
    assert not CalendarDay.objects.exists()
    assert custom_calendar("MYEX") is None


def test_bars_beyond_its_end_are_said(myex, var_dir, alice):
    panel = bars([100 + n % 3 for n in range(40)], start="2024-12-02")
    made = dataset_import(name="a", imported=Imported(panel), source="t", owner=alice, calendar="MYEX")
    assert made.checks.first().findings.filter(check_name="calendar_end").exists()


def test_the_page_defines_changes_and_removes(client, root):
    client.force_login(root)
    assert "There is none yet" in client.get("/data/calendars/").content.decode()
    wrong = client.post("/data/calendars/new/", {**FORM, "week": "Mon 12:00-11:00", "closed": "soon"})
    assert wrong.status_code == 422
    assert "is not a day" in wrong.content.decode()
    assert client.post("/data/calendars/new/", FORM).url == "/data/calendars/MYEX/"
    text = client.get("/data/calendars/MYEX/").content.decode()
    assert "2024-10-01\n2024-10-02</textarea>" in text
    assert "ends on 2024-12-31" in text
    client.post("/data/calendars/MYEX/", {**FORM, "name": "OTHER", "closed": ""})
    assert [row.day for row in CalendarDay.objects.all()] == [date(2024, 10, 5)]
    assert WEEK in client.get("/data/calendars/").content.decode()
    assert client.post("/data/calendars/MYEX/remove/").status_code == 302
    assert client.get("/data/calendars/MYEX/").status_code == 404
    acts = set(AuditEntry.objects.filter(action__startswith="calendar.").values_list("action", flat=True))
    assert acts == {"calendar.save", "calendar.delete"}


def test_it_is_for_administrators(client, myex, alice):
    client.force_login(alice)
    assert client.get("/data/calendars/").status_code == 403
    assert client.post("/data/calendars/MYEX/", FORM).status_code == 403
    assert client.post("/data/calendars/MYEX/remove/").status_code == 403
    assert client.get("/api/data/calendars").status_code == 403
    assert client.delete("/api/data/calendars/MYEX").status_code == 403
    assert client.get("/api/market/status?calendar=MYEX").json()["code"] == "calendar_ended"


@pytest.mark.parametrize(
    ("change", "field"),
    [({"closed": [FIRST], "extra": [FIRST]}, "extra"), ({"closed": [date(2030, 1, 1)]}, "closed"),
     ({"extra": [FIRST] + [date.fromordinal(FIRST.toordinal() - n) for n in range(1, 2001)]}, "closed")],
)  # fmt: skip
def test_single_days_must_fit(root, change, field):
    with pytest.raises(Refusal) as caught:
        calendar_save(actor=root, **BASE, **change)
    assert caught.value.field == field
    assert not Calendar.objects.exists()


def test_the_api_defines_and_removes(client, root):
    client.force_login(root)
    body = {key: value for key, value in FORM.items() if key != "name"} | {"closed": ["2024-10-01"], "extra": []}
    assert client.put("/api/data/calendars/MYEX", body, content_type="application/json").json()["closed"] == [
        "2024-10-01"
    ]
    assert client.get("/api/data/calendars").json()["total"] == 1
    bad = client.put("/api/data/calendars/XNYS", body, content_type="application/json")
    assert (bad.status_code, bad.json()["code"]) == (409, "calendar_name_taken")
    assert client.delete("/api/data/calendars/MYEX").json() == {"removed": "MYEX"}
    assert client.delete("/api/data/calendars/MYEX").status_code == 404


def test_the_command_defines_lists_and_removes():
    def run(*arguments):
        out = StringIO()
        call_command("calendars", *arguments, stdout=out)
        return out.getvalue()

    options = ("--week", WEEK, "--first", "2024-01-01", "--last", "2024-12-31", "--time-zone", "Asia/Shanghai")
    assert "1 closed, 0 extra" in run("save", "MYEX", *options, "--closed", "2024-10-01")
    assert json.loads(run("--json"))["calendars"][0]["week"] == WEEK
    with pytest.raises(CommandError, match="is not a day"):
        run("save", "MYEX", "--week", WEEK, "--first", "soon", "--last", "2024-12-31")
    with pytest.raises(CommandError, match="There is no calendar OTHER"):
        run("delete", "OTHER")
    assert run("delete", "MYEX") == ""
