"""How the machinery is doing: sessions by state, queue, events, sockets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.shares import stand_in, who
from apps.sessions.engine.states import State
from apps.sessions.live.registry import connection_count
from apps.sessions.models import Session, SessionEvent, Status
from apps.sessions.selectors import session_visible
from apps.sessions.services.workers import workers_alive
from apps.ui.prepared import prepared

EVENT_WINDOW_SECONDS = 60.0


@dataclass(frozen=True)
class StateCount:
    status: str
    label: str
    count: int


@prepared
def _by_state(person: int, *, role: str) -> QuerySet[Session, tuple[str, int]]:
    rows = session_visible(stand_in(person, role)).select_related(None).order_by().values("status")
    return rows.annotate(n=Count("pk")).values_list("status", "n")


def sessions_by_state(user: User | None) -> list[StateCount]:
    """Return how many sessions ``user`` sees in each state, every state once; None: all."""
    person, role = who(user)
    counts = dict(_by_state(person, role=role))
    return [StateCount(value, str(label), counts.get(value, 0)) for value, label in Status.choices]


def queue_age(now: datetime | None = None) -> float:
    """Return for how many seconds the oldest waiting session has waited; 0 without one."""
    oldest = Session.objects.filter(status=State.QUEUED).aggregate(oldest=Min("queued_at"))["oldest"]
    return max(0.0, ((now or timezone.now()) - oldest).total_seconds()) if oldest else 0.0


def events_per_second() -> float:
    """Return how many rows the live log got a second, over the last minute."""
    since = timezone.now() - timedelta(seconds=EVENT_WINDOW_SECONDS)
    return SessionEvent.objects.filter(created__gte=since).count() / EVENT_WINDOW_SECONDS


def sockets() -> int:
    """Return how many live connections all web processes hold."""
    return connection_count()


@dataclass(frozen=True)
class Machinery:
    """What administrators see of the machinery."""

    workers: int
    queue_age: float
    events_per_second: float
    sockets: int


def machinery() -> Machinery:
    return Machinery(workers_alive(), queue_age(), events_per_second(), sockets())
