"""One attempt from claim to last word, with a trainer that is small and exact."""

from __future__ import annotations

import json

import pytest

from apps.sessions.engine.states import Command
from apps.sessions.models import Attempt, Checkpoint, Session
from apps.sessions.notices import reason_text
from apps.sessions.runner.child import CRASHED, FENCED, run_attempt
from apps.sessions.runner.launcher import launch
from apps.sessions.selectors import session_folder
from apps.sessions.services.transitions import session_command
from apps.ui.engine.refusal import Refusal
from tests.sessions import machine
from tests.sessions.machine import HOOKS, claimed, curve, eventually, payloads, reclaimed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _toy(monkeypatch, settings):
    settings.SESSION_RUNNER = "inline"
    machine.install(monkeypatch)


@pytest.fixture
def whole(alice):
    """The curve of a run nobody disturbed."""
    session = claimed(alice, name="undisturbed")
    launch(session)
    return curve(session)


def run(session):
    code = run_attempt(session.pk, session.attempt, own_process=False)
    session.refresh_from_db()
    return code


def order(session, command):
    """What a person does while step N is about to happen; waits until the run has heard of it."""

    def hook(sink):
        session_command(session_id=session.pk, command=command)
        eventually(sink.stop_requested)

    return hook


def test_a_run_ends_with_its_result(alice):
    session = claimed(alice)
    assert run(session) == 0
    assert (session.status, session.progress, session.out_of_sample) == ("completed", 1.0, True)
    assert (session.result_return, session.result_sharpe) == (0.25, 1.5)
    assert session.summary["policy"] == {"kind": "toy"}
    assert {"python", "device", "code", "libraries"} <= set(session.environment)
    assert [step for step, _ in curve(session)] == list(range(1, 41))
    assert payloads(session)[-1] == {"status": "completed"}
    document = json.loads((session_folder(session.pk) / "result.json").read_text())
    assert document["test"]["sharpe"] == 1.5
    session.version.strategy.refresh_from_db()
    assert session.version.strategy.stage == "trained"
    assert Attempt.objects.get().outcome == "completed"


@pytest.mark.parametrize(("command", "ends"), [("pause", "paused"), ("cancel", "cancelled")])
def test_an_order_is_obeyed_after_a_checkpoint(alice, command, ends):
    session = claimed(alice)
    HOOKS[17] = order(session, command)
    assert run(session) == 0
    assert session.status == ends
    assert Checkpoint.objects.get(is_latest=True).step == 17
    assert curve(session)[-1][0] == 17


def test_a_pause_and_a_resume_give_the_undisturbed_curve(alice, whole):
    session = claimed(alice)
    HOOKS[17] = order(session, "pause")
    run(session)
    HOOKS.clear()
    session_command(session_id=session.pk, command=Command.RESUME)
    run(reclaimed(Session.objects.get(pk=session.pk)))
    session.refresh_from_db()
    assert session.status == "completed"
    assert curve(session) == whole
    assert {"rewind": 17} in [{"rewind": p["rewind"]} for p in payloads(session) if "rewind" in p]


def test_a_crash_goes_on_from_the_last_checkpoint(alice, whole, settings):
    settings.QP_RETRY_SECONDS, session = 0, claimed(alice)

    def crash(_):
        HOOKS.clear()
        raise ValueError("a mistake")

    HOOKS[25] = crash
    launch(session)
    session.refresh_from_db()
    assert (session.status, session.reason_code, session.crashes) == ("queued", "crashed", 1)
    assert "a mistake" in json.dumps(payloads(session))
    assert session.reason == {"exit": CRASHED, "error": "ValueError: a mistake"}
    assert session.attempts.get().reason == {"code": "crashed", **session.reason}
    assert reason_text("crashed", session.reason).startswith("It ended with ValueError: a mistake; it goes on")
    launch(reclaimed(session))
    session.refresh_from_db()
    assert session.status == "completed"
    assert [payload["rewind"] for payload in payloads(session) if "rewind" in payload] == [20]
    assert curve(session) == whole


def test_a_crash_before_the_first_checkpoint_begins_again(alice, whole):
    session = claimed(alice)

    def crash(_):
        HOOKS.clear()
        raise MemoryError

    HOOKS[5] = crash
    assert run(session) == CRASHED
    assert session.attempts.get().reason == {"error": "MemoryError"}
    session_command(session_id=session.pk, command=Command.REQUEUE)
    run(reclaimed(Session.objects.get(pk=session.pk)))
    assert [payload["rewind"] for payload in payloads(session) if "rewind" in payload] == [-1]
    assert curve(session) == whole


def test_a_metric_that_is_no_number_fails_it_and_is_never_retried(alice):
    session = claimed(alice)
    HOOKS[12] = lambda sink: sink.point(12, {"loss": float("nan")})
    launch(session)
    session.refresh_from_db()
    assert (session.status, session.reason_code, session.attempt) == ("failed", "nan_metric", 1)
    assert session.reason["step"] == 12
    assert "Lower the learning rate" in session.reason["message"]


def test_a_full_disk_interrupts_it(alice):
    session = claimed(alice)

    def full(_):
        raise Refusal("disk_full", "The disk is full: %(detail)s.", detail="no space")

    HOOKS[12] = full
    launch(session)
    session.refresh_from_db()
    assert (session.status, session.reason_code) == ("interrupted", "disk_full")


def test_the_time_limit_interrupts_it_with_a_checkpoint(alice):
    session = claimed(alice, time_limit=50)
    HOOKS[8] = lambda sink: sink.request_stop("time_limit")
    launch(session)
    session.refresh_from_db()
    assert (session.status, session.reason_code, session.reason) == ("interrupted", "time_limit", {"limit": 50})
    assert Checkpoint.objects.get().step == 8


def test_a_worker_that_stops_gives_the_session_back(alice):
    session = claimed(alice)
    HOOKS[8] = lambda sink: sink.request_stop("shutdown")
    launch(session)
    session.refresh_from_db()
    assert (session.status, session.reason_code, session.crashes) == ("queued", "shutdown", 0)


def test_an_attempt_that_is_not_the_current_one_does_nothing(alice):
    session = claimed(alice)
    assert run_attempt(session.pk, 7, own_process=False) == FENCED
    session_command(session_id=session.pk, command=Command.PAUSE)
    assert run_attempt(session.pk, 1, own_process=False) == FENCED
    assert curve(session) == []


def test_an_attempt_overtaken_in_the_middle_leaves_quietly(alice):
    session = claimed(alice)

    def overtaken(sink):
        Session.objects.filter(pk=session.pk).update(attempt=2)

    HOOKS[12] = overtaken
    assert run(session) == FENCED
    assert (session.status, session.attempt) == ("running", 2)


def test_a_session_taken_back_before_its_last_word_is_not_failed_by_it(alice):
    session = claimed(alice)
    HOOKS[40] = lambda sink: session_command(session_id=session.pk, command=Command.REQUEUE)
    assert run(session) == FENCED
    assert session.status == "queued"


def test_a_request_at_the_last_moment_is_overtaken_by_the_end(alice, monkeypatch):
    session = claimed(alice)
    # The run looks for orders soon after its start, which a busy machine may put after its last step.
    monkeypatch.setattr("apps.sessions.runner.sink.DbSink._look_for_orders", lambda sink: None)
    HOOKS[40] = lambda sink: session_command(session_id=session.pk, command=Command.PAUSE)
    assert run(session) == 0
    assert session.status == "completed"


def test_an_error_on_the_way_out_does_not_hide_the_first(alice, monkeypatch, capfd):
    session = claimed(alice)

    def crash(sink):
        monkeypatch.setattr(sink, "flush", lambda: (_ for _ in ()).throw(OSError("second")))
        raise ValueError("first")

    HOOKS[3] = crash
    assert run(session) == CRASHED
    out, err = capfd.readouterr()
    assert "first" in out
    assert "second" in err or "second" in out


def test_signals_ask_for_a_checkpoint(alice, monkeypatch):
    import signal

    heard = {}
    monkeypatch.setattr(signal, "signal", lambda number, handler: heard.__setitem__(number, handler))
    session = claimed(alice)
    HOOKS[9] = lambda sink: heard[signal.SIGTERM](signal.SIGTERM, None)
    assert run_attempt(session.pk, 1) == 0
    session.refresh_from_db()
    assert (session.status, session.reason_code) == ("queued", "shutdown")
    assert heard[signal.SIGINT] == signal.SIG_IGN
