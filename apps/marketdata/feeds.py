"""How a feed is doing, in one word, one sentence and one document."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext

from apps.marketdata.engine.market_status import market_status
from apps.marketdata.engine.quotes.checks import REASONS
from apps.marketdata.models import Feed, FeedKind, FeedState
from apps.marketdata.services.feeds import is_held
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Health → sentence. ``waiting``: wanted, and no process has it yet or again.
HEALTH = {
    "ok": N_("quotes arrive"),
    "quiet": N_("the market is closed"),
    "silent": N_("no quote for %(seconds)s s although the market is open"),
    "disconnected": N_("not connected; trying again"),
    "waiting": N_("waits for a worker"),
    "stopping": N_("stores what it has and ends"),
    "failed": N_("failed"),
    "finished": N_("the replay has come to its end"),
    "stopped": N_("stopped"),
}
WELL = frozenset({"ok", "quiet", "stopped", "finished", "stopping"})


@dataclass(frozen=True)
class Health:
    """``code`` is a key of ``HEALTH``; ``silence`` the seconds since the last quote, None before the first."""

    code: str
    silence: float | None

    @property
    def well(self) -> bool:
        return self.code in WELL

    @property
    def text(self) -> str:
        return gettext(HEALTH[self.code]) % {"seconds": round(self.silence or 0.0)}


def feed_health(feed: Feed, now: datetime | None = None) -> Health:
    """Judge a feed by what it says of itself and when it was last heard; asks no database."""
    now = now or timezone.now()
    silence = max(0.0, (now - feed.last_quote_at).total_seconds()) if feed.last_quote_at else None
    if is_held(feed, now):
        return Health(_running(feed, now, silence), silence)
    if not feed.wanted:
        ended = {FeedState.FAILED: "failed", FeedState.FINISHED: "finished"}
        return Health(ended.get(FeedState(feed.state), "stopped"), silence)
    return Health("failed" if feed.state == FeedState.FAILED else "waiting", silence)


def _running(feed: Feed, now: datetime, silence: float | None) -> str:
    if not feed.wanted:
        return "stopping"
    since = max(moment for moment in (feed.last_quote_at, feed.started_at, feed.created) if moment)
    if (now - since).total_seconds() <= settings.QP_SILENCE_SECONDS:
        return "ok" if silence is not None else "waiting" if not feed.connected else "ok"
    if not feed.connected:
        return "disconnected"
    return "silent" if _should_speak(feed, now) else "quiet"


def _should_speak(feed: Feed, now: datetime) -> bool:
    """Tell whether silence means trouble: of a source whose market is open, or that named no calendar."""
    if feed.kind == FeedKind.REPLAY or not feed.calendar:
        return True
    try:
        return market_status(feed.calendar, now).state == "open"
    except Refusal:  # beyond the end of the calendar nobody knows
        return True


def failure_text(feed: Feed) -> str:
    """Return why the feed failed, in the reader's language; empty where it did not."""
    error = feed.error
    return gettext(error["message"]) % error.get("params", {}) if error else ""


def rejected_rows(feed: Feed) -> list[tuple[str, str, int]]:
    """Return what was refused, most frequent first: code, words, how often."""
    rows = sorted(feed.rejected.items(), key=lambda item: (-item[1], item[0]))
    return [(code, gettext(REASONS[code]) if code in REASONS else code, count) for code, count in rows]


def feed_document(feed: Feed, now: datetime | None = None) -> dict[str, Any]:
    """Return a feed as API and command show it; secrets are named, never shown."""
    health = feed_health(feed, now)
    shown = {name: feed.options[name] for name in ("speed", "loop", "mapping") if name in feed.options}
    if feed.options.get("url"):
        shown["url"] = feed.options["url"].partition("?")[0]
    moments = {name: getattr(feed, name) for name in ("started_at", "ended_at", "last_quote_at")}
    return {
        "id": feed.pk, "name": feed.name, "kind": feed.kind, "owner": feed.owner.username if feed.owner else None,
        "dataset": str(feed.dataset) if feed.dataset else None, "calendar": feed.calendar, "symbols": feed.symbols,
        "options": shown, "wanted": feed.wanted, "state": feed.state, "health": health.code, "well": health.well,
        "detail": failure_text(feed) or health.text,
        "silence_s": None if health.silence is None else round(health.silence, 3),
        "connected": feed.connected, "quotes": feed.quote_count, "quotes_per_second": round(feed.rate, 1),
        "repeated": feed.repeated_count, "late": feed.late_count, "rejected": feed.rejected,
        "reconnects": feed.reconnect_count, "position": feed.position, "bars": feed.total, "worker": feed.worker,
        **{name: moment.isoformat() if moment else None for name, moment in moments.items()},
    }  # fmt: skip
