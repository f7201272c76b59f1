"""Deleting a session: what goes and what stays is shown first; what runs is refused; it is audited."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from apps.accounts.models import AuditEntry, Share
from apps.accounts.shares import share_create
from apps.accounts.tokens import token_create
from apps.sessions.models import Attempt, Checkpoint, Session, SessionEvent, SessionTag
from apps.sessions.selectors import session_folder
from apps.sessions.services.deleting import attached, session_delete
from apps.sessions.services.labels import session_label
from apps.strategies.models import Trial
from apps.strategies.trials import trial_begin, trial_count, trial_counts
from apps.ui.engine.refusal import Refusal
from tests.sessions.live_fixtures import make_session, points, say

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(alice, bob):
    """A training with everything that can hang on one."""
    found = make_session(alice, status="completed")
    say(found, points(1, 2), points(3))
    Attempt.objects.create(session=found, number=1)
    Checkpoint.objects.create(session=found, attempt=1, step=3, path="x", sha256="0", size_bytes=1000)
    folder = session_folder(found.pk)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints" / "x").write_bytes(b"1234")
    (folder / "capsule.json").write_text("{}")
    session_label(session=found, actor=alice, tags=["a"])
    share_create(actor=alice, obj=found, receiver="bob")
    trial = trial_begin(
        version=found.version, kind="training", config=found.config, dataset="d", params={}, session=found.pk
    )
    trial_counts(trial, 3)
    return found


@pytest.fixture
def others(session):
    """Its verification, a retry of it, and a backtest that its checkpoint decided."""
    same = {"version": session.version}
    verification = say(make_session(session.owner, status="completed", verifies=session, **same), points(1))
    (session_folder(verification.pk)).mkdir(parents=True, exist_ok=True)
    (session_folder(verification.pk) / "log.txt").write_text("hello")
    retry = make_session(session.owner, status="completed", parent=session, origin="retry", **same)
    backtest = make_session(
        session.owner, status="completed", kind="backtest", params={"checkpoint_session": session.pk}, **same
    )
    return verification, retry, backtest


def test_everything_that_hangs_on_it_is_counted(session, others):
    verification, retry, backtest = others
    found = attached(session)
    assert (found.checkpoints, found.checkpoint_bytes, found.events, found.attempts) == (1, 1000, 3, 1)
    assert (found.files, found.file_bytes, found.capsule, found.report, found.shares) == (3, 11, True, False, 1)
    assert (found.verifications, found.derived, found.backtests) == ([verification.pk], [retry.pk], [backtest.pk])
    assert (found.derived_count, found.backtest_count, found.trials) == (1, 1, 3)


def test_it_goes_with_what_hangs_on_it_and_the_rest_stays(session, others, django_capture_on_commit_callbacks):
    verification, retry, backtest = others
    pk, strategy = session.pk, session.version.strategy
    with django_capture_on_commit_callbacks(execute=True):
        session_delete(session=session, actor=session.owner)
    assert set(Session.objects.values_list("pk", flat=True)) == {retry.pk, backtest.pk}
    for model in (SessionEvent, Attempt, Checkpoint, SessionTag):
        assert not model.objects.filter(session__in=[pk, verification.pk]).exists()
    assert not Share.objects.filter(object_id=pk, object_type=Session._meta.label_lower).exists()
    assert not session_folder(pk).exists()
    assert not session_folder(verification.pk).exists()
    retry.refresh_from_db()
    assert retry.parent_id is None
    assert trial_count(strategy) == 3
    assert Trial.objects.get().session == pk
    entry = AuditEntry.objects.get(action="session.delete")
    assert (entry.object_id, entry.actor, entry.details["deleted"]["checkpoints"]) == (str(pk), session.owner, 1)


@pytest.mark.parametrize("status", ["queued", "running", "pausing", "cancelling"])
def test_what_waits_or_runs_is_refused(session, others, status, django_capture_on_commit_callbacks):
    for active in (session, others[0]):
        Session.objects.filter(pk=active.pk).update(status=status)
        with pytest.raises(Refusal) as caught, django_capture_on_commit_callbacks(execute=True):
            session_delete(session=session, actor=session.owner)
        assert (caught.value.code, caught.value.status) == ("session_active", 409)
        assert caught.value.params["session"] == active.pk
        Session.objects.filter(pk=active.pk).update(status="completed")
    assert Session.objects.filter(pk=session.pk).exists()
    assert session_folder(session.pk).exists()


@pytest.mark.parametrize("status", ["paused", "interrupted", "failed", "cancelled"])
def test_what_stands_still_can_go(alice, status):
    session = make_session(alice, status=status)
    session_delete(session=session, actor=alice)
    assert not Session.objects.exists()


def test_the_page_shows_it_first_and_then_deletes(client, session, others):
    client.force_login(session.owner)
    address = f"/sessions/{session.pk}/delete/"
    assert address in client.get(f"/sessions/{session.pk}/").content.decode()
    text = client.get(address).content.decode()
    for one in others:
        assert f'href="/sessions/{one.pk}/"' in text
    assert "Trials of the idea" in text
    assert Session.objects.filter(pk=session.pk).exists()
    assert client.post(address)["Location"] == "/sessions/"
    assert not Session.objects.filter(pk=session.pk).exists()
    assert client.get(f"/sessions/{session.pk}/").status_code == 404


def test_the_page_of_one_that_runs_has_no_button(client, alice):
    session = make_session(alice, status="running")
    client.force_login(alice)
    text = client.get(f"/sessions/{session.pk}/delete/").content.decode()
    assert "cancel it before" in text
    assert 'id="confirm-delete"' not in text
    assert client.post(f"/sessions/{session.pk}/delete/").status_code == 409
    assert "open-delete" not in client.get(f"/sessions/{session.pk}/").content.decode()


def test_only_its_owner_and_administrators_delete(client, alice, bob, root, session):
    share_create(actor=alice, obj=session, receiver="bob", can_edit=True)
    client.force_login(bob)
    assert client.get(f"/sessions/{session.pk}/delete/").status_code == 404
    assert client.post(f"/sessions/{session.pk}/delete/").status_code == 404
    client.force_login(root)
    assert client.post(f"/sessions/{session.pk}/delete/").status_code == 302


def test_the_api_tells_and_deletes(alice, bob, session, others):
    def client_of(user):
        _row, plain = token_create(user, "x", scopes=["sessions:write"])
        return Client(headers={"authorization": f"Bearer {plain}"})

    address = f"/api/sessions/{session.pk}"
    assert client_of(bob).delete(address).status_code == 404
    found = client_of(alice).get(f"{address}/attached").json()
    assert found["deletable"]
    assert found["deleted"]["verifications"] == [others[0].pk]
    assert found["kept"]["trials"] == 3
    Session.objects.filter(pk=session.pk).update(status="running")
    assert client_of(alice).get(f"{address}/attached").json()["reason_code"] == "session_active"
    assert client_of(alice).delete(address).status_code == 409
    Session.objects.filter(pk=session.pk).update(status="failed")
    assert client_of(alice).delete(address).json()["deleted"]["events"] == 3
    assert client_of(alice).get(address).status_code == 404


def test_the_command_shows_first_and_deletes_when_told(session, capsys):
    call_command("sessions", "delete", str(session.pk), "--user", "alice", "--json")
    assert json.loads(capsys.readouterr().out)["done"] is False
    call_command("sessions", "delete", str(session.pk), "--user", "alice")
    assert "add --yes" in capsys.readouterr().out
    assert Session.objects.filter(pk=session.pk).exists()
    for number, user in (("987654", "alice"), (str(session.pk), "bob")):
        with pytest.raises(CommandError):
            call_command("sessions", "delete", number, "--yes", "--user", user)
    call_command("sessions", "delete", str(session.pk), "--yes", "--user", "alice")
    assert not Session.objects.exists()
