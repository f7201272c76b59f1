"""The newest report's equity, drawn on the dashboard beside what it is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext

from apps.sessions import reports
from apps.sessions.models import Kind, Session
from apps.ui.engine.charts import Chart
from apps.ui.engine.refusal import Refusal


@dataclass(frozen=True)
class LatestReport:
    session: Session
    chart: Chart
    title: str
    subtitle: str


def latest_report(finished: Sequence[Session]) -> LatestReport | None:
    """Return the drawing of the first backtest of ``finished`` whose report can be read."""
    for session in finished:
        if session.kind != Kind.BACKTEST:
            continue
        try:
            drawn = reports.charts(reports.report_of(session), gettext("This run"))["equity"]
        except Refusal:  # Its file is gone or damaged: its own page says so.
            continue
        return LatestReport(session, drawn["chart"], drawn["title"], drawn["subtitle"])
    return None
