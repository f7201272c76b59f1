"""Who runs next: one conditional UPDATE decides, however many ask."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from apps.sessions.adapters.wakeup import poke
from apps.sessions.engine.admission import effective_priority, gpu_fits, memory_fits
from apps.sessions.engine.states import State
from apps.sessions.forecast import Forecast
from apps.sessions.models import Attempt, Kind, Session, SessionEvent
from apps.ui.prepared import prepared

#: Waiting sessions looked at together; more than one installation's users may have queued.
QUEUE_LIMIT = 2000
#: What is read of them: their place in the queue, and what they are like.
READ = (
    "kind",
    "status",
    "attempt",
    "priority",
    "queued_at",
    "not_before",
    "config",
    "version_id",
    "version__strategy__type",
)


def waiting() -> list[Session]:
    """Return the sessions that may start now, next one first: by priority, which grows with the wait."""
    now = timezone.now()
    # A pause longer than any that is given was written by a clock that has been set back since.
    longest = timedelta(seconds=2 * settings.QP_RETRY_SECONDS + 60)
    rows = _ready(now, now + longest)

    def rank(session: Session) -> float:
        waited = (now - (session.queued_at or now)).total_seconds()
        return -effective_priority(session.priority, waited, settings.QP_AGEING_SECONDS)

    # Sorting is stable, so those of equal rank keep the order of the query.
    return sorted(rows, key=rank)


@prepared
def _ready(now: datetime, beyond: datetime) -> QuerySet[Session]:
    ready = Q(not_before=None) | Q(not_before__lte=now) | Q(not_before__gt=beyond)
    rows = Session.objects.filter(ready, status=State.QUEUED).select_related("version__strategy").only(*READ)
    return rows.order_by("-priority", "queued_at", "id")[:QUEUE_LIMIT]


def slot_free(kind: str, counts: dict[str, int], slots: int | None = None) -> bool:
    """Tell whether a session of ``kind`` may start in one of ``slots`` (all of them). Trainings share the slots;
    a backtest has one slot more, so that it never waits for a long training."""
    slots = settings.SLOTS if slots is None else slots
    own = {Kind.TRAINING: settings.QP_SLOTS_TRAINING, Kind.BACKTEST: settings.QP_SLOTS_BACKTEST}.get(kind, 0)  # type: ignore[call-overload]
    if own and counts.get(kind, 0) >= own:
        return False
    if kind == Kind.BACKTEST:
        return sum(counts.values()) <= slots
    return sum(n for other, n in counts.items() if other != Kind.BACKTEST) < slots


def claim_next(worker: str) -> Session | None:
    """Claim the next session that fits and return it, or None when nothing can start."""
    queue = waiting()[:50]
    if not queue:
        return None
    forecast = Forecast.read()
    counts = forecast.counts()
    for session in queue:
        if not blocked(session, counts, forecast) and claim(session.pk, session.attempt, worker):
            return Session.objects.get(pk=session.pk)
    return None


def blocked(session: Session, counts: dict[str, int], forecast: Forecast) -> str:
    """Return what a waiting session lacks: ``slots``, ``cpu`` (the processors are busy, so half of the slots stay
    empty), ``gpu`` (memory of one), ``memory`` or nothing."""
    if not slot_free(session.kind, counts):
        return "slots"
    if not slot_free(session.kind, counts, forecast.slots):
        return "cpu"
    if not gpu_fits(forecast.need(session), forecast.gpu_free):
        return "gpu"
    fits = memory_fits(forecast.need(session), forecast.free_bytes, sum(counts.values()))
    return "" if fits else "memory"


def renew_unborn(session: Session) -> bool:
    """Renew the lease of a claimed session whose process has not said anything yet; false once it has."""
    lease = timezone.now() + timedelta(seconds=settings.QP_LEASE_SECONDS)
    mine = Session.objects.filter(pk=session.pk, attempt=session.attempt, lease_until=session.lease_until)
    if not mine.update(lease_until=lease):
        return False
    session.lease_until = lease
    return True


@transaction.atomic
def claim(session_id: int, attempt: int, worker: str) -> bool:
    """Move ``session_id`` from queued to running as attempt + 1; false if somebody else did."""
    now = timezone.now()
    lease = now + timedelta(seconds=settings.QP_LEASE_SECONDS)  # Its launcher renews it until the child is up.
    won = Session.objects.filter(pk=session_id, status=State.QUEUED, attempt=attempt).update(
        status=State.RUNNING,
        attempt=F("attempt") + 1,
        last_seq=F("last_seq") + 1,
        worker=worker,
        lease_until=lease,
        started_at=now,
        reason_code="",
        reason={},
        not_before=None,
    )
    if not won:
        return False
    seq = Session.objects.values_list("last_seq", flat=True).get(pk=session_id)
    payload = {"status": str(State.RUNNING), "attempt": attempt + 1}
    SessionEvent.objects.create(session_id=session_id, seq=seq, attempt=attempt + 1, payload=payload, created=now)
    Attempt.objects.create(session_id=session_id, number=attempt + 1, worker=worker, started_at=now)
    transaction.on_commit(poke)
    return True
