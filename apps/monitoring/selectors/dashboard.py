"""What the dashboard shows: what runs, what came out, what needs a person, how old the data is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, IntegerField, OuterRef, QuerySet, Subquery, Value, When
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, pgettext

from apps.accounts.models import Notice, User
from apps.accounts.notices import notice_text
from apps.accounts.selectors import errors_of
from apps.accounts.shares import stand_in, who
from apps.marketdata.models import Dataset, Verdict
from apps.marketdata.selectors import dataset_list
from apps.monitoring.engine.resources import resources
from apps.monitoring.selectors.latest import LatestReport, latest_report
from apps.sessions.engine.states import ACTIVE, ON_A_WORKER, State
from apps.sessions.models import Checkpoint, Session
from apps.sessions.pages import Row, row_of
from apps.sessions.selectors import session_visible
from apps.sessions.waiting import queue_of
from apps.strategies.models import Strategy
from apps.strategies.selectors import best_strategies
from apps.ui.engine.charts import dot_line
from apps.ui.prepared import prepared

SHOWN_ACTIVE, SHOWN_RESULTS, SHOWN_DATASETS, SHOWN_NOTES = 8, 6, 6, 5
SHOWN_STRATEGIES = 5


@dataclass(frozen=True)
class ResultRow:
    """A finished run beside its baseline; fractions, None where the run has no such figure."""

    session: Session
    net: float
    baseline: float | None
    sharpe: float | None
    drawdown: float | None
    drawing: SafeString
    #: pass, not_yet, fail; empty where the run was not judged.
    verdict: str = ""

    @property
    def ahead(self) -> float | None:
        return None if self.baseline is None else self.net - self.baseline


@dataclass(frozen=True)
class Attention:
    """Something only a person can settle: what happened and where to settle it."""

    level: str
    title: str
    text: str
    url: str
    action: str
    when: datetime | None = None
    notice: Notice | None = None


@dataclass(frozen=True)
class DataRow:
    dataset: Dataset
    age: timedelta


@dataclass(frozen=True)
class Dashboard:
    active: list[Row]
    running: int
    waiting: int
    results: list[ResultRow]
    strategies: list[Strategy]
    latest: LatestReport | None
    attention: list[Attention]
    data: list[DataRow]
    datasets: int
    usable: int
    newest: datetime | None
    now: datetime

    @property
    def refused(self) -> int:
        return sum(1 for item in self.attention if item.level == "error")


def figure(summary: dict[str, Any], name: str) -> float | None:
    """Return a figure of the held-out part of a summary, else of the whole run."""
    part = summary.get("test") or summary.get("metrics") or summary
    value = part.get(name) if isinstance(part, dict) else None
    return float(value) if isinstance(value, int | float) else None


def baseline_return(summary: dict[str, Any]) -> float | None:
    """Return the net return of the benchmark, or of buying and holding."""
    baselines = summary.get("baselines")
    tables = [summary.get("benchmark_metrics")]
    if isinstance(baselines, dict):
        tables += [baselines.get("benchmark"), baselines.get("buy_and_hold")]
    for table in tables:
        value = table.get("total_return") if isinstance(table, dict) else None
        if isinstance(value, int | float):
            return float(value)
    return None


def _drawn(net: float, base: float | None, low: float, high: float) -> SafeString:
    return mark_safe(dot_line(net, base, low, high))  # noqa: S308 - drawn from numbers alone


def _verdict(session: Session) -> str:
    verdict = session.summary.get("verdict")
    word = verdict.get("word") if isinstance(verdict, dict) else verdict
    return word if word in {"pass", "not_yet", "fail"} else ""


def result_rows(sessions: Sequence[Session]) -> list[ResultRow]:
    """Return the rows with their drawings on one common scale."""
    figures = [(s, float(s.result_return or 0.0), baseline_return(s.summary)) for s in sessions]
    every = [v for _, net, base in figures for v in (net, base) if v is not None]
    low, high = min(every, default=0.0), max(every, default=0.0)
    return [
        ResultRow(
            s, net, base, s.result_sharpe, figure(s.summary, "max_drawdown"), _drawn(net, base, low, high), _verdict(s)
        )
        for s, net, base in figures
    ]


@prepared
def _active(person: int, *, role: str) -> QuerySet[Session]:
    first = Case(When(status__in=ON_A_WORKER, then=Value(0)), default=Value(1), output_field=IntegerField())
    best = Checkpoint.objects.filter(session=OuterRef("pk"), is_best=True).order_by("-id").values("score")[:1]
    rows = session_visible(stand_in(person, role)).filter(status__in=[*ACTIVE, State.INTERRUPTED])
    return rows.annotate(best_score=Subquery(best)).order_by(first, "-priority", "queued_at", "id")[:200]


@prepared
def _finished(person: int, *, role: str) -> QuerySet[Session]:
    rows = session_visible(stand_in(person, role)).filter(status=State.COMPLETED, result_return__isnull=False)
    return rows.order_by("-finished_at", "-id")[:SHOWN_RESULTS]


@prepared
def _datasets(person: int, *, role: str) -> QuerySet[Dataset]:
    return dataset_list(stand_in(person, role), sort="-end")


def _notices(user: User) -> list[Attention]:
    return [
        Attention(
            "error", notice_text(n), "", n.url or reverse("accounts:notices"), pgettext("action", "Open"), n.created, n
        )
        for n in errors_of(user, SHOWN_NOTES)
    ]


def _interrupted(sessions: Sequence[Session]) -> list[Attention]:
    return [
        Attention(
            "warning", gettext("Session %(id)s was interrupted") % {"id": s.pk},
            gettext("%(title)s stopped before its end. What it learned is kept.") % {"title": s.title},
            reverse("sessions:detail", args=[s.pk]), gettext("Open and resume"), s.finished_at,
        )
        for s in sessions if s.status == State.INTERRUPTED
    ][:SHOWN_NOTES]  # fmt: skip


def _blocked(datasets: Sequence[Dataset]) -> list[Attention]:
    return [
        Attention(
            "error", gettext("%(name)s blocks runs") % {"name": d},
            gettext("Its last check found errors that would falsify results."),
            reverse("marketdata:detail", args=[d.pk]), gettext("Open the findings"), d.checked_at,
        )
        for d in datasets if d.verdict == Verdict.BLOCKED
    ][:SHOWN_NOTES]  # fmt: skip


def _machine(user: User) -> list[Attention]:
    """Warn administrators of a machine that is nearly full: ``QP_ALERT_CPU``, ``_MEMORY``, ``_DISK``."""
    if not user.is_administrator:
        return []
    now = resources(settings.VAR_DIR)
    readings = (
        (gettext("The processors are busy"), now.cpu, settings.QP_ALERT_CPU),
        (gettext("Memory runs out"), now.memory, settings.QP_ALERT_MEMORY),
        (gettext("The disk fills up"), now.disk, settings.QP_ALERT_DISK),
    )
    text = gettext("%(used)s%% in use; the warning starts at %(most)s%%.")
    return [
        Attention(
            "warning", title, text % {"used": round(used * 100), "most": round(most * 100)},
            reverse("monitoring:overview"), pgettext("action", "Open"), None,
        )
        for title, used, most in readings if used >= most
    ]  # fmt: skip


def dashboard(user: User) -> Dashboard:
    """Return the dashboard of ``user``: five statements, and four more where a session waits."""
    person, role = who(user)
    sessions = _active(person, role=role)
    active = [s for s in sessions if s.status != State.INTERRUPTED]
    newest = _finished(person, role=role)
    datasets = _datasets(person, role=role)
    now, shown = timezone.now(), active[:SHOWN_ACTIVE]
    queue = queue_of(shown)
    return Dashboard(
        active=[row_of(session, queue) for session in shown],
        running=sum(1 for s in active if s.status in ON_A_WORKER),
        waiting=sum(1 for s in active if s.status == State.QUEUED),
        results=result_rows(newest),
        strategies=best_strategies(user, SHOWN_STRATEGIES),
        latest=latest_report(newest),
        attention=[*_notices(user), *_blocked(datasets), *_interrupted(sessions), *_machine(user)],
        data=[DataRow(d, max(now - d.end, timedelta())) for d in datasets[:SHOWN_DATASETS]],
        datasets=len(datasets),
        usable=sum(1 for d in datasets if d.verdict != Verdict.BLOCKED),
        newest=datasets[0].end if datasets else None,
        now=now,
    )
