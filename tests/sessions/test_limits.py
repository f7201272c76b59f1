"""Limits of a session of its own: by form, API and command line; and a kind without one."""

from __future__ import annotations

import math
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.sessions.limits import MOST, default_time_limit, given_limits, seconds_allowed
from apps.sessions.models import Session
from apps.sessions.runner.sink import DbSink
from apps.ui.engine.refusal import Refusal
from tests.sessions.live_fixtures import make_session, make_version
from tests.sessions.machine import ready_dataset

pytestmark = pytest.mark.django_db


def test_what_is_empty_is_left_out():
    assert given_limits({"time_limit": "", "memory_limit_mb": None}) == {}
    assert given_limits({"time_limit": " 90 ", "memory_limit_mb": "500", "other": "x"}) == {
        "time_limit": 90, "memory_limit_mb": 500,
    }  # fmt: skip


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", "9" * 30, str(MOST["time_limit"] + 1)])
def test_what_is_no_limit_is_refused_at_its_field(value):
    with pytest.raises(Refusal) as refused:
        given_limits({"time_limit": value})
    assert (refused.value.code, refused.value.field) == ("invalid_limit", "time_limit")


def test_a_kind_may_have_no_time_limit(alice, settings, tmp_path):
    settings.QP_TIME_LIMIT_TRAINING = 0
    assert default_time_limit("training") == 0
    assert default_time_limit("backtest") == settings.QP_TIME_LIMIT_BACKTEST
    assert default_time_limit("some_kind_without_one") == 0
    session = make_session(alice, time_limit=0, seconds_used=1e9)
    assert seconds_allowed(session) == math.inf
    sink = DbSink(session, tmp_path)
    sink._look_for_orders()
    assert not sink.stop_reason
    assert not sink._limit_near(1e12)
    assert seconds_allowed(make_session(alice, time_limit=100, seconds_used=30.0)) == 70.0


def form(client, user, kind, **fields):
    ready_dataset()
    version = make_version(user, name="one")
    client.force_login(user)
    return client.post("/sessions/start/", {"version": version.pk, "kind": kind, **fields})


def test_the_page_offers_limits_and_starts_with_them(client, alice):
    assert form(client, alice, "training", time_limit="90", memory_limit_mb="700").status_code == 302
    made = Session.objects.get()
    assert (made.time_limit, made.memory_limit_mb) == (90, 700)
    page = client.get(f"/strategies/{made.version.strategy_id}/").content.decode()
    assert 'name="time_limit"' in page
    assert "default 7,200" in page


def test_the_page_refuses_a_limit_that_is_none(client, alice):
    answer = form(client, alice, "training", time_limit="soon")
    assert answer.status_code == 422
    assert "Enter a whole number" in answer.content.decode()
    assert not Session.objects.exists()


def test_running_again_shows_the_limits_and_takes_others(client, alice):
    ready_dataset()
    session = make_session(alice, status="completed", time_limit=77, memory_limit_mb=800)
    client.force_login(alice)
    url = f"/sessions/{session.pk}/again/"
    html = client.get(url).content.decode()
    assert 'name="time_limit" value="77"' in html
    assert 'name="memory_limit_mb" value="800"' in html
    values = {name: value for name, value in session.config.items() if value not in (None, False)}
    assert client.post(url, {**values, "time_limit": "", "memory_limit_mb": ""}).status_code == 302
    made = Session.objects.get(parent=session)
    assert (made.time_limit, made.memory_limit_mb) == (77, 0)
    wrong = client.post(url, {**values, "time_limit": "x"})
    assert wrong.status_code == 422
    assert "Enter a whole number" in wrong.content.decode()


@pytest.mark.parametrize("action", ["resume", "retry"])
def test_the_api_changes_limits_of_what_goes_on(client, alice, action):
    session = make_session(alice, status="interrupted", memory_limit_mb=100, reason_code="memory_limit")
    client.force_login(alice)
    body = '{"time_limit": 50, "memory_limit_mb": 900}'
    answer = client.post(f"/api/sessions/{session.pk}/{action}", body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    session.refresh_from_db()
    assert (session.status, session.time_limit, session.memory_limit_mb) == ("queued", 50, 900)


def test_a_limit_that_can_never_be_met_is_refused_when_resuming(client, alice):
    session = make_session(alice, status="interrupted")
    client.force_login(alice)
    body = f'{{"memory_limit_mb": {2**24}}}'
    answer = client.post(f"/api/sessions/{session.pk}/resume", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "never_fits")
    session.refresh_from_db()
    assert session.status == "interrupted"


def test_the_command_line_changes_limits(root):
    session = make_session(root, status="interrupted")
    limits = ("--time-limit", "60", "--memory-limit-mb", "500")
    call_command("sessions", "resume", str(session.pk), *limits, stdout=StringIO())
    session.refresh_from_db()
    assert (session.status, session.time_limit, session.memory_limit_mb) == ("queued", 60, 500)
    with pytest.raises(CommandError, match="Enter a whole number"):
        call_command("train", session.version.strategy.name, "--time-limit", "x", stdout=StringIO())
