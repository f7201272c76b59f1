"""API of markets: which are open."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from apps.marketdata.engine.market_status import MARKETS, MarketStatus, market_status
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

router = Router(tags=["markets"])


@router.get("/market/status", summary="Which markets are open, and until when")
def status(request: HttpRequest, calendar: str = "") -> dict[str, Any]:
    """Without ``calendar`` the usual markets; one whose calendar has ended says so instead of guessing."""
    if calendar:
        return {"markets": [known_status(calendar)]}
    return {"markets": [status_or_reason(name) for name in MARKETS]}


def known_status(calendar: str) -> dict[str, Any]:
    """Return a market's status; kept until it changes, at most its lifetime. Raises ``Refusal``."""
    now = timezone.now()
    key = f"market-status:{calendar[:20]}" if calendar.replace("/", "").isalnum() else ""
    document: dict[str, Any] | None = cache.get(key) if key else None
    if document is None:
        found = market_status(calendar, now)
        document = _document(found)
        seconds = float(settings.QP_CACHE_MARKET_SECONDS)
        if found.changes_at is not None:
            seconds = min(seconds, (found.changes_at - now).total_seconds())
        if key and seconds > 0:
            cache.set(key, document, seconds)
    return {**document, "at": now.isoformat()}


def status_or_reason(calendar: str) -> dict[str, Any]:
    try:
        return known_status(calendar)
    except Refusal as refusal:
        return {"calendar": calendar, "state": "unknown", "code": refusal.code, "detail": refusal_text(refusal)}


def _document(status: MarketStatus) -> dict[str, Any]:
    moments = {"next_open": status.next_open, "next_close": status.next_close}
    return {
        "calendar": status.calendar, "state": status.state,
        "session": status.session.isoformat() if status.session else None,
        "last_known": status.last_known.isoformat() if status.last_known else None,
        **{name: moment.isoformat() if moment else None for name, moment in moments.items()},
    }  # fmt: skip
