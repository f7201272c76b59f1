"""Storing quotes: one writer a feed, whole batches in one transaction, raw quotes for some days."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.marketdata.adapters import quote_tables
from apps.marketdata.adapters.latest_store import publish
from apps.marketdata.engine.quotes import Intake, MinuteBar, Quote
from apps.marketdata.models import Feed, FeedState, LatestQuote, MinuteRow, QuoteRecord

log = logging.getLogger(__name__)
#: A feed whose process is silent for so long may be taken over.
LEASE = timedelta(seconds=15)
#: Rows deleted in one statement: a writer waits no longer than that.
DELETE_BATCH = 5_000


class FeedLost(Exception):
    """Somebody else has the feed by now, or nobody is to run it: what was not stored is not stored."""


def quote_of(row: LatestQuote) -> Quote:
    """Return a stored quote as the engine knows it."""
    bids, asks = row.sides
    return Quote(
        row.symbol, row.last, row.time, row.received, bids, asks, row.volume, row.amount, row.prev_close, row.day
    )


def intake_of(feed: Feed) -> Intake:
    """Return the intake of ``feed`` as an earlier run left it."""
    known = [quote_of(row) for row in LatestQuote.objects.filter(feed=feed)]
    last_minute = max((quote.time for quote in known), default=0.0)
    rows = MinuteRow.objects.filter(feed=feed, minute__gte=int(last_minute) - 3600).order_by("minute")
    bars = [
        MinuteBar(row.symbol, row.minute, row.open, row.high, row.low, row.close, row.volume, row.amount, row.count)
        for row in rows
    ]
    return Intake(known, bars)


@dataclass
class Progress:
    """What a source says of itself beside its quotes."""

    position: int | None = None
    connected: bool = True
    reconnects: int = 0
    rejected: dict[str, int] = field(default_factory=dict)


class QuoteWriter:
    """Stores what one run of a feed gives. ``feed`` was claimed: its ``attempt`` fences every write."""

    def __init__(self, feed: Feed) -> None:
        self.feed, self.intake = feed, intake_of(feed)
        self._count = feed.quote_count
        self._rejected_before = dict(feed.rejected)
        self._before = (feed.repeated_count, feed.late_count, feed.reconnect_count)
        self._recent: list[tuple[float, int]] = []
        self._pending: list[Quote] = []
        self._minutes: dict[tuple[str, int], MinuteBar] = {}
        self._doubtful = False
        # What an earlier run stored may not have come to be told.
        publish(quote_tables.latest_rows(feed.pk))

    def take(self, batches: Iterable[list[Quote]]) -> int:
        """Add what is new in ``batches`` to what ``store`` will store; return how many quotes wait."""
        fresh = [quote for batch in batches for quote in self.intake.take(batch)]
        self._minutes |= {(bar.symbol, bar.minute): bar for bar in self.intake.minutes.take(fresh)}
        self._pending += fresh
        return len(self._pending)

    def store(self, progress: Progress) -> tuple[int, int]:
        """Store what waits and the source's position together; return how many, and the last number.

        All of it or nothing: after an error what waits still waits, and ``store`` may be called again. Where a lost
        connection left open whether the commit was done, that is looked up first. Raises ``FeedLost``.
        """
        fresh, first, newest = self._pending, 0, []
        if not (self._doubtful and fresh and self._was_stored()):
            self._doubtful = True
            with transaction.atomic():
                first = quote_tables.take_numbers(len(fresh)) if fresh else 0
                self._note(fresh, progress)
                if fresh:
                    newest = quote_tables.write(self.feed.pk, fresh, self._minutes.values(), first)
        self._doubtful = False
        self._count += len(fresh)
        self._pending, self._minutes = [], {}
        publish(newest)
        return len(fresh), first + len(fresh) - 1

    def _was_stored(self) -> bool:
        mine = Feed.objects.filter(pk=self.feed.pk, attempt=self.feed.attempt)
        return mine.filter(quote_count=self._count + len(self._pending)).exists()

    def _note(self, fresh: list[Quote], progress: Progress) -> None:
        now, counts = timezone.now(), self.intake.latest.counts
        repeated, late, reconnects = self._before
        values: dict[str, Any] = {
            "lease_until": now + LEASE, "connected": progress.connected, "position": progress.position,
            "reconnect_count": reconnects + progress.reconnects, "repeated_count": repeated + counts.repeated,
            "late_count": late + counts.late, "rejected": self._rejected(progress.rejected),
            "rate": self._rate(len(fresh)),
        }  # fmt: skip
        if fresh:
            newest = max(quote.received for quote in fresh)
            values |= {
                "last_quote_at": datetime.fromtimestamp(newest, UTC), "quote_count": self._count + len(fresh),
                "failures": 0, "error": {},
            }  # fmt: skip
        mine = Feed.objects.filter(pk=self.feed.pk, attempt=self.feed.attempt, state=FeedState.RUNNING)
        if mine.update(**values) != 1:
            raise FeedLost(self.feed.name)

    def _rejected(self, by_source: dict[str, int]) -> dict[str, int]:
        found = dict(self._rejected_before)
        for counted in (by_source, self.intake.rejected):
            for reason, count in counted.items():
                found[reason] = found.get(reason, 0) + count
        return found

    def _rate(self, count: int) -> float:
        """Return the quotes a second over the last ten seconds."""
        now = time.monotonic()
        self._recent = [(at, n) for at, n in self._recent if now - at <= 10.0] + [(now, count)]
        return sum(n for _at, n in self._recent) / max(1.0, now - self._recent[0][0])


def quotes_drop(*, days: int | None = None, dry_run: bool = False, seconds: float | None = None) -> int:
    """Drop raw quotes received more than ``days`` ago; minute bars stay. 0 keeps all. Return how many went.

    On PostgreSQL a day goes as a whole; on SQLite rows go in small batches, for at most ``seconds``.
    """
    days = settings.QP_RETENTION_QUOTES_DAYS if days is None else days
    if not days:
        return 0
    limit = time.time() - days * quote_tables.DAY
    old = QuoteRecord.objects.filter(received__lt=limit)
    if connection.vendor == "postgresql":
        return _drop_days(int(limit // quote_tables.DAY), dry_run=dry_run)
    if dry_run:
        return old.count()
    dropped, began = 0, time.monotonic()
    while numbers := list(old.order_by("seq").values_list("seq", flat=True)[:DELETE_BATCH]):
        if seconds is not None and time.monotonic() - began > seconds:
            break
        QuoteRecord.objects.filter(seq__lte=numbers[-1], received__lt=limit).delete()
        dropped += len(numbers)
    return dropped


def _drop_days(limit: int, *, dry_run: bool) -> int:
    dropped = 0
    for day in quote_tables.partitions():
        if day >= limit:
            break
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {quote_tables.partition_name(day)}")  # noqa: S608 - a name of ours
            dropped += cursor.fetchone()[0]
            if not dry_run:
                cursor.execute(f"DROP TABLE {quote_tables.partition_name(day)}")
    return dropped
