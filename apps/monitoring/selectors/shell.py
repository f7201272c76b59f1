"""The numbers of the rail in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Count, IntegerField, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from apps.accounts.models import Notice, User
from apps.marketdata.selectors import dataset_visible
from apps.sessions.engine.states import ACTIVE, ON_A_WORKER
from apps.sessions.models import Session
from apps.strategies.selectors import strategy_visible

#: A number that no row has, in place of a person's in a statement that is written once for all.
ANYBODY = -(2**31) + 7


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


def _query(user: User) -> QuerySet[User, tuple[int, ...]]:
    mine = Q() if user.is_administrator else Q(owner=user)
    return User.objects.filter(pk=user.pk).values_list(
        _count(strategy_visible(user).filter(archived_at=None)),
        _count(Session.objects.filter(mine, status__in=ACTIVE)),
        _count(dataset_visible(user).filter(archived_at=None)),
        _count(Notice.objects.filter(user=user, read_at=None)),
        _count(Session.objects.filter(status__in=ON_A_WORKER)),
    )


@cache
def _statement(alias: str, role: str) -> tuple[str, tuple[Any, ...]]:
    """Return the statement for people of a role, with ``ANYBODY`` where the person's number goes.

    It is asked for every page; writing it takes the ORM longer than the database takes to answer it.
    """
    sql, params = _query(User(pk=ANYBODY, role=role)).query.get_compiler(using=alias).as_sql()
    return sql, tuple(params)


def shell_counts(user: User) -> ShellCounts:
    """Return what ``user`` sees beside the rail's words: active sessions, not archived strategies and data."""
    sql, params = _statement(DEFAULT_DB_ALIAS, user.role)
    with connection.cursor() as cursor:
        cursor.execute(sql, [user.pk if param == ANYBODY else param for param in params])
        row = cursor.fetchone()
    return ShellCounts(*row) if row else ShellCounts()
