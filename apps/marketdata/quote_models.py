"""Feeds of quotes and what they gave: raw quotes for some days, the newest of each symbol, minute bars."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.marketdata.engine.quotes.book import book_sides
from apps.marketdata.engine.quotes.feed import Side


class FeedKind(models.TextChoices):
    REPLAY = "replay", _("replay of a dataset")
    WEBSOCKET = "websocket", _("WebSocket")
    QMT = "qmt", _("QMT")


class FeedState(models.TextChoices):
    STOPPED = "stopped", _("stopped")
    RUNNING = "running", _("running")
    FAILED = "failed", _("failed")
    FINISHED = "finished", _("at its end")


class Feed(models.Model):
    """A source of quotes that somebody set up. ``wanted`` is what people ask for, ``state`` what is.

    Without an owner it is everybody's. ``attempt`` and ``lease_until`` let exactly one process write its quotes;
    ``position`` is where a replay goes on, ``total`` its number of bars.
    """

    name = models.SlugField(_("name"), max_length=64, unique=True)
    kind = models.CharField(_("kind"), max_length=10, choices=FeedKind.choices)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="feeds"
    )
    dataset = models.ForeignKey(
        "marketdata.Dataset", null=True, blank=True, on_delete=models.PROTECT, related_name="feeds"
    )
    calendar = models.CharField(_("calendar"), max_length=16, blank=True)
    #: Symbols to ask for; empty: all the source has.
    symbols = models.JSONField(_("symbols"), default=list, blank=True)
    #: Of a replay: speed, loop. Of a WebSocket: url, mapping, subscribe, header, credential.
    options = models.JSONField(_("options"), default=dict, blank=True)
    wanted = models.BooleanField(_("wanted"), default=False)
    state = models.CharField(_("state"), max_length=10, choices=FeedState.choices, default=FeedState.STOPPED)
    #: Why it failed: {"code", "message", "params"} of a refusal.
    error = models.JSONField(_("reason"), default=dict, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    lease_until = models.DateTimeField(_("held until"), null=True, blank=True)
    worker = models.CharField(_("process"), max_length=80, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    position = models.BigIntegerField(_("position"), null=True, blank=True)
    total = models.PositiveIntegerField(_("bars"), null=True, blank=True)
    connected = models.BooleanField(_("connected"), default=False)
    quote_count = models.PositiveBigIntegerField(_("quotes"), default=0)
    repeated_count = models.PositiveBigIntegerField(_("repeated"), default=0)
    late_count = models.PositiveBigIntegerField(_("late"), default=0)
    #: Bad quotes by reason (``engine.quotes.checks.REASONS``).
    rejected = models.JSONField(_("refused"), default=dict, blank=True)
    reconnect_count = models.PositiveIntegerField(_("reconnects"), default=0)
    #: Quotes a second over the last seconds.
    rate = models.FloatField(_("quotes a second"), default=0.0)
    last_quote_at = models.DateTimeField(_("last quote"), null=True, blank=True)
    created = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        ordering = ("name",)
        verbose_name = _("feed")
        verbose_name_plural = _("feeds")

    def __str__(self) -> str:
        return self.name

    @property
    def rejected_count(self) -> int:
        return sum(self.rejected.values())


class QuoteHead(models.Model):
    """The number of the last quote, one row. It is raised in the transaction that stores the quotes.

    So numbers have no hole and appear in their order: who has read up to one never misses a smaller one.
    """

    last_seq = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.last_seq)


class QuoteFields(models.Model):
    """What a row says of a quote. Times are seconds since 1970: rows are written by the ten thousand a second."""

    symbol = models.CharField(_("symbol"), max_length=32)
    time = models.FloatField(_("source time"))
    received = models.FloatField(_("received"))
    last = models.FloatField(_("last"))
    volume = models.FloatField(_("volume"), null=True, blank=True)
    amount = models.FloatField(_("amount"), null=True, blank=True)
    prev_close = models.FloatField(_("previous close"), null=True, blank=True)
    #: Both sides packed (``engine.quotes.book``); empty where there is no book.
    book = models.BinaryField(_("book"), blank=True, default=b"")

    class Meta:
        abstract = True

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Bids and asks, each of (price, size), best first."""
        return book_sides(self.book)


class QuoteRecord(QuoteFields):
    """A quote as it came. On PostgreSQL the table is partitioned by the day of ``received``."""

    seq = models.BigIntegerField(_("number"), primary_key=True)
    #: No constraint: a partition is dropped whole, and a row is written without a look at another table.
    feed_id = models.BigIntegerField(_("feed"))

    class Meta:
        ordering = ("-seq",)
        verbose_name = _("raw quote")
        verbose_name_plural = _("raw quotes")

    def __str__(self) -> str:
        return f"{self.symbol} {self.last}"


class LatestQuote(QuoteFields):
    """The newest quote of a symbol in a feed; ``seq`` is that of its raw quote."""

    # No index but the one by feed and symbol: a new quote then changes none, and PostgreSQL writes the row in place.
    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="latest", db_index=False)
    seq = models.BigIntegerField(_("number"))
    day = models.IntegerField(_("trading day"), null=True, blank=True)

    class Meta:
        ordering = ("symbol", "feed")
        constraints = (models.UniqueConstraint(fields=["feed", "symbol"], name="latest_feed_symbol"),)
        verbose_name = _("latest quote")
        verbose_name_plural = _("latest quotes")

    def __str__(self) -> str:
        return f"{self.symbol} {self.last}"


class MinuteRow(models.Model):
    """A minute of a symbol in a feed; ``minute`` is its end in s since 1970. Kept when raw quotes go."""

    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="minutes", db_index=False)
    symbol = models.CharField(_("symbol"), max_length=32)
    minute = models.BigIntegerField(_("minute"))
    open = models.FloatField(_("open"))
    high = models.FloatField(_("high"))
    low = models.FloatField(_("low"))
    close = models.FloatField(_("close"))
    volume = models.FloatField(_("volume"), null=True, blank=True)
    amount = models.FloatField(_("amount"), null=True, blank=True)
    count = models.PositiveIntegerField(_("quotes"), default=0)

    class Meta:
        ordering = ("-minute", "symbol")
        constraints = (models.UniqueConstraint(fields=["feed", "symbol", "minute"], name="minute_feed_symbol"),)
        verbose_name = _("minute bar")
        verbose_name_plural = _("minute bars")

    def __str__(self) -> str:
        return f"{self.symbol} {self.minute}"

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.minute, UTC)
