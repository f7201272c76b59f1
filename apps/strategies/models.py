"""Strategies as data: a name, a type, and versions that never change."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Stage(models.TextChoices):
    DRAFT = "draft", _("draft")
    TRAINED = "trained", _("trained")
    BACKTESTED = "backtested", _("backtested")
    PAPER = "paper", _("paper")
    LIVE = "live", _("live")
    RETIRED = "retired", _("retired")


class Strategy(models.Model):
    """What decides. Its configuration lives in its versions; the highest number is current."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="strategies")
    name = models.CharField(_("name"), max_length=120)
    type = models.CharField(_("type"), max_length=32)
    stage = models.CharField(_("stage"), max_length=12, choices=Stage.choices, default=Stage.DRAFT)
    description = models.TextField(_("description"), blank=True)
    #: What the trials of this strategy and of its copies are counted under.
    idea = models.UUIDField(_("idea"), default=uuid.uuid4, editable=False, db_index=True)
    copied_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="copies")
    created = models.DateTimeField(_("created"), default=timezone.now)
    updated = models.DateTimeField(_("changed"), default=timezone.now)
    archived_at = models.DateTimeField(_("archived"), null=True, blank=True)

    class Meta:
        verbose_name = _("strategy")
        ordering = ("-updated",)
        verbose_name_plural = _("strategies")
        constraints = (models.UniqueConstraint(fields=["owner", "name"], name="strategy_owner_name"),)

    def __str__(self) -> str:
        return self.name


class StrategyVersion(models.Model):
    """One saved configuration, complete and final. A run is tied to exactly one version."""

    strategy = models.ForeignKey(Strategy, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    config = models.JSONField(_("configuration"))
    config_hash = models.CharField(_("hash"), max_length=64)
    note = models.CharField(_("note"), max_length=200, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        verbose_name = _("strategy version")
        verbose_name_plural = _("strategy versions")
        ordering = ("strategy", "-number")
        constraints = (models.UniqueConstraint(fields=["strategy", "number"], name="strategy_version_number"),)

    def __str__(self) -> str:
        return f"{self.strategy} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None and not kwargs.get("force_insert"):
            raise TypeError("a saved version never changes: save a new one")
        super().save(*args, **kwargs)


class StrategySummary(models.Model):
    """How the finished runs of a strategy did; the sessions' room keeps it fresh (``services.performance``).

    ``runs`` counts completed runs that verify nothing, ``counted`` those of them with a return on data they never
    saw: the figures are of these. Returns are fractions after costs; ``volatility`` is the mean of the runs'
    annualised volatilities, ``spread`` the standard deviation of their returns (of two or more).
    """

    strategy = models.OneToOneField(Strategy, on_delete=models.CASCADE, primary_key=True, related_name="summary")
    runs = models.PositiveIntegerField(_("runs"), default=0)
    counted = models.PositiveIntegerField(_("runs on unseen data"), default=0)
    mean_return = models.FloatField(_("mean return"), null=True, blank=True)
    best_return = models.FloatField(_("best return"), null=True, blank=True)
    volatility = models.FloatField(_("volatility"), null=True, blank=True)
    spread = models.FloatField(_("spread of returns"), null=True, blank=True)
    #: The run with the best Sharpe ratio, and its figures; not a foreign key: this room does not know sessions.
    best_session = models.BigIntegerField(null=True, blank=True)
    best_sharpe = models.FloatField(_("best Sharpe"), null=True, blank=True)
    best_session_return = models.FloatField(null=True, blank=True)
    updated = models.DateTimeField(_("changed"), default=timezone.now)

    def __str__(self) -> str:
        return f"{self.strategy_id}: {self.counted} of {self.runs}"


class TrialKind(models.TextChoices):
    BACKTEST = "backtest", _("backtest")
    TRAINING = "training", _("training")
    SWEEP = "sweep", _("parameter sweep")
    WALK_FORWARD = "walk_forward", _("walk-forward")
    HOLDOUT = "holdout", _("hold-out opened")


class Trial(models.Model):
    """One configuration of an idea that was tried on some data: the ledger of over-fitting.

    It has no foreign key on purpose: neither a deleted run nor a deleted strategy takes a trial
    back. Trying the same thing again is the same trial (``fingerprint``). ``count`` is how many
    configurations were looked at (a sweep); ``sharpe`` is by bar.
    """

    idea = models.UUIDField(_("idea"), db_index=True)
    fingerprint = models.CharField(max_length=64)
    kind = models.CharField(_("kind"), max_length=16, choices=TrialKind.choices)
    count = models.PositiveIntegerField(_("configurations"), default=1)
    strategy = models.BigIntegerField(_("strategy"))
    version = models.PositiveIntegerField(_("version"))
    session = models.BigIntegerField(_("session"), null=True, blank=True)
    config = models.JSONField(_("configuration"), default=dict)
    dataset = models.CharField(_("data"), max_length=80)
    sharpe = models.FloatField(_("Sharpe ratio by bar"), null=True, blank=True)
    observations = models.PositiveIntegerField(_("bars"), default=0)
    created = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        verbose_name = _("trial")
        verbose_name_plural = _("trials")
        ordering = ("-created", "-id")
        constraints = (models.UniqueConstraint(fields=["idea", "fingerprint"], name="trial_idea_fingerprint"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint[:8]}"
