"""The catalogue: which data there is, where it came from and whether it can be trusted."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.marketdata.engine.findings import MESSAGES
from apps.marketdata.source_models import Source, SyncRun, SyncState, SyncTrigger
from apps.marketdata.words import check_word, named


class Adjustment(models.TextChoices):
    RAW = "raw", _("raw")
    ADJUSTED = "adjusted", _("adjusted")


class Content(models.TextChoices):
    """What the rows are; only bars can be trained and tested on."""

    BARS = "bars", _("price bars")
    TICKS = "ticks", _("trades")
    BOOK = "book", _("order book")


class Frequency(models.TextChoices):
    DAY = "1d", _("daily")
    WEEK = "1w", _("weekly")
    HOUR = "1h", _("hourly")
    HALF_HOUR = "30min", _("30 minutes")
    QUARTER_HOUR = "15min", _("15 minutes")
    FIVE_MINUTES = "5min", _("5 minutes")
    MINUTE = "1min", _("1 minute")
    OTHER = "other", _("irregular")


class Verdict(models.TextChoices):
    UNCHECKED = "unchecked", _("not checked")
    CLEAN = "clean", _("clean")
    LOOK = "look", _("to look at")
    BLOCKED = "blocked", _("blocks runs")


class Severity(models.TextChoices):
    NOTE = "note", _("Note")
    WARNING = "warning", _("Look")
    ERROR = "error", _("Block")


class Dataset(models.Model):
    """An immutable set of bars: same content, same hash. A change makes a new version.

    ``name`` and ``version`` address it (``us-daily`` or ``us-daily@2``); the files lie in
    ``VAR_DIR/datasets/<content_hash>``. Without an owner it is built in and seen by all.
    """

    name = models.SlugField(_("name"), max_length=64)
    version = models.PositiveIntegerField(_("version"), default=1)
    title = models.CharField(_("title"), max_length=120, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="datasets"
    )
    content_hash = models.CharField(_("content hash"), max_length=64, db_index=True)
    content = models.CharField(_("content"), max_length=8, choices=Content.choices, default=Content.BARS)
    frequency = models.CharField(_("frequency"), max_length=8, choices=Frequency.choices, default=Frequency.DAY)
    adjustment = models.CharField(_("prices"), max_length=8, choices=Adjustment.choices, default=Adjustment.RAW)
    calendar = models.CharField(_("calendar"), max_length=16, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    currency = models.CharField(_("currency"), max_length=8, blank=True)
    source = models.CharField(_("source"), max_length=200)
    licence = models.CharField(_("licence"), max_length=120, blank=True)
    columns = models.JSONField(_("columns"), default=list)
    rows = models.PositiveBigIntegerField(_("rows"))
    symbol_count = models.PositiveIntegerField(_("symbols"))
    start = models.DateTimeField(_("from"))
    end = models.DateTimeField(_("to"))
    #: {"csi300": {"members": 789, "spans": 960}}; the spans lie in the files (``dataset_membership``).
    universes = models.JSONField(_("universes"), default=dict, blank=True)
    event_count = models.PositiveIntegerField(_("corporate actions"), default=0)
    #: Words for finding it again, each between commas: ",a-shares,daily,".
    tags = models.CharField(_("tags"), max_length=200, blank=True)
    size_bytes = models.PositiveBigIntegerField(_("size"), default=0)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    lineage = models.JSONField(_("made by"), default=dict, blank=True)
    verdict = models.CharField(_("quality"), max_length=10, choices=Verdict.choices, default=Verdict.UNCHECKED)
    checked_at = models.DateTimeField(_("checked"), null=True, blank=True)
    created = models.DateTimeField(_("imported"), default=timezone.now)
    archived_at = models.DateTimeField(_("archived"), null=True, blank=True)

    class Meta:
        verbose_name = _("dataset")
        verbose_name_plural = _("datasets")
        ordering = ("name", "-version")
        constraints = (models.UniqueConstraint(fields=["name", "version"], name="dataset_name_version"),)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def tag_list(self) -> list[str]:
        """The tags as words."""
        return [tag for tag in self.tags.split(",") if tag]


class DatasetSymbol(models.Model):
    """One instrument of a dataset: ``position`` is its row in the dense arrays."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="symbols")
    symbol = models.CharField(_("symbol"), max_length=32)
    position = models.PositiveIntegerField()
    rows = models.PositiveIntegerField(_("rows"))
    start = models.DateTimeField(_("from"))
    end = models.DateTimeField(_("to"))
    gaps = models.PositiveIntegerField(_("gaps"), default=0)

    class Meta:
        verbose_name = _("symbol of a dataset")
        verbose_name_plural = _("symbols of datasets")
        ordering = ("dataset", "position")
        constraints = (models.UniqueConstraint(fields=["dataset", "symbol"], name="dataset_symbol"),)

    def __str__(self) -> str:
        return self.symbol


class QualityCheck(models.Model):
    """One pass of the checks over a dataset; the newest gives the verdict, all are kept."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="checks")
    verdict = models.CharField(_("quality"), max_length=10, choices=Verdict.choices)
    errors = models.PositiveIntegerField(_("errors"), default=0)
    warnings = models.PositiveIntegerField(_("warnings"), default=0)
    notes = models.PositiveIntegerField(_("notes"), default=0)
    checks_passed = models.PositiveIntegerField(_("checks passed"), default=0)
    seconds = models.FloatField(_("duration, s"), default=0.0)
    created = models.DateTimeField(_("time"), default=timezone.now)

    class Meta:
        verbose_name = _("quality check")
        verbose_name_plural = _("quality checks")
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.dataset}: {self.verdict}"

    @property
    def others(self) -> int:
        """Findings that do not block runs."""
        return self.warnings + self.notes


class QualityFinding(models.Model):
    """One row at fault: which check, where, how bad; ``params`` fill the check's sentence."""

    check_run = models.ForeignKey(QualityCheck, on_delete=models.CASCADE, related_name="findings")
    symbol = models.CharField(_("symbol"), max_length=32, blank=True)
    time = models.DateTimeField(_("time"), null=True, blank=True)
    row = models.PositiveIntegerField(_("row"), null=True, blank=True)
    line = models.PositiveBigIntegerField(_("line"), null=True, blank=True)
    check_name = models.CharField(_("check"), max_length=40)
    severity = models.CharField(_("severity"), max_length=8, choices=Severity.choices)
    params = models.JSONField(_("details"), default=dict, blank=True)

    class Meta:
        verbose_name = _("quality finding")
        verbose_name_plural = _("quality findings")
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.check_name} {self.symbol}"

    @property
    def message(self) -> str:
        """The check's sentence in the active language."""
        if self.check_name not in MESSAGES:
            return self.check_name
        fields = {key: named(str(self.params[key])).lower() for key in ("column", "columns") if key in self.params}
        kind = {"name": check_word(str(self.params["name"]))} if self.check_name == "more_like_this" else {}
        return gettext(MESSAGES[self.check_name]) % {**self.params, **fields, **kind}


class CalendarDay(models.Model):
    """A day an administrator added to or took from a calendar, because its library ends or is wrong."""

    calendar = models.CharField(_("calendar"), max_length=16)
    day = models.DateField(_("day"))
    is_open = models.BooleanField(_("exchange open"), default=True)
    note = models.CharField(_("note"), max_length=200, blank=True)
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        verbose_name = _("calendar day")
        verbose_name_plural = _("calendar days")
        ordering = ("calendar", "day")
        constraints = (models.UniqueConstraint(fields=["calendar", "day"], name="calendar_day"),)

    def __str__(self) -> str:
        return f"{self.calendar} {self.day}"


class Calendar(models.Model):
    """A calendar of one's own; single days beside its weeks are ``CalendarDay`` rows of its name."""

    name = models.CharField(_("name"), max_length=16, unique=True)
    title = models.CharField(_("title"), max_length=120, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64)
    week = models.TextField(_("weekly sessions"))
    first = models.DateField(_("first day"))
    last = models.DateField(_("last day"))
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    changed = models.DateTimeField(_("changed"), default=timezone.now)

    class Meta:
        verbose_name = _("calendar")
        verbose_name_plural = _("calendars")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ColumnMapping(models.Model):
    """What a person said about files with this header; offered again for the next one."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="column_mappings")
    fingerprint = models.CharField(max_length=64)
    options = models.JSONField(default=dict)
    used = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("column mapping")
        verbose_name_plural = _("column mappings")
        constraints = (models.UniqueConstraint(fields=["owner", "fingerprint"], name="column_mapping_header"),)

    def __str__(self) -> str:
        return self.fingerprint[:12]


from apps.marketdata.import_models import ImportJob, ImportOrigin, ImportStage  # noqa: E402 - they point at these

# The feeds' tables, in a file of their own.
from apps.marketdata.quote_models import (  # noqa: E402
    Feed,
    FeedKind,
    FeedState,
    LatestQuote,
    MinuteRow,
    QuoteHead,
    QuoteRecord,
)

__all__ = [
    "Adjustment", "Calendar", "CalendarDay", "ColumnMapping", "Content", "Dataset", "DatasetSymbol", "Feed", "FeedKind",
    "FeedState", "Frequency", "ImportJob", "ImportOrigin", "ImportStage", "LatestQuote", "MinuteRow", "QualityCheck",
    "QualityFinding", "QuoteHead", "QuoteRecord", "Severity", "Source", "SyncRun", "SyncState", "SyncTrigger",
    "Verdict",
]  # fmt: skip
