"""Trying a run again with changes: the form, the link between both, API and command."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.test import Client

from apps.accounts.tokens import token_create
from apps.sessions.models import Session
from apps.sessions.services.sessions import session_again
from apps.strategies.forms import entered
from apps.ui.engine.refusal import Refusal
from tests.sessions.live_fixtures import make_session
from tests.sessions.machine import ready_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(alice):
    ready_dataset()
    return make_session(alice, status="completed", priority=3, time_limit=77)


@pytest.fixture
def backtest(alice):
    ready_dataset()
    params = {
        "start": "2005-01-03",
        "capital": 50000.0,
        "study": "walk_forward",
        "mode": "rolling",
        "open_holdout": False,
    }
    return make_session(alice, status="failed", kind="backtest", type_key="rule", name="Rule", params=params)


def posted(session, **changes):
    """What a browser sends of the form as it is, with ``changes``."""
    values = {name: entered(value) for name, value in session.config.items() if value is not False}
    return {**values, **changes}


def made_from(session):
    return Session.objects.get(parent=session)


def test_it_is_a_new_session_linked_to_the_old_one(session):
    made = session_again(session=session, actor=session.owner, overrides={"episodes": 7})
    assert (made.origin, made.parent_id, made.config["episodes"]) == ("retry", session.pk, 7)
    assert made.config == {**session.config, "episodes": 7}
    assert (made.priority, made.time_limit, made.version_id) == (3, 77, session.version_id)
    session.refresh_from_db()
    assert session.status == "completed"


def test_the_form_holds_the_configuration_of_the_run(client, alice, session):
    Session.objects.filter(pk=session.pk).update(config={**session.config, "episodes": 123})
    client.force_login(alice)
    text = client.get(f"/sessions/{session.pk}/again/").content.decode()
    assert 'value="123"' in text
    assert 'name="capital"' not in text


def test_sending_the_form_runs_it_again(client, alice, session):
    client.force_login(alice)
    answer = client.post(f"/sessions/{session.pk}/again/", posted(session, learning_rate="0.01"))
    made = made_from(session)
    assert answer["Location"] == f"/sessions/{made.pk}/"
    assert made.config == {**session.config, "learning_rate": 0.01}
    assert f"Retry of session {session.pk}" in client.get(f"/sessions/{made.pk}/").content.decode()
    assert f'href="/sessions/{made.pk}/"' in client.get(f"/sessions/{session.pk}/").content.decode()


def test_the_same_again_changes_nothing(client, alice, session):
    client.force_login(alice)
    client.post(f"/sessions/{session.pk}/again/", posted(session))
    assert made_from(session).config == session.config


def test_a_backtest_keeps_its_study_and_changes_its_dates(client, alice, backtest):
    client.force_login(alice)
    text = client.get(f"/sessions/{backtest.pk}/again/").content.decode()
    assert 'value="2005-01-03"' in text
    assert 'value="50000"' in text
    fields = posted(backtest, start="2006-01-03", end="", capital="70000", benchmark="AAPL")
    client.post(f"/sessions/{backtest.pk}/again/", fields)
    assert made_from(backtest).params == {
        "start": "2006-01-03", "capital": 70000.0, "benchmark": "AAPL", "study": "walk_forward", "mode": "rolling",
        "open_holdout": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [({"episodes": "0"}, "row-episodes"), ({"symbol": "NOPE"}, "is not in"), ({"episodes": "many"}, "row-episodes")],
)
def test_what_is_wrong_is_said_at_its_field(client, alice, session, change, words):
    client.force_login(alice)
    answer = client.post(f"/sessions/{session.pk}/again/", posted(session, **change))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Session.objects.filter(parent=session).exists()


def test_a_wrong_run_is_said_on_top(client, alice, backtest):
    client.force_login(alice)
    answer = client.post(f"/sessions/{backtest.pk}/again/", posted(backtest, capital="-1"))
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()


def test_it_counts_against_the_limit(session):
    session.owner.max_concurrent_sessions = 1
    make_session(session.owner, name="running")
    with pytest.raises(Refusal) as caught:
        session_again(session=session, actor=session.owner)
    assert caught.value.code == "concurrent_limit"


def test_a_stranger_finds_nothing(client, bob, session):
    client.force_login(bob)
    assert client.get(f"/sessions/{session.pk}/again/").status_code == 404
    assert client.post(f"/sessions/{session.pk}/again/", {}).status_code == 404


def test_the_api_runs_it_again(alice, bob, session, backtest):
    def post(user, number, body):
        _row, plain = token_create(user, "x", scopes=["sessions:write"])
        client = Client(headers={"authorization": f"Bearer {plain}"})
        return client.post(f"/api/sessions/{number}/again", body, content_type="application/json")

    assert post(bob, session.pk, {}).status_code == 404
    answer = post(alice, session.pk, {"overrides": {"episodes": 9}, "time_limit": 50})
    assert answer.status_code == 201
    document = answer.json()
    assert (document["origin"], document["parent"], document["config"]["episodes"]) == ("retry", session.pk, 9)
    assert document["time_limit"] == 50
    assert post(alice, session.pk, {"overrides": {"nonsense": 9}}).status_code == 422
    answer = post(alice, backtest.pk, {"params": {"capital": 5, "priority": 100}})
    assert answer.json()["params"]["capital"] == 5.0


@pytest.mark.parametrize(("action", "origin"), [("again", "retry"), ("clone", "clone")])
def test_the_command_makes_a_new_one(session, alice, action, origin):
    call_command("sessions", action, str(session.pk), "--set", "episodes=5", "--user", "alice")
    made = made_from(session)
    assert (made.origin, made.config["episodes"], made.status) == (origin, 5, "queued")
