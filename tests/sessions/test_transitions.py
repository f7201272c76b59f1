"""The one service that moves a session: compare-and-set, log, audit, notice, wake-up."""

from __future__ import annotations

import pytest

from apps.accounts.models import AuditEntry, Notice
from apps.accounts.notices import notice_text
from apps.sessions.engine.states import HUMAN, ON_A_WORKER, TRANSITIONS, Command, State
from apps.sessions.models import Attempt, Session, SessionEvent
from apps.sessions.services import transitions
from apps.sessions.services.transitions import StaleAttempt, session_command
from apps.ui.engine.refusal import Refusal
from tests.sessions.live_fixtures import make_session
from tests.sessions.machine import claimed, payloads

pytestmark = pytest.mark.django_db
PAIRS = [(state, command) for state in State for command in Command]


@pytest.mark.parametrize(("state", "command"), PAIRS)
def test_every_pair_moves_the_row_or_leaves_everything_as_it_was(alice, state, command):
    session = make_session(alice, status=str(state))
    if (state, command) not in TRANSITIONS:
        with pytest.raises(Refusal):
            session_command(session_id=session.pk, command=command, actor=alice)
        session.refresh_from_db()
        assert (session.status, session.last_seq) == (state, 0)
        assert not SessionEvent.objects.exists()
        assert not AuditEntry.objects.filter(action=f"session.{command}").exists()
        return
    moved = session_command(session_id=session.pk, command=command, actor=alice)
    target = TRANSITIONS[state, command]
    assert moved.status == target
    assert payloads(session) == [{"status": str(target)}]
    assert AuditEntry.objects.filter(action=f"session.{command}", actor=alice).count() == (command in HUMAN)
    if state in ON_A_WORKER and target not in ON_A_WORKER:
        assert (moved.lease_until, moved.pid, moved.worker) == (None, None, "")
    assert (moved.finished_at is not None) == (target in {State.COMPLETED, State.FAILED, State.CANCELLED})
    assert (moved.queued_at is not None) == (target is State.QUEUED)


@pytest.mark.parametrize(
    ("command", "code", "level"),
    [
        (Command.COMPLETE, "session.completed", "info"),
        (Command.FAIL, "session.failed", "error"),
        (Command.INTERRUPT, "session.interrupted", "warning"),
    ],
)
def test_the_owner_is_told_how_it_ended(alice, command, code, level):
    session = make_session(alice)
    session_command(session_id=session.pk, command=command, reason_code="disk_full", reason={"detail": "x"})
    notice = Notice.objects.get(user=alice)
    assert (notice.code, notice.level, notice.url) == (code, level, f"/sessions/{session.pk}/")
    assert "AAPL daily" in notice_text(notice)
    assert notice.params["reason"] == {"code": "disk_full", "detail": "x"}


def test_a_pause_or_a_cancel_needs_no_notice(alice):
    session_command(session_id=make_session(alice).pk, command=Command.PAUSE, actor=alice)
    assert not Notice.objects.exists()


def test_the_reason_is_on_the_row_in_the_log_and_at_the_attempt(alice):
    session = claimed(alice)
    moved = session_command(
        session_id=session.pk, command=Command.FAIL, attempt=1, reason_code="nan_metric", reason={"step": 7}
    )
    assert (moved.reason_code, moved.reason) == ("nan_metric", {"step": 7})
    assert payloads(session)[-1]["reason"] == {"code": "nan_metric", "step": 7}
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.reason) == ("failed", {"code": "nan_metric", "step": 7})
    assert attempt.ended_at is not None


def test_the_wake_up_and_the_bell_come_after_the_commit(alice, monkeypatch, django_capture_on_commit_callbacks):
    said = []
    monkeypatch.setattr(transitions, "poke", lambda: said.append("poke"))
    monkeypatch.setattr("apps.sessions.adapters.doorbell.ring", lambda: said.append("ring"))
    session = make_session(alice, status="draft")
    with django_capture_on_commit_callbacks(execute=True):
        session_command(session_id=session.pk, command=Command.QUEUE)
        assert said == []
    assert said == ["poke", "ring"]


def test_an_old_attempt_is_not_heard(alice):
    session = make_session(alice, attempt=3)
    with pytest.raises(StaleAttempt):
        session_command(session_id=session.pk, command=Command.COMPLETE, attempt=2)
    assert payloads(session) == []


@pytest.mark.parametrize("status", ["queued", "paused", "completed", "cancelled"])
def test_an_attempt_taken_off_its_worker_is_not_heard(alice, status):
    session = make_session(alice, status=status)
    with pytest.raises(StaleAttempt):
        session_command(session_id=session.pk, command=Command.FAIL, attempt=1)
    assert Session.objects.get().status == status


def test_of_two_at_once_the_second_looks_again(alice, monkeypatch):
    session, real, calls = make_session(alice), transitions._apply, []

    def overtaken(row, *rest):
        calls.append(row.status)
        if len(calls) == 1:
            Session.objects.filter(pk=row.pk).update(status="pausing")
        return real(row, *rest)

    monkeypatch.setattr(transitions, "_apply", overtaken)
    assert session_command(session_id=session.pk, command=Command.CANCEL, actor=alice).status == "cancelling"
    assert calls == ["running", "pausing"]
    assert payloads(session) == [{"status": "cancelling"}]


def test_a_session_that_never_stands_still_is_an_error_not_a_loop(alice, monkeypatch):
    monkeypatch.setattr(transitions, "_apply", lambda *_: False)
    with pytest.raises(RuntimeError, match="kept moving"):
        session_command(session_id=make_session(alice).pk, command=Command.PAUSE)
