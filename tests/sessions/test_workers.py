"""Workers: their beat, and what draining one means for its launchers, the reaper and the audit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.sessions import tasks
from apps.sessions.models import Session, Worker
from apps.sessions.services import reaper, workers
from apps.sessions.services.workers import (
    beat,
    launcher_name,
    worker_drain,
    worker_draining,
    worker_name,
    workers_alive,
)
from tests.sessions.machine import queued

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(monkeypatch) -> Worker:
    """The worker that this process would belong to."""
    monkeypatch.setenv("QP_SUPERVISOR_PID", "0")
    monkeypatch.setattr("apps.sessions.services.reaper.ring", lambda: None)
    beat()
    return Worker.objects.get()


@pytest.fixture
def rung(monkeypatch):
    calls: list[bool] = []
    monkeypatch.setattr(workers, "ring", lambda: calls.append(True))
    return calls


def test_workers_are_known_by_their_beat(here):
    beat()
    assert workers_alive() == 1
    Worker.objects.update(last_beat=timezone.now() - timedelta(seconds=20))
    assert workers_alive() == 0
    Worker.objects.update(last_beat=timezone.now() - timedelta(hours=2))
    reaper.reap_once()
    assert not Worker.objects.exists()


def test_a_launcher_is_named_after_its_worker(here):
    assert launcher_name().rpartition(":")[0] == worker_name() == here.name


def test_a_draining_worker_takes_nothing_and_takes_it_when_asked_again(here, root, alice, rung, monkeypatch):
    session = queued(alice)
    ran: list[int] = []

    def launch(claimed):
        ran.append(claimed.pk)
        Session.objects.filter(pk=claimed.pk).update(status="completed")

    monkeypatch.setattr(tasks, "launch", launch)
    monkeypatch.setattr(tasks, "close_old_connections", lambda: None)
    worker_drain(worker=here, actor=root, draining=True)
    assert worker_draining()
    assert tasks.run_next() == 0
    assert Session.objects.get(pk=session.pk).status == "queued"
    worker_drain(worker=here, actor=root, draining=False)
    assert tasks.run_next() == 1
    assert ran == [session.pk]


def test_the_beat_does_not_end_the_draining(here, root):
    worker_drain(worker=here, actor=root, draining=True)
    beat()
    assert worker_draining()


def test_a_worker_that_drains_is_not_called_deaf(here, root, alice):
    queued(alice, queued_at=timezone.now() - timedelta(minutes=5))
    assert reaper.reap_once().deaf
    worker_drain(worker=here, actor=root, draining=True)
    assert not reaper.reap_once().deaf


def test_draining_is_audited_once_and_taking_sessions_again_rings(here, root, rung, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        for draining in (True, True, False):
            worker_drain(worker=here, actor=root, draining=draining)
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["worker.drain", "worker.undrain"]
    assert rung == [True]


def test_only_administrators_drain(here, alice):
    with pytest.raises(PermissionDenied):
        worker_drain(worker=here, actor=alice, draining=True)
    assert not worker_draining()
