"""Seeded random sequences of deaths, orders and lost leases against one session, without processes.

A run is its real attempt (``run_attempt``) on a thread-less sink; a death is an exception nobody
catches at a random step, or an attempt overtaken in the middle. ``QP_FAULT_SEQUENCES`` says how many
(12 here; 200 and more before a release).
"""

from __future__ import annotations

import os
import random
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.sessions.engine.states import FINAL, State
from apps.sessions.models import Attempt, Session
from apps.sessions.runner.child import FENCED, run_attempt
from apps.sessions.services.claim import claim
from apps.sessions.services.endings import attempt_lost
from apps.sessions.services.reaper import reap_once
from apps.sessions.services.transitions import session_command
from tests.sessions import machine
from tests.sessions.machine import HOOKS, claimed, curve, payloads, queued

pytestmark = pytest.mark.django_db(transaction=True)
SEQUENCES = int(os.environ.get("QP_FAULT_SEQUENCES", "12"))
STEPS = 40
TOGETHER = 12


class Killed(BaseException):
    """What a kill -9 looks like from inside: nothing after it runs."""


@pytest.fixture(autouse=True)
def _toy(monkeypatch, settings):
    settings.QP_RETRY_SECONDS, settings.QP_RETRY_LIMIT = 0, 1000
    machine.install(monkeypatch)
    # What a dead process had gathered dies with it: nothing is written on the way out of a kill.
    monkeypatch.setattr("apps.sessions.services.reaper.ring", lambda: None)
    monkeypatch.setattr("apps.sessions.adapters.doorbell.ring", lambda: None)


@pytest.fixture
def whole(alice):
    session = claimed(alice, name="undisturbed")
    run_attempt(session.pk, 1, own_process=False)
    return curve(session)


def killed(sink):
    sink._closed.set()
    sink._thread.join()
    raise Killed


def overtaken(pk):
    """The lease ran out and another worker claimed the session while this attempt still runs."""

    def hook(sink):
        Session.objects.filter(pk=pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        reap_once()

    return hook


def set_back(pk):
    """The clock was set back an hour after the lease was written, and nobody renewed it since."""

    def hook(sink):
        Session.objects.filter(pk=pk).update(lease_until=timezone.now() + timedelta(hours=1))
        reap_once()

    return hook


def ordered(pk, command):
    def hook(sink):
        session_command(session_id=pk, command=command)
        machine.eventually(sink.stop_requested)

    return hook


def refused_disk(sink):
    from apps.ui.engine.refusal import Refusal

    raise Refusal("disk_full", "The disk is full: %(detail)s.", detail="no space")


def one_attempt(session, r):
    """Claim, run with one random fault, and do what the launcher or the reaper would."""
    assert claim(session.pk, session.attempt, "w")
    assert not claim(session.pk, session.attempt, "other")  # Two workers, one job.
    session.refresh_from_db()
    HOOKS.clear()
    fault = r.choice(["kill", "kill", "lease", "pause", "crash", "disk", "shutdown", "truncate", "clock", "none"])
    at = r.randint(1, STEPS)
    HOOKS.update(
        {
            "kill": {at: killed}, "truncate": {at: killed}, "lease": {at: overtaken(session.pk)}, "clock": {at: set_back(session.pk)},
            "pause": {at: ordered(session.pk, "pause")}, "disk": {at: refused_disk},
            "crash": {at: lambda sink: 1 / 0}, "shutdown": {at: lambda sink: sink.request_stop("shutdown")},
        }.get(fault, {})
    )  # fmt: skip
    try:
        code = run_attempt(session.pk, session.attempt, own_process=False)
    except Killed:
        code = -9
    if fault == "truncate" and code == -9:
        truncate_newest(session)
    if code not in {0, FENCED}:
        attempt_lost(session.pk, session.attempt, code)
    session.refresh_from_db()


def truncate_newest(session):
    from django.conf import settings

    newest = session.checkpoints.order_by("-id").first()
    if newest is not None:
        path = settings.VAR_DIR / newest.path
        path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("first", range(0, SEQUENCES, TOGETHER))
def test_whatever_happens_every_point_is_there_once(alice, whole, first):
    for seed in range(first, min(first + TOGETHER, SEQUENCES)):
        suffer(alice, whole, seed)


def suffer(alice, whole, seed):
    """Run one session through the sequence of ``seed`` to its end."""
    r = random.Random(seed)
    session = queued(alice)
    for _ in range(60):
        if session.status in FINAL:
            break
        if session.status in {State.PAUSED, State.INTERRUPTED}:
            session_command(session_id=session.pk, command="resume")
        session.refresh_from_db()
        one_attempt(session, r)
    HOOKS.clear()
    if session.status not in FINAL:
        if session.status != State.QUEUED:
            session_command(session_id=session.pk, command="resume")
        session.refresh_from_db()
        assert claim(session.pk, session.attempt, "w")
        run_attempt(session.pk, session.attempt + 1, own_process=False)
        session.refresh_from_db()
    assert session.status == "completed", seed
    assert curve(session) == whole, seed
    assert session.lease_until is None
    assert session.pid is None
    assert not Attempt.objects.filter(session=session, ended_at=None).exists()
    assert payloads(session)[-1] == {"status": "completed"}
