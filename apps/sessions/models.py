"""Everything that runs, and the log of what it did."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Kind(models.TextChoices):
    TRAINING = "training", _("training")
    BACKTEST = "backtest", _("backtest")


class Status(models.TextChoices):
    """The states of ``engine.states`` with the words people read."""

    DRAFT = "draft", _("Draft")
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    PAUSING = "pausing", _("Pausing")
    PAUSED = "paused", _("Paused")
    INTERRUPTED = "interrupted", _("Interrupted")
    CANCELLING = "cancelling", _("Cancelling")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class Origin(models.TextChoices):
    """How a session came from its ``parent``."""

    CLONE = "clone", _("clone")
    RETRY = "retry", _("retry")


class Session(models.Model):
    """One run: the queue of record, its life cycle, its progress and its result.

    ``status`` is written by ``services.transitions`` alone (compare-and-set). ``attempt``
    fences every write of a child: a row that moved on refuses an old attempt's words.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="run_sessions")
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    title = models.CharField(_("title"), max_length=160)
    version = models.ForeignKey("strategies.StrategyVersion", on_delete=models.PROTECT, related_name="run_sessions")
    dataset = models.ForeignKey("marketdata.Dataset", on_delete=models.PROTECT, related_name="run_sessions")
    #: The complete, validated configuration of this run: the version's with its overrides.
    config = models.JSONField(_("configuration"), default=dict)
    #: What belongs to the run and not to the strategy: start, end, capital, benchmark, checkpoint.
    params = models.JSONField(_("parameters"), default=dict, blank=True)
    status = models.CharField(_("state"), max_length=12, choices=Status.choices, default=Status.DRAFT)
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    crashes = models.PositiveIntegerField(_("crashes"), default=0)
    priority = models.SmallIntegerField(_("priority"), default=0)
    time_limit = models.PositiveIntegerField(_("time limit, s"))
    #: Resident memory of its processes together; 0 means what the machine can give.
    memory_limit_mb = models.PositiveIntegerField(_("memory limit, MB"), default=0)
    #: What it used so far: {"peak_rss_bytes": .., "cpu_seconds": .., "peak_gpu_bytes": .., "seconds": ..}, and
    #: "rss_bytes" as last measured.
    usage = models.JSONField(default=dict, blank=True)
    seconds_used = models.FloatField(_("time used, s"), default=0.0)
    created = models.DateTimeField(_("created"), default=timezone.now)
    queued_at = models.DateTimeField(_("queued"), null=True, blank=True)
    #: An automatic retry waits until then.
    not_before = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(_("worker"), max_length=120, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    step = models.PositiveBigIntegerField(_("step"), default=0)
    epoch = models.PositiveIntegerField(_("epoch"), default=0)
    progress = models.FloatField(_("progress"), default=0.0)
    #: {"done": 310, "total": 500, "unit": "episode", "rate": 3474.0}
    progress_info = models.JSONField(default=dict, blank=True)
    last_seq = models.PositiveBigIntegerField(default=0)
    #: Events up to this one lie in the archive beside the result, whose SHA-256 is ``archive_hash``.
    archived_seq = models.PositiveBigIntegerField(default=0)
    archive_hash = models.CharField(max_length=64, blank=True)
    #: Its figures in ``SessionMetric`` are of the events up to this one.
    measured_seq = models.PositiveBigIntegerField(default=0)
    #: Why it waits, failed or was interrupted: a code and the params of its sentence.
    reason_code = models.CharField(_("reason"), max_length=64, blank=True)
    reason = models.JSONField(default=dict, blank=True)
    #: Headline figures of the result, e.g. {"test": {"total_return": .., "sharpe": ..}, "baselines": {..}}.
    summary = models.JSONField(_("summary"), default=dict, blank=True)
    result_return = models.FloatField(_("net return"), null=True, blank=True)
    result_sharpe = models.FloatField(_("Sharpe"), null=True, blank=True)
    out_of_sample = models.BooleanField(_("out of sample"), default=False)
    #: Libraries, device, platform and code version of the last attempt.
    environment = models.JSONField(_("environment"), default=dict, blank=True)
    #: SHA-256 of the run capsule beside the result; empty before the first start.
    capsule_hash = models.CharField(_("hash of the run capsule"), max_length=64, blank=True)
    #: The run that this one repeats to compare itself with; its own figures are no result.
    verifies = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="verifications")
    #: identical, within_tolerance or different; empty for any other run.
    verdict = models.CharField(_("verdict"), max_length=16, blank=True)
    #: {"verdict", "first_difference", "tolerance", "compared", "capsule"}, see ``engine.verifying``.
    verification = models.JSONField(_("verification"), default=dict, blank=True)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="descendants")
    origin = models.CharField(_("made as"), max_length=8, choices=Origin.choices, blank=True)
    notes = models.TextField(_("what people noted"), blank=True)

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["status", "-priority", "queued_at"], name="session_queue"),
            models.Index(fields=["owner", "status"], name="session_owner_status"),
        )

    def __str__(self) -> str:
        return f"{self.pk} {self.title}"


class SessionMetric(models.Model):
    """What a metric of a session came to: one row in place of thousands of points.

    ``last`` is the newest value, the median over seeds; ``low``, ``high`` and ``mean`` are over every point of
    every seed. Written by the run every few seconds and when it ends (``services.measuring``).
    """

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="metrics")
    name = models.TextField(_("metric"))
    points = models.PositiveBigIntegerField()
    last = models.FloatField()
    last_step = models.FloatField()
    low = models.FloatField()
    high = models.FloatField()
    mean = models.FloatField()

    class Meta:
        verbose_name = _("metric of a session")
        verbose_name_plural = _("metrics of sessions")
        constraints = (models.UniqueConstraint(fields=["session", "name"], name="session_metric"),)
        indexes = (models.Index(fields=["name", "session"], name="session_metric_name"),)

    def __str__(self) -> str:
        return f"{self.session_id} {self.name}"


class SessionTag(models.Model):
    """A word that people find a session by."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="tags")
    name = models.CharField(_("tag"), max_length=32, db_index=True)

    class Meta:
        verbose_name = _("session tag")
        verbose_name_plural = _("session tags")
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=["session", "name"], name="session_tag"),)

    def __str__(self) -> str:
        return self.name


class SessionEvent(models.Model):
    """One flush of a run. The log is the truth: pages and sockets only read it.

    ``seq`` counts within a session without a hole, in commit order, because whoever writes
    first updates ``Session.last_seq`` in the same transaction. ``payload`` has any of the
    keys of ``engine.events.EventPayload``.
    """

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField()
    attempt = models.PositiveIntegerField()
    payload = models.JSONField()
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("session event")
        verbose_name_plural = _("session events")
        ordering = ("session", "seq")
        constraints = (models.UniqueConstraint(fields=["session", "seq"], name="session_event_seq"),)

    def __str__(self) -> str:
        return f"{self.session_id}/{self.seq}"


class Attempt(models.Model):
    """One start of a session in one process, and how it ended."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField(_("attempt"))
    worker = models.CharField(_("worker"), max_length=120, blank=True)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=32, blank=True)
    reason = models.JSONField(_("reason"), default=dict, blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ("session", "number")
        constraints = (models.UniqueConstraint(fields=["session", "number"], name="session_attempt"),)

    def __str__(self) -> str:
        return f"{self.session_id} #{self.number}"


class Checkpoint(models.Model):
    """Weights (safetensors) and state (JSON) of a session at a step, committed with that step."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="checkpoints")
    attempt = models.PositiveIntegerField(_("attempt"))
    step = models.PositiveBigIntegerField(_("step"))
    epoch = models.PositiveIntegerField(_("epoch"), default=0)
    #: Relative to VAR_DIR.
    path = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField(_("size"))
    score = models.FloatField(_("validation score"), null=True, blank=True)
    is_best = models.BooleanField(_("best"), default=False)
    is_latest = models.BooleanField(_("latest"), default=False)
    created = models.DateTimeField(_("time"), default=timezone.now)

    class Meta:
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")
        ordering = ("session", "-step", "-id")

    def __str__(self) -> str:
        return f"{self.session_id} step {self.step}"


class Worker(models.Model):
    """A worker that was heard of: its last beat, and whether it takes new sessions.

    ``Session.worker`` is this name, a colon and the pid of the launcher that runs it.
    """

    name = models.CharField(_("worker"), max_length=120, unique=True)
    host = models.CharField(_("host"), max_length=120)
    pid = models.PositiveIntegerField()
    slots = models.PositiveSmallIntegerField(_("slots"), default=1)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    last_beat = models.DateTimeField(_("last beat"), default=timezone.now)
    #: Since when its host's processors are busy; empty while they are not.
    busy_since = models.DateTimeField(_("busy since"), null=True, blank=True)
    #: It finishes what it runs and takes nothing new.
    draining = models.BooleanField(_("drains"), default=False)

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.name


from apps.sessions.live_models import LiveConnection, WebProcess  # noqa: E402 - beside the session's own

__all__ = [
    "Attempt", "Checkpoint", "Kind", "LiveConnection", "Origin", "Session", "SessionEvent", "SessionMetric",
    "SessionTag", "Status", "WebProcess", "Worker",
]  # fmt: skip
