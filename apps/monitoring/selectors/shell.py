"""The numbers of the rail in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count, IntegerField, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from apps.accounts.models import Notice, User
from apps.marketdata.selectors import dataset_visible
from apps.sessions.engine.states import ACTIVE, ON_A_WORKER
from apps.sessions.models import Session
from apps.strategies.selectors import strategy_visible
from apps.ui.prepared import prepared


@dataclass(frozen=True)
class ShellCounts:
    strategies: int = 0
    sessions: int = 0
    datasets: int = 0
    unread: int = 0
    slots_used: int = 0
    slots_total: int = settings.SLOTS


def _count(rows: QuerySet[Any]) -> Coalesce:
    counted = rows.order_by().annotate(one=Value(1)).values("one").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


@prepared
def _counts(person: int, *, role: str) -> QuerySet[User, tuple[int, ...]]:
    user = User(pk=person, role=role)
    mine = Q() if user.is_administrator else Q(owner=user)
    return User.objects.filter(pk=user.pk).values_list(
        _count(strategy_visible(user).filter(archived_at=None)),
        _count(Session.objects.filter(mine, status__in=ACTIVE)),
        _count(dataset_visible(user).filter(archived_at=None)),
        _count(Notice.objects.filter(user=user, read_at=None)),
        _count(Session.objects.filter(status__in=ON_A_WORKER)),
    )


def shell_counts(user: User) -> ShellCounts:
    """Return what ``user`` sees beside the rail's words: active sessions, not archived strategies and data."""
    row = _counts.first(user.pk, role=user.role)
    return ShellCounts(*row) if row else ShellCounts()
