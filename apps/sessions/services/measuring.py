"""Keeps ``SessionMetric``: what each metric of a run came to, so that a thousand runs are compared in one query."""

from __future__ import annotations

import time

from django.db import transaction
from django.db.models import F, QuerySet

from apps.sessions.engine.curves import Curves
from apps.sessions.engine.states import FINAL, State
from apps.sessions.live.curves import curves_of
from apps.sessions.models import Session, SessionMetric

FIGURES = ("points", "last", "last_step", "low", "high", "mean")


def figures_of(curves: Curves, name: str) -> dict[str, float]:
    """Return ``FIGURES`` of a metric that has points."""
    members = [series for series in curves.of(name).values() if len(series)]
    points = sum(len(series) for series in members)
    return {
        "points": points,
        "last": curves.last(name) or 0.0,
        "last_step": max(series.step[-1] for series in members),
        "low": min(min(series.value) for series in members),
        "high": max(max(series.value) for series in members),
        "mean": sum(sum(series.value) for series in members) / points,
    }


def figures_store(session_id: int, curves: Curves) -> None:
    """Write what the metrics came to up to ``curves.seq``; metrics that a rewind took away are gone."""
    names = curves.names()
    rows = [SessionMetric(session_id=session_id, name=name, **figures_of(curves, name)) for name in names]
    with transaction.atomic():
        Session.objects.filter(pk=session_id).update(measured_seq=curves.seq)
        SessionMetric.objects.filter(session=session_id).exclude(name__in=names).delete()
        SessionMetric.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["session", "name"], update_fields=FIGURES
        )


def to_measure() -> QuerySet[Session]:
    """Return the sessions that stand still and whose figures are behind their log, oldest first."""
    still = [*FINAL, State.PAUSED, State.INTERRUPTED]
    return Session.objects.filter(status__in=still, last_seq__gt=F("measured_seq")).order_by("id")


def measure(seconds: float | None = None) -> int:
    """Bring the figures of sessions that stand still up to date; return how many. ``seconds`` ends the pass early."""
    began, done = time.monotonic(), 0
    for pk, last_seq in to_measure().values_list("pk", "last_seq"):
        if seconds is not None and time.monotonic() - began > seconds:
            break
        figures_store(pk, curves_of(pk, last_seq))
        done += 1
    return done
