"""Money: what trading costs in a market."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

RATE = (MinValueValidator(0), MaxValueValidator(1000))


class CostScheduleManager(models.Manager["CostSchedule"]):
    def get_by_natural_key(self, code: str) -> CostSchedule:
        return self.get(code=code)  # type: ignore[return-value]


class CostSchedule(models.Model):
    """What a trade costs in a market; ``engine.costs.Costs`` is the same thing in arithmetic."""

    code = models.SlugField(_("code"), max_length=32, unique=True)
    name = models.CharField(_("name"), max_length=80)
    name_zh = models.CharField(_("name in Chinese"), max_length=80, blank=True)
    currency = models.CharField(_("currency"), max_length=8)
    commission_bp = models.FloatField(_("commission, bp a side"), default=0.0, validators=RATE)
    minimum = models.FloatField(_("minimum per order"), default=0.0, validators=[MinValueValidator(0)])
    sell_tax_bp = models.FloatField(_("tax on sales, bp"), default=0.0, validators=RATE)
    slippage_bp = models.FloatField(_("slippage, bp a side"), default=0.0, validators=RATE)
    lot = models.PositiveIntegerField(_("lot size"), default=1, validators=[MinValueValidator(1)])
    source = models.CharField(_("source"), max_length=250, blank=True)

    objects = CostScheduleManager()

    class Meta:
        ordering = ("code",)
        verbose_name = _("cost schedule")
        verbose_name_plural = _("cost schedules")

    def __str__(self) -> str:
        return self.name

    def natural_key(self) -> tuple[str]:
        return (self.code,)
