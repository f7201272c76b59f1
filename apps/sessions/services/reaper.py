"""Brings back what was lost: expired leases, waiting sessions nobody was rung for, silent workers."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.db.models import Q
from django.utils import timezone

from apps.sessions.adapters.doorbell import ring
from apps.sessions.engine.states import ON_A_WORKER
from apps.sessions.forecast import Forecast
from apps.sessions.models import Session, Worker
from apps.sessions.runner.process import suspicion_file
from apps.sessions.services.claim import blocked, waiting
from apps.sessions.services.endings import attempt_lost
from apps.sessions.services.starved import Starved
from apps.sessions.services.workers import worker_draining

RING_AFTER = timedelta(seconds=2)
DEAF_AFTER = timedelta(seconds=15)
#: The same after a launcher was killed, for as long as the suspicion is fresh.
DEAF_AFTER_DEATH, SUSPICION_LASTS = timedelta(seconds=3), 60.0
FORGET_WORKERS_AFTER = timedelta(hours=1)
#: Above every lease that the claim or a session writes.
LONGEST = timedelta(minutes=5)


@dataclass(frozen=True)
class Reaped:
    """What one look found: leases taken back, bells rung, and whether the cluster seems deaf."""

    expired: int
    rung: int
    deaf: bool


def deaf_after() -> timedelta:
    """Return how long a session waits in vain before the cluster is called deaf."""
    drain_file = os.environ.get("QP_DRAIN_FILE", "")
    with contextlib.suppress(OSError):
        age = time.time() - suspicion_file(Path(drain_file)).stat().st_mtime if drain_file else SUSPICION_LASTS
        if 0 <= age < SUSPICION_LASTS:
            return DEAF_AFTER_DEATH
    return DEAF_AFTER


def reap_once(starved: Starved | None = None) -> Reaped:
    """Look once. Safe to run in any number of processes: each step is a compare-and-set.

    ``starved`` remembers, from look to look, who is silent although its process works. A worker that drains is not
    deaf, however long a session waits.
    """
    now = timezone.now()
    # A lease beyond any that is given was written by a clock that has been set back since.
    over = Q(lease_until__lt=now) | Q(lease_until__gt=now + LONGEST)
    silent = list(Session.objects.filter(over, status__in=ON_A_WORKER).values_list("pk", "attempt"))
    spared = starved.given_time(silent) if starved else set()
    expired = sum(attempt_lost(pk, attempt, None) for pk, attempt in silent if (pk, attempt) not in spared)
    rung, deaf = _ring_for_waiting()
    Worker.objects.filter(last_beat__lt=now - FORGET_WORKERS_AFTER).delete()
    return Reaped(expired, rung, deaf and not worker_draining())


def _ring_for_waiting() -> tuple[int, bool]:
    """Ring for a session that waits although it could start; tell whether it has waited too long."""
    now, queue = timezone.now(), waiting()[:50]
    forecast = Forecast.read() if queue else Forecast({}, 0.0)
    counts = forecast.counts()
    for session in queue:
        since = max(filter(None, (session.queued_at, session.not_before)), default=now)
        if since > now + LONGEST:  # The clock was set back.
            since = now - RING_AFTER
        if blocked(session, counts, forecast) or now - since < RING_AFTER:
            continue
        ring()
        newest = (
            Session.objects.exclude(started_at=None)
            .order_by("-started_at")
            .values_list("started_at", flat=True)
            .first()
        )
        patience = deaf_after()
        return 1, now - since > patience and (newest is None or now - newest > patience)
    return 0, False
