"""Reading strategies; who may see what is decided here.

Sessions are read through the relation's name: this room does not import theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, F, FloatField, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404

from apps.accounts.models import User
from apps.accounts.shares import shared_ids, stand_in, who
from apps.strategies.models import Strategy, StrategySummary, StrategyVersion
from apps.ui.prepared import Listed, prepared

#: The states in which a session is on its way; sessions/engine/states.py, tested to be equal.
ACTIVE = ("queued", "running", "pausing", "cancelling")
SORTS: Mapping[str, str] = {
    "name": "name", "type": "type", "stage": "stage", "updated": "updated",
    "return": "best_return", "sharpe": "best_sharpe", "sessions": "total_sessions",
    "runs": "counted_runs", "mean": "mean_return", "volatility": "mean_volatility",
}  # fmt: skip


def strategy_visible(user: User | None, write: bool = False) -> QuerySet[Strategy]:
    """Strategies ``user`` may see: their own and those shared with them (``write``: to edit).

    An administrator, and the program itself (None), see all.
    """
    rows = Strategy.objects.select_related("owner")
    if user is None or user.is_administrator:
        return rows
    return rows.filter(Q(owner=user) | Q(pk__in=shared_ids(user, Strategy, write=write)))


def strategy_for_user(user: User | None, pk: int, write: bool = False) -> Strategy:
    """Return the strategy, or Http404 where it is not there or not this person's."""
    person, role = who(user)
    strategy = _strategy.first(person, pk, role=role, write=write)
    if strategy is None:
        raise Http404
    return strategy


def strategy_writable(user: User | None, pk: int) -> bool:
    """Tell whether ``user`` may change the strategy."""
    person, role = who(user)
    return _strategy.first(person, pk, role=role, write=True) is not None


@prepared
def _strategy(person: int, pk: int, *, role: str, write: bool) -> QuerySet[Strategy]:
    return strategy_visible(stand_in(person, role), write).filter(pk=pk)


def strategy_by_name(user: User | None, text: str) -> Strategy:
    """Return the strategy with this id or name (the person's own first)."""
    rows = strategy_visible(user)
    if text.isdecimal() and len(text) < 18:
        found = rows.filter(pk=int(text)).first()
        if found is not None:
            return found
    found = rows.filter(name=text, owner=user).first() or rows.filter(name=text).first()
    if found is None:
        raise Http404(text)
    return found


def with_results(rows: QuerySet[Strategy]) -> QuerySet[Strategy]:
    """Add, in the same query: sessions, last training, and of the summary the best run and the means over runs."""
    session = _session_model()
    mine = session.objects.filter(version__strategy=OuterRef("pk"))
    training = mine.filter(kind="training").order_by("-id")
    newest = StrategyVersion.objects.filter(strategy=OuterRef("pk")).order_by("-number")
    return rows.annotate(
        total_sessions=_counted(mine),
        active_sessions=_counted(mine.filter(status__in=ACTIVE)),
        version_number=Subquery(newest.values("number")[:1], output_field=IntegerField()),
        last_training=Subquery(training.values("id")[:1], output_field=IntegerField()),
        last_training_status=Subquery(training.values("status")[:1]),
        last_training_at=Subquery(training.values("created")[:1]),
        best_session=F("summary__best_session"),
        best_sharpe=F("summary__best_sharpe"),
        best_return=F("summary__best_session_return"),
        counted_runs=Coalesce(F("summary__counted"), 0),
        mean_return=F("summary__mean_return"),
        mean_volatility=F("summary__volatility"),
    )


def _counted(sessions: QuerySet[Any]) -> Coalesce:
    """Count the sessions of a strategy apart: a join would multiply what else is asked for."""
    counted = sessions.order_by().values("version__strategy").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def best_strategies(user: User | None, most: int) -> list[Strategy]:
    """Return the strategies with the highest mean return on data they never saw, each with its summary."""
    person, role = who(user)
    return _best.most(most)(person, role=role)


@prepared
def _best(person: int, *, role: str) -> QuerySet[Strategy]:
    rows = strategy_visible(stand_in(person, role)).filter(archived_at__isnull=True, summary__counted__gt=0)
    return rows.select_related("summary").order_by("-summary__mean_return", "-pk")


def summary_of(strategy: Strategy) -> StrategySummary | None:
    """Return how the strategy's runs did; None before one has finished."""
    return _summary.first(strategy.pk)


@prepared
def _summary(strategy: int) -> QuerySet[StrategySummary]:
    return StrategySummary.objects.filter(strategy_id=strategy)


def _session_model() -> Any:
    """Return the model at the other end of ``StrategyVersion.run_sessions``."""
    return StrategyVersion._meta.get_field("run_sessions").related_model


def strategy_list(
    user: User | None, *, search: str = "", type_key: str = "", stage: str = "", archived: bool = False, sort: str = ""
) -> QuerySet[Strategy]:
    """Return the strategies ``user`` sees with their results, filtered and sorted."""
    rows = strategy_visible(user).filter(archived_at__isnull=not archived)
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(description__icontains=search))
    if type_key:
        rows = rows.filter(type=type_key)
    if stage:
        rows = rows.filter(stage=stage)
    field = F(SORTS.get(sort.lstrip("-"), "updated"))
    descending = sort.startswith("-") or not sort
    order = field.desc(nulls_last=True) if descending else field.asc(nulls_last=True)
    return with_results(rows).order_by(order, "-id")


def strategies_listed(
    user: User | None, *, search: str = "", type_key: str = "", stage: str = "", archived: bool = False, sort: str = ""
) -> Listed[Strategy] | QuerySet[Strategy]:
    """``strategy_list`` for reading a page at a time."""
    if search or type_key or stage:
        return strategy_list(user, search=search, type_key=type_key, stage=stage, archived=archived, sort=sort)
    person, role = who(user)
    known = sort if sort.lstrip("-") in SORTS else ""
    return _strategies.listed(person, role=role, archived=archived, sort=known)


@prepared
def _strategies(person: int, *, role: str, archived: bool, sort: str) -> QuerySet[Strategy]:
    return strategy_list(stand_in(person, role), archived=archived, sort=sort)


def versions_with_results(strategy: Strategy) -> QuerySet[StrategyVersion]:
    """Return the versions, newest first, each with its sessions and best out-of-sample figures."""
    session = _session_model()
    best = session.objects.filter(
        version=OuterRef("pk"), status="completed", out_of_sample=True, result_sharpe__isnull=False
    ).order_by("-result_sharpe", "-id")
    return (
        strategy.versions.select_related("author")
        .annotate(
            total_sessions=Count("run_sessions", distinct=True),
            best_session=Subquery(best.values("id")[:1], output_field=IntegerField()),
            best_sharpe=Subquery(best.values("result_sharpe")[:1], output_field=FloatField()),
            best_return=Subquery(best.values("result_return")[:1], output_field=FloatField()),
        )
        .order_by("-number")
    )


@prepared
def versions_listed(strategy: int) -> QuerySet[StrategyVersion]:
    """``versions_with_results`` of the strategy of this number."""
    return versions_with_results(Strategy(pk=strategy))


@prepared
def sessions_listed(strategy: int) -> QuerySet[Any]:
    """``sessions_of`` the strategy of this number."""
    return sessions_of(Strategy(pk=strategy))


@prepared
def trained_listed(strategy: int) -> QuerySet[Any]:
    """``trained_sessions`` of the strategy of this number."""
    return trained_sessions(Strategy(pk=strategy))


@prepared
def version_newest(strategy: int) -> QuerySet[StrategyVersion]:
    """The newest version of the strategy of this number."""
    return StrategyVersion.objects.filter(strategy_id=strategy).order_by("-number")[:1]


def version_of(strategy: Strategy, number: int) -> StrategyVersion:
    version = strategy.versions.filter(number=number).first()
    if version is None:
        raise Http404
    return version


def sessions_of(strategy: Strategy) -> QuerySet[Any]:
    """Return the strategy's sessions, newest first."""
    found: QuerySet[Any] = (
        _session_model().objects.filter(version__strategy=strategy).select_related("version").order_by("-id")
    )
    return found


def trained_sessions(strategy: Strategy) -> QuerySet[Any]:
    """Return the finished trainings whose best checkpoint can decide in a backtest."""
    return sessions_of(strategy).filter(kind="training", status="completed", verifies=None)
