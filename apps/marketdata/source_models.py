"""Sources that are asked by themselves, and each time one was."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Source(models.Model):
    """Where bars come from by themselves: a kind, its configuration, and when it is asked.

    ``config`` holds what the kind's configuration declares and the name of a secret, never a secret.
    ``marks`` are what the kind remembers of its last stored sync.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sources")
    name = models.SlugField(_("name"), max_length=64, unique=True)
    kind = models.CharField(_("kind"), max_length=40)
    config = models.JSONField(_("configuration"), default=dict)
    dataset_name = models.CharField(_("dataset"), max_length=64, db_index=True)
    marks = models.JSONField(default=dict, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    next_at = models.DateTimeField(_("next sync"), null=True, blank=True)
    #: Why there is no next sync though there should be: a refusal as code, message and params.
    schedule_problem = models.JSONField(default=dict, blank=True)
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True)
    created = models.DateTimeField(_("created"), default=timezone.now)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now)

    class Meta:
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class SyncState(models.TextChoices):
    """What can become of a sync; ``queued`` and ``running`` are the states it leaves again."""

    QUEUED = "queued", _("waiting")
    RUNNING = "running", _("running")
    COMPLETED = "completed", _("new version")
    UNCHANGED = "unchanged", _("nothing new")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("stopped")
    INTERRUPTED = "interrupted", _("interrupted")


class SyncTrigger(models.TextChoices):
    SCHEDULE = "schedule", _("schedule")
    PERSON = "person", _("by hand")
    COMMAND = "command", _("command")
    RETRY = "retry", _("retry")


ACTIVE = (SyncState.QUEUED, SyncState.RUNNING)


class SyncRun(models.Model):
    """One time a source was asked: what it brought, what became of it, or why nothing did."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="runs")
    state = models.CharField(_("state"), max_length=12, choices=SyncState.choices, default=SyncState.QUEUED)
    trigger = models.CharField(_("asked by"), max_length=8, choices=SyncTrigger.choices, default=SyncTrigger.SCHEDULE)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    #: Everything was asked again, not only what came since the newest bar.
    whole = models.BooleanField(_("everything again"), default=False)
    config = models.JSONField(_("configuration"), default=dict, blank=True)
    created = models.DateTimeField(_("asked"), default=timezone.now)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    beat_at = models.DateTimeField(_("last beat"), null=True, blank=True)
    worker = models.CharField(_("worker"), max_length=120, blank=True)
    progress = models.FloatField(_("progress"), default=0.0)
    doing = models.CharField(_("doing"), max_length=120, blank=True)
    stop_requested_at = models.DateTimeField(_("stop asked"), null=True, blank=True)
    since = models.DateTimeField(_("newest bar before"), null=True, blank=True)
    until = models.DateTimeField(_("newest bar after"), null=True, blank=True)
    #: Where each part came from: what, sha256, size, rows (``Piece``), at most ``MOST_PIECES``.
    pieces = models.JSONField(_("received"), default=list, blank=True)
    piece_count = models.PositiveIntegerField(_("parts received"), default=0)
    received_hash = models.CharField(_("hash of what was received"), max_length=64, blank=True)
    added = models.PositiveBigIntegerField(_("bars added"), default=0)
    changed = models.PositiveBigIntegerField(_("bars revised"), default=0)
    same = models.PositiveBigIntegerField(_("bars unchanged"), default=0)
    dataset = models.ForeignKey(
        "marketdata.Dataset", null=True, blank=True, on_delete=models.SET_NULL, related_name="syncs"
    )
    content_hash = models.CharField(_("content hash"), max_length=64, blank=True)
    #: Why it failed: a refusal as code, message and params, without secrets.
    reason = models.JSONField(_("reason"), default=dict, blank=True)
    retry_at = models.DateTimeField(_("retry"), null=True, blank=True)

    class Meta:
        verbose_name = _("sync run")
        verbose_name_plural = _("sync runs")
        ordering = ("-id",)
        indexes = (models.Index(fields=["state", "id"], name="sync_state"),)
        constraints = (
            # Asking a source twice at once would bring nothing and could end in any order.
            models.UniqueConstraint(fields=["source"], condition=Q(state__in=ACTIVE), name="sync_one_at_a_time"),
        )

    def __str__(self) -> str:
        return f"{self.source_id}: {self.state} {self.created:%Y-%m-%d %H:%M}"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE
