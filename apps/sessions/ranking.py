"""One metric over many sessions: a row a session, from what is kept of the metric and never from its points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.accounts.shares import stand_in, who
from apps.sessions.metrics import look_of
from apps.sessions.models import SessionMetric
from apps.sessions.selectors import session_list, session_visible
from apps.ui.engine.charts import HALF, Chart
from apps.ui.engine.charts.histogram import histogram
from apps.ui.prepared import Listed, prepared

#: Sessions in one answer, and in the drawing of a page.
MOST = 1000
BINS = 40
FIGURES = ("last", "last_step", "low", "high", "mean", "points")
SORTS: Mapping[str, str] = {name: name for name in FIGURES} | {
    "id": "session_id", "title": "session__title", "status": "session__status",
}  # fmt: skip
COLUMNS = {
    "session_id": F("session_id"), "title": F("session__title"), "status": F("session__status"),
    "kind": F("session__kind"), "strategy_id": F("session__version__strategy_id"),
    "strategy": F("session__version__strategy__name"), "version": F("session__version__number"),
}  # fmt: skip


def metric_names(user: User | None, most: int = 200) -> list[str]:
    """Return the metrics that sessions of ``user`` report, by name."""
    person, role = who(user)
    return _names.most(most)(person, role=role)


@prepared
def _names(person: int, *, role: str) -> QuerySet[SessionMetric, str]:
    user = stand_in(person, role)
    rows = SessionMetric.objects.order_by("name").values_list("name", flat=True).distinct()
    if user is not None and not user.is_administrator:
        rows = rows.filter(session__in=session_visible(user).order_by().values("pk"))
    return rows


def rows_listed(
    user: User | None, name: str, *, sort: str = "-last", ids: Sequence[int] = (), **filters: Any
) -> Listed[dict[str, Any]] | QuerySet[SessionMetric, dict[str, Any]]:
    """``metric_rows`` for reading a page at a time."""
    if ids or any(value not in ("", None) for value in filters.values()):
        return metric_rows(user, name, sort=sort, ids=ids, **filters)
    person, role = who(user)
    return _rows.listed(
        person, name.replace("\x00", ""), role=role, sort=sort if sort.lstrip("-") in SORTS else "-last"
    )


@prepared
def _rows(person: int, name: str, *, role: str, sort: str) -> QuerySet[SessionMetric, dict[str, Any]]:
    return metric_rows(stand_in(person, role), name, sort=sort)


def metric_rows(
    user: User | None, name: str, *, sort: str = "-last", ids: Sequence[int] = (), **filters: Any
) -> QuerySet[SessionMetric, dict[str, Any]]:
    """Return a row of ``COLUMNS`` and ``FIGURES`` for each session ``user`` sees that reports the metric ``name``.

    ``filters`` are those of ``session_list``; ``ids`` narrows to these sessions. An unknown ``sort`` means the
    highest last value first.
    """
    sessions = session_list(user, **filters).prefetch_related(None).order_by()
    if ids:
        sessions = sessions.filter(pk__in=ids)
    field = SORTS.get(sort.lstrip("-"), "last")
    down = sort.startswith("-") or sort.lstrip("-") not in SORTS
    rows = SessionMetric.objects.filter(name=name.replace("\x00", ""), session__in=sessions.values("pk"))
    named = {key: expression for key, expression in COLUMNS.items() if key != "session_id"}
    return rows.order_by(("-" if down else "") + field, "-session_id").values("session_id", *FIGURES, **named)


def distribution_chart(rows: Listed[dict[str, Any]] | QuerySet[Any, dict[str, Any]], name: str) -> Chart | None:
    """Return how the last values of up to ``MOST`` sessions are spread; None of fewer than two."""
    values = np.array([row["last"] for row in rows[:MOST]], dtype=np.float64)
    if len(values) < 2 or values.min() == values.max():
        return None
    counts, edges = np.histogram(values, bins=min(BINS, max(5, len(values) // 4)))
    label = _("%(metric)s of %(count)s sessions") % {"metric": look_of(name).title, "count": len(values)}
    return histogram(edges.tolist(), counts.tolist(), label=label, width=HALF, height=140)
