"""The newest report's equity, drawn on the dashboard beside what it is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.cache import caches
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext

from apps.sessions import reports
from apps.sessions.models import Kind, Session
from apps.ui.engine.refusal import Refusal


@dataclass(frozen=True)
class LatestReport:
    session: Session
    drawing: SafeString
    title: str
    subtitle: str


def latest_report(finished: Sequence[Session]) -> LatestReport | None:
    """Return the drawing of the first backtest of ``finished`` whose report can be read."""
    for session in finished:
        if session.kind != Kind.BACKTEST:
            continue
        try:
            return LatestReport(session, *_drawn(session))
        except Refusal:  # Its file is gone or damaged: its own page says so.
            continue
    return None


def _drawn(session: Session) -> tuple[SafeString, str, str]:
    """Return drawing, title and subtitle; kept under the hash of the report they are made of, and the language."""
    content, language = reports.report_content(session), get_language() or "en"
    key, kept = f"latest.{reports.content_key(content)}", caches["template_fragments"]
    found: tuple[SafeString, str, str] | None = kept.get(key)
    if found is None:
        drawn = reports.charts(reports.document_of(session, content), gettext("This run"))["equity"]
        found = mark_safe(drawn["chart"].html(language)), drawn["title"], drawn["subtitle"]  # noqa: S308 - it escapes
        kept.set(key, found)
    return found
