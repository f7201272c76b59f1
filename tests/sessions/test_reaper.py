"""What brings lost sessions back: endings, leases, bells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from apps.accounts.models import Notice
from apps.sessions.models import Attempt, Checkpoint, Session
from apps.sessions.notices import reason_text
from apps.sessions.runner.children import RUN_SESSION
from apps.sessions.runner.process import suspicion_file
from apps.sessions.services import reaper, starved
from apps.sessions.services.claim import claim, waiting
from apps.sessions.services.endings import attempt_lost
from apps.sessions.services.frozen import Frozen, stands_still
from apps.sessions.services.reaper import reap_once
from apps.sessions.services.starved import Starved
from apps.sessions.services.workers import launcher_name
from tests.sessions.live_fixtures import make_session
from tests.sessions.machine import claimed, eventually, payloads, queued, reclaimed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    bells = []
    monkeypatch.setattr(reaper, "ring", lambda: bells.append(1))
    return bells


def ago(**span):
    return timezone.now() - timedelta(**span)


def expire(session):
    Session.objects.filter(pk=session.pk).update(lease_until=ago(seconds=1))


@pytest.mark.parametrize(
    ("status", "becomes", "code"),
    [("running", "queued", "lost"), ("pausing", "paused", "unsaved"), ("cancelling", "cancelled", "unsaved")],
)
def test_an_expired_lease_is_taken_back(alice, status, becomes, code):
    session = make_session(alice, status=status, lease_until=ago(seconds=1), pid=5, worker="w")
    assert reap_once().expired == 1
    session.refresh_from_db()
    assert (session.status, session.reason_code, session.pid) == (becomes, code, None)
    assert reap_once().expired == 0


def test_a_lease_that_holds_is_respected(alice):
    session = make_session(alice, lease_until=timezone.now() + timedelta(seconds=5))
    assert reap_once().expired == 0
    session.refresh_from_db()
    assert session.status == "running"


def test_the_first_retry_is_immediate_and_the_next_waits(alice, settings):
    session = claimed(alice)
    assert attempt_lost(session.pk, 1, -9)
    session.refresh_from_db()
    assert (session.status, session.crashes, session.not_before) == ("queued", 1, None)
    session = reclaimed(session)
    assert attempt_lost(session.pk, 2, 1)
    session.refresh_from_db()
    assert (session.reason_code, session.reason["exit"]) == ("crashed", 1)
    assert timedelta(0) < session.not_before - timezone.now() <= timedelta(seconds=settings.QP_RETRY_SECONDS)


def test_three_retries_start_sixty_seconds_apart_and_a_fourth_never(alice, monkeypatch):
    """By a clock of its own: each attempt dies three seconds after its start, the last retry but one after 70."""
    session, begun = queued(alice), timezone.now()
    clock = SimpleNamespace(now=begun)
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock.now)
    starts = []
    for lived in (3, 3, 70, 3):
        clock.now = max(clock.now, session.not_before or clock.now)
        assert claim(session.pk, session.attempt, "test")
        starts.append((clock.now - begun).total_seconds())
        clock.now += timedelta(seconds=lived)
        session.refresh_from_db()
        assert attempt_lost(session.pk, session.attempt, 1)
        session.refresh_from_db()
    assert starts == [0, 3, 63, 133], (
        "the first at once, then each 60 s after the one before, or when that had run longer"
    )
    assert (session.status, session.reason_code) == ("failed", "crashed_too_often")


def test_a_pause_is_never_longer_than_declared_though_the_clock_was_set_back(alice, settings):
    session = claimed(alice)
    assert attempt_lost(session.pk, 1, 1)
    session.refresh_from_db()
    session = reclaimed(session)
    Attempt.objects.filter(session=session, number=2).update(started_at=ago(hours=-1))
    assert attempt_lost(session.pk, 2, 1)
    session.refresh_from_db()
    assert session.not_before - timezone.now() <= timedelta(seconds=settings.QP_RETRY_SECONDS)


def test_too_many_crashes_fail_it_with_the_reason_of_each(alice, settings):
    settings.QP_RETRY_LIMIT, session = 2, claimed(alice)
    for code in (-9, 1, 1):
        assert attempt_lost(session.pk, session.attempt, code)
        session.refresh_from_db()
        if session.status == "queued":
            session = reclaimed(session)
    assert (session.status, session.reason_code) == ("failed", "crashed_too_often")
    assert session.reason["attempts"] == "#1 lost, #2 crashed, #3 crashed"
    said = reason_text(session.reason_code, session.reason)
    assert said.endswith("attempt 1 stopped without a word; attempt 2 ended with code 1; attempt 3 ended with code 1.")
    assert [attempt.outcome for attempt in Attempt.objects.order_by("number")] == ["queued", "queued", "failed"]
    assert Notice.objects.get().code == "session.failed"


def test_progress_between_crashes_starts_the_count_anew(alice, settings):
    settings.QP_RETRY_LIMIT, session = 1, claimed(alice)
    for step in (10, 20, 30):
        Checkpoint.objects.create(
            session=session, attempt=session.attempt, step=step, path="p", sha256="0", size_bytes=1
        )
        assert attempt_lost(session.pk, session.attempt, None)
        session.refresh_from_db()
        assert (session.status, session.crashes) == ("queued", 1)
        session = reclaimed(session)


def test_who_had_the_last_word_is_not_lost(alice):
    session = make_session(alice, status="completed")
    assert not attempt_lost(session.pk, 1, 0)
    assert not attempt_lost(make_session(alice, attempt=4).pk, 3, -9)
    assert payloads(session) == []


def test_a_session_that_speaks_at_the_last_moment_is_believed(alice, monkeypatch):
    session = make_session(alice)

    def completed_first(**_):
        Session.objects.filter(pk=session.pk).update(status="completed")
        from apps.sessions.services.transitions import session_command

        return session_command(**_)

    monkeypatch.setattr("apps.sessions.services.endings.session_command", completed_first)
    assert not attempt_lost(session.pk, 1, -9)
    session.refresh_from_db()
    assert session.status == "completed"


def test_a_bell_is_rung_for_who_waits_though_slots_are_free(alice, rung):
    queued(alice)
    assert reap_once().rung == 0
    Session.objects.update(queued_at=ago(seconds=3))
    assert reap_once() == reaper.Reaped(0, 1, False)
    assert rung == [1]


def test_no_bell_while_the_slots_are_taken_or_the_retry_waits(alice, rung, settings):
    settings.SLOTS = 1
    queued(alice, queued_at=ago(seconds=60), not_before=timezone.now() + timedelta(seconds=9))
    make_session(alice, lease_until=timezone.now() + timedelta(seconds=9))
    queued(alice, queued_at=ago(seconds=60))
    assert reap_once() == reaper.Reaped(0, 0, False)
    assert rung == []


def test_a_cluster_that_starts_nothing_is_called_deaf(alice):
    queued(alice, queued_at=ago(seconds=16))
    assert reap_once().deaf
    make_session(alice, status="completed", started_at=ago(seconds=1))
    assert not reap_once().deaf


def test_after_the_death_of_a_launcher_a_wait_is_believed_sooner(alice, monkeypatch, tmp_path):
    drain = tmp_path / "drain.7"
    monkeypatch.setenv("QP_DRAIN_FILE", str(drain))
    queued(alice, queued_at=ago(seconds=4))
    assert not reap_once().deaf
    said = suspicion_file(drain)
    said.touch()
    assert reap_once().deaf
    os.utime(said, (time.time() - 100,) * 2)
    assert not reap_once().deaf, "an old suspicion counts no more"


def test_a_process_that_stands_still_is_taken_back_at_the_second_look(alice):
    session, frozen = claimed(alice), Frozen()
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        Session.objects.filter(pk=session.pk).update(pid=sleeper.pid, worker=launcher_name())
        assert (frozen.look(), frozen.look()) == (0, 0), "one that only waits is let be"
        os.kill(sleeper.pid, signal.SIGSTOP)
        eventually(lambda: stands_still(sleeper.pid))
        assert frozen.look() == 0
        Session.objects.filter(pk=session.pk).update(worker="elsewhere:1:2")
        assert frozen.look() == 0, "another host's is left to its lease"
        Session.objects.filter(pk=session.pk).update(worker=launcher_name())
        assert (frozen.look(), frozen.look()) == (0, 1)
    finally:
        sleeper.kill()
        sleeper.wait()
    session.refresh_from_db()
    assert (session.status, session.reason_code) == ("queued", "lost")
    assert not stands_still(sleeper.pid)


@pytest.fixture
def worker_process():
    """A process that looks like a session's and does nothing but live."""
    found = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", RUN_SESSION])
    yield found
    found.kill()
    found.wait()


def silent(alice, pid, worker=None):
    session = claimed(alice)
    Session.objects.filter(pk=session.pk).update(pid=pid, worker=worker or launcher_name(), lease_until=ago(seconds=1))
    return session


def test_a_silent_session_whose_process_works_is_given_time_once(alice, worker_process, settings, monkeypatch):
    clock = iter((0.0, 29.0, 30.5)).__next__
    monkeypatch.setattr(starved, "time", SimpleNamespace(monotonic=clock))
    settings.QP_STARVED_SECONDS, watch = 30.0, Starved()
    session = silent(alice, worker_process.pid)
    assert [reap_once(watch).expired for _ in range(3)] == [0, 0, 1]
    session.refresh_from_db()
    assert (session.status, session.reason_code) == ("queued", "lost")


def test_a_session_that_speaks_again_is_given_its_time_anew(alice, worker_process, settings, monkeypatch):
    clock = iter((0.0, 20.0, 40.0, 60.0)).__next__
    monkeypatch.setattr(starved, "time", SimpleNamespace(monotonic=clock))
    settings.QP_STARVED_SECONDS, watch = 30.0, Starved()
    session = silent(alice, worker_process.pid)
    assert reap_once(watch).expired == 0
    Session.objects.filter(pk=session.pk).update(lease_until=timezone.now() + timedelta(seconds=5))
    assert reap_once(watch).expired == 0
    expire(session)
    assert [reap_once(watch).expired for _ in range(2)] == [0, 0]


def test_a_clock_set_ahead_or_back_takes_nothing_from_a_process_that_works(alice, worker_process):
    watch, session = Starved(), silent(alice, worker_process.pid)
    for jump in (timedelta(hours=-1), timedelta(hours=1)):
        Session.objects.filter(pk=session.pk).update(lease_until=timezone.now() + jump)
        assert reap_once(watch).expired == 0


@pytest.mark.parametrize("who", ["dead", "stopped", "another's", "another host's", "unborn"])
def test_no_time_is_given_to_who_cannot_use_it(alice, worker_process, who):
    session = silent(alice, worker_process.pid, "elsewhere:1:2" if who == "another host's" else None)
    if who == "dead":
        worker_process.kill()
        worker_process.wait()
    elif who == "stopped":
        os.kill(worker_process.pid, signal.SIGSTOP)
        eventually(lambda: stands_still(worker_process.pid))
    elif who in {"another's", "unborn"}:  # The number of a process that runs no session.
        pid = os.getppid() if who == "another's" else None
        Session.objects.filter(pk=session.pk).update(pid=pid)
    assert reap_once(Starved()).expired == 1


def test_the_retry_of_an_expired_lease_keeps_the_log_whole(alice):
    session = claimed(alice)
    expire(session)
    reap_once()
    reclaimed(session.__class__.objects.get(pk=session.pk))
    assert [payload["status"] for payload in payloads(session)] == ["running", "queued", "running"]


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("", {}, ""),
        ("lost", {"exit": None}, "without a word"),
        ("crashed", {"exit": 3}, "code 3"),
        ("crashed", {"exit": 1, "error": "KeyError: 'x'"}, "It ended with KeyError: 'x'; it goes on"),
        (
            "crashed_too_often",
            {"each": [{"number": 1, "code": "crashed", "exit": 1, "error": "E: x"}, {"number": 2, "code": "queued"}]},
            "attempt 1 ended with E: x; attempt 2: queued.",
        ),
        ("crashed_too_often", {"attempts": "#1 lost"}, "#1 lost"),
        ("crashed", {}, "%(exit)s"),
        ("nan_metric", {"message": "%(name)s went wrong", "name": "loss"}, "loss went wrong"),
        ("something_new", {}, "something_new"),
    ],
)
def test_a_reason_is_always_a_sentence(code, reason, words):
    assert words in reason_text(code, reason)


def test_a_lease_of_a_clock_that_was_set_back_is_taken_back(alice):
    session = make_session(alice, lease_until=timezone.now() + timedelta(hours=1))
    fresh = make_session(alice, lease_until=timezone.now() + timedelta(seconds=30))
    assert reap_once().expired == 1
    session.refresh_from_db()
    fresh.refresh_from_db()
    assert (session.status, session.reason_code, fresh.status) == ("queued", "lost", "running")


@pytest.mark.parametrize("column", ["queued_at", "not_before"])
def test_a_wait_of_a_clock_that_was_set_back_is_none(alice, rung, column):
    session = queued(alice, **{column: timezone.now() + timedelta(hours=1)})
    assert reap_once() == reaper.Reaped(0, 1, False)
    assert [row.pk for row in waiting()] == [session.pk]
