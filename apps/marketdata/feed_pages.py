"""What the pages of feeds show: a feed in words and figures, and what this person may do with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.functional import cached_property

from apps.accounts.models import User
from apps.accounts.permissions import has_permission
from apps.accounts.shares import shared_ids
from apps.marketdata.feeds import Health, failure_text, feed_health, rejected_rows
from apps.marketdata.models import Feed, FeedKind, MinuteRow
from apps.marketdata.services.feeds import is_held

MINUTES = 15
#: Health → the shape of ``apps.ui.engine.icons.STATES`` that says it.
SHAPES = {
    "ok": "running", "quiet": "paused", "silent": "warning", "disconnected": "warning", "waiting": "queued",
    "stopping": "pausing", "failed": "failed", "finished": "completed", "stopped": "cancelled",
}  # fmt: skip


@dataclass(frozen=True)
class FeedRow:
    """A feed as a page shows it; ``controls`` where this person may start, stop and remove it."""

    feed: Feed
    health: Health
    controls: bool

    @property
    def shape(self) -> str:
        return SHAPES[self.health.code]

    @cached_property
    def why(self) -> str:
        return failure_text(self.feed)

    @property
    def held(self) -> bool:
        return is_held(self.feed, timezone.now())

    @property
    def removable(self) -> bool:
        return self.controls and not self.feed.wanted and not self.held

    @property
    def progress(self) -> float | None:
        """The share of a replay that was played, of this round where it loops."""
        feed = self.feed
        if feed.kind != FeedKind.REPLAY or not feed.total or feed.position is None:
            return None
        return (feed.position % feed.total + 1) / feed.total

    @property
    def left_s(self) -> float | None:
        """Seconds to the end at the pace so far; None where there is no end or nothing to tell by."""
        feed = self.feed
        if self.progress is None or feed.options.get("loop") or not self.held or not feed.started_at:
            return None
        gone = (timezone.now() - feed.started_at).total_seconds()
        return gone * (1 - self.progress) / self.progress if gone > 5 and self.progress > 0.01 else None


def feed_rows(user: User, feeds: list[Feed]) -> list[FeedRow]:
    """Return ``feeds`` for the pages; one query for what is shared with ``user`` to edit."""
    now = timezone.now()
    mine = {"replay": has_permission(user, "feed.replay")}
    live = has_permission(user, "feed.live")
    shared = set(shared_ids(user, Feed, write=True).values_list("object_id", flat=True)) if feeds else set()

    def controls(feed: Feed) -> bool:
        theirs = user.is_administrator or feed.owner_id == user.pk or feed.pk in shared
        return theirs and mine.get(feed.kind, live)

    return [FeedRow(feed, feed_health(feed, now), controls(feed)) for feed in feeds]


def feed_steps(feed: Feed) -> dict[str, Any]:
    """Return what only the page of one feed shows: refusals by reason, the newest quotes, the last minutes."""
    latest = list(feed.latest.order_by("-seq")[:10])
    symbol = latest[0].symbol if latest else ""
    minutes = MinuteRow.objects.filter(feed=feed, symbol=symbol).order_by("-minute")[:MINUTES]
    return {"refused": rejected_rows(feed), "latest": latest, "symbol": symbol, "minutes": list(minutes)}
