"""The workers of every host and what runs in their slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.sessions.engine.states import ON_A_WORKER
from apps.sessions.models import Session, Worker
from apps.sessions.services.workers import ALIVE_SECONDS

#: Sessions on all workers together; far more than any installation has slots.
MOST_RUNNING = 1000


@dataclass(frozen=True)
class SlotRow:
    """One session in a slot, counted from 1. ``renewed`` is the age of its lease in seconds, ``left`` what
    remains of it (negative: overdue); ``rss_bytes`` its memory when last measured."""

    slot: int
    session: Session
    rss_bytes: int | None
    renewed: float | None
    left: float | None


@dataclass(frozen=True)
class WorkerRow:
    """A worker: ``silent`` seconds since its last beat, whether its processors are ``busy`` for so long that half of
    the slots stay empty, and its sessions by slot."""

    worker: Worker
    alive: bool
    busy: bool
    silent: float
    sessions: list[SlotRow]

    @property
    def state(self) -> str:
        """``silent``, ``draining``, ``drained`` or ``answers``."""
        if not self.alive:
            return "silent"
        if self.worker.draining:
            return "draining" if self.sessions else "drained"
        return "answers"


def worker_list(user: User) -> QuerySet[Worker]:
    """Return every worker that was heard of lately, the latest beat first. For administrators."""
    require_permission(user, "user.admin")
    return Worker.objects.order_by("-last_beat", "name")


def worker_rows(workers: Sequence[Worker]) -> list[WorkerRow]:
    """Return ``workers`` with what they run, in one statement."""
    now = timezone.now()
    running: dict[str, list[Session]] = {}
    for session in _running() if workers else ():
        running.setdefault(_worker_of(session), []).append(session)
    rows, late = [], now - timedelta(seconds=settings.QP_CPU_BUSY_SECONDS)
    for worker in workers:
        silent = max(0.0, (now - worker.last_beat).total_seconds())
        slots = [_slot(number, one, now) for number, one in enumerate(running.get(worker.name, ()), start=1)]
        busy = worker.busy_since is not None and worker.busy_since <= late
        rows.append(WorkerRow(worker, silent <= ALIVE_SECONDS, busy, silent, slots))
    return rows


def lost_rows(known: Sequence[str]) -> list[SlotRow]:
    """Return running sessions whose worker is none of ``known``: the reaper takes them back when their lease ends."""
    now = timezone.now()
    strangers = [session for session in _running() if _worker_of(session) not in known]
    return [_slot(number, session, now) for number, session in enumerate(strangers, start=1)]


def _running() -> QuerySet[Session]:
    rows = Session.objects.filter(status__in=ON_A_WORKER).select_related("owner")
    return rows.order_by("started_at", "pk")[:MOST_RUNNING]


def _worker_of(session: Session) -> str:
    return session.worker.rpartition(":")[0]


def _slot(number: int, session: Session, now: datetime) -> SlotRow:
    left = (session.lease_until - now).total_seconds() if session.lease_until else None
    renewed = max(0.0, settings.QP_LEASE_SECONDS - left) if left is not None else None
    return SlotRow(number, session, session.usage.get("rss_bytes"), renewed, left)
