"""Imports as jobs: what is asked for, how far it is, how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.marketdata.engine.import_states import ImportState
from apps.ui.engine.icons import STATES


class ImportOrigin(models.TextChoices):
    PAGE = "page", _("page")
    API = "api", _("API")
    COMMAND = "command", _("command")


class ImportStage(models.TextChoices):
    WAITING = "waiting", _("waiting")
    READING = "reading", _("reading")
    CHECKING = "checking", _("checking the bars")
    STORING = "storing", _("storing")


class ImportJob(models.Model):
    """One import of a file or folder; the row is the queue, django-q2 only rings.

    ``options`` are the reader's, ``labels`` the catalogue's (title, adjustment, calendar, licence,
    tags). ``leased_until`` and ``worker`` tell whether the process that runs it still lives.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="imports",
        verbose_name=_("owner"),
    )  # fmt: skip
    name = models.CharField(_("dataset"), max_length=64)
    path = models.TextField(_("file"))
    uploaded = models.BooleanField(_("uploaded"), default=False)
    origin = models.CharField(_("asked for by"), max_length=8, choices=ImportOrigin.choices)
    options = models.JSONField(_("how to read it"), default=dict)
    labels = models.JSONField(_("labels"), default=dict)
    state = models.CharField(
        _("state"), max_length=12, default=ImportState.QUEUED,
        choices=[(state.value, STATES[state.value].word) for state in ImportState],
    )  # fmt: skip
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    crashes = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    stage = models.CharField(_("stage"), max_length=8, choices=ImportStage.choices, default=ImportStage.WAITING)
    current = models.CharField(_("at"), max_length=200, blank=True)
    progress = models.FloatField(_("progress"), default=0.0)
    #: Where this attempt began, so that what is left is told from its own speed.
    progress_before = models.FloatField(default=0.0)
    rows_read = models.PositiveBigIntegerField(_("rows read"), default=0)
    bytes_read = models.PositiveBigIntegerField(_("bytes read"), default=0)
    bytes_total = models.PositiveBigIntegerField(_("bytes"), default=0)
    files_read = models.PositiveIntegerField(_("files read"), default=0)
    files_total = models.PositiveIntegerField(_("files"), default=0)
    reason_code = models.CharField(_("reason"), max_length=40, blank=True)
    #: The refusal: message (a msgid), field and params (file, line, column, value).
    reason = models.JSONField(default=dict, blank=True)
    dataset = models.ForeignKey(
        "marketdata.Dataset", null=True, blank=True, on_delete=models.SET_NULL, related_name="import_jobs",
        verbose_name=_("dataset"),
    )  # fmt: skip
    created = models.DateTimeField(_("asked for"), default=timezone.now)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    attempt_started = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        verbose_name = _("import job")
        verbose_name_plural = _("import jobs")
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["state", "id"], name="import_job_queue"),
            models.Index(fields=["owner", "-id"], name="import_job_owner"),
        )

    def __str__(self) -> str:
        return f"{self.pk} {self.name}"

    @property
    def file(self) -> str:
        """The name of the file or folder."""
        return Path(self.path).name

    @property
    def params(self) -> dict[str, Any]:
        """What fills the sentence of its reason."""
        return dict(self.reason.get("params", {}))
