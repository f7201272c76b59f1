"""Running on data that blocks: offered to those who may, with a reason, on pages and in commands."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.accounts.models import AuditEntry
from apps.marketdata.models import Dataset, Verdict
from apps.sessions.models import Session
from tests.sessions.live_fixtures import make_session, make_version
from tests.sessions.machine import ready_dataset

pytestmark = pytest.mark.django_db
FIELD = 'name="override_reason"'


@pytest.fixture
def blocked():
    ready_dataset()
    Dataset.objects.update(verdict=Verdict.BLOCKED)
    return Dataset.objects.get()


@pytest.fixture
def version(root, blocked):
    return make_version(root, type_key="rule")


def start(client, version, **more):
    return client.post("/sessions/start/", {"version": version.pk, "kind": "backtest", "capital": "5000", **more})


def test_the_start_form_takes_a_reason_only_where_it_could_matter(client, root, alice, blocked, version):
    client.force_login(root)
    assert FIELD in client.get(f"/strategies/{version.strategy_id}/").content.decode()
    Dataset.objects.update(verdict=Verdict.CLEAN)
    assert FIELD not in client.get(f"/strategies/{version.strategy_id}/").content.decode()
    Dataset.objects.update(verdict=Verdict.BLOCKED)
    hers = make_version(alice, type_key="rule", name="Hers")
    client.force_login(alice)
    assert FIELD not in client.get(f"/strategies/{hers.strategy_id}/").content.decode()


def test_the_refusal_offers_it_and_keeps_what_was_posted(client, root, blocked, version):
    client.force_login(root)
    answer = start(client, version)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert FIELD in text
    assert '<input type="hidden" name="capital" value="5000">' in text
    assert f'href="/data/{blocked.pk}/"' in text
    assert start(client, version, override_reason="known split").status_code == 302
    session = Session.objects.get()
    assert (session.params["override_reason"], session.params["capital"]) == ("known split", 5000.0)
    assert AuditEntry.objects.get(action="data.override").details["session"] == session.pk


def test_who_may_not_is_led_to_the_findings_alone(client, alice, blocked):
    hers = make_version(alice, type_key="rule", name="Hers")
    client.force_login(alice)
    answer = start(client, hers, override_reason="please")
    assert answer.status_code == 422
    assert FIELD not in answer.content.decode()
    assert f'href="/data/{blocked.pk}/"' in answer.content.decode()
    assert not Session.objects.exists()


def test_the_form_that_was_filled_stays_where_htmx_asks(client, root, blocked, version):
    client.force_login(root)
    for answer in (
        client.post("/sessions/start/", {"version": version.pk, "kind": "backtest"}, headers={"HX-Request": "true"}),
        client.post(
            "/sessions/start/",
            {"version": version.pk, "kind": "backtest", "capital": "-5", "override_reason": "known split"},
            headers={"HX-Request": "true"},
        ),
    ):
        assert answer.status_code == 422
        assert 'role="alert"' in answer.content.decode()
        assert "<html" not in answer.content.decode()
    answer = client.post(
        "/sessions/start/",
        {"version": version.pk, "kind": "backtest", "override_reason": "known split"},
        headers={"HX-Request": "true"},
    )
    assert answer.headers["HX-Redirect"] == f"/sessions/{Session.objects.get().pk}/"


def test_a_stranger_cannot_start_it_with_any_reason(client, bob, version):
    client.force_login(bob)
    assert start(client, version, override_reason="mine now").status_code == 404


def test_running_again_takes_the_reason(client, root, blocked):
    session = make_session(root, status="completed")
    client.force_login(root)
    path = f"/sessions/{session.pk}/again/"
    assert FIELD in client.get(path).content.decode()
    assert client.post(path, {"dataset": blocked.name}).status_code == 422
    call_command("sessions", "again", str(session.pk), user="root", override_reason="a known split")
    assert Session.objects.get(parent=session).params["override_reason"] == "a known split"


@pytest.mark.parametrize("reason", ["", "  ", "known split"])
def test_the_command_takes_the_reason(root, version, reason, monkeypatch):
    monkeypatch.setattr("apps.sessions.management.starting.follow", lambda session, **_: session)
    arguments = ("backtest", str(version.strategy_id), "--user", "root", "--override-reason", reason)
    if not reason.strip():
        with pytest.raises(CommandError, match="would falsify the result"):
            call_command(*arguments)
    else:
        with pytest.raises(SystemExit):  # It waits: nobody works here.
            call_command(*arguments)
        assert Session.objects.get().params["override_reason"] == "known split"
