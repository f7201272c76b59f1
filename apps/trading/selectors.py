"""Reads of the trading room."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.trading.engine.costs import Costs
from apps.trading.models import CostSchedule
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


def cost_schedules() -> QuerySet[CostSchedule]:
    """Return every cost schedule, by code."""
    return CostSchedule.objects.all()


def costs_by_code(code: str) -> Costs:
    """Return the costs called ``code``; refuses an unknown one, naming those there are."""
    schedule = CostSchedule.objects.filter(code=code).first()
    if schedule is None:
        known = ", ".join(CostSchedule.objects.values_list("code", flat=True)) or "-"
        raise Refusal(
            "unknown_costs",
            N_("There is no cost schedule %(schedule)s; there are %(known)s."),
            schedule=code,
            known=known,
        )
    return costs_of(schedule)


def costs_of(schedule: CostSchedule) -> Costs:
    """Return the arithmetic of ``schedule``."""
    return Costs.from_bp(
        schedule.commission_bp,
        minimum=schedule.minimum,
        sell_tax_bp=schedule.sell_tax_bp,
        slippage_bp=schedule.slippage_bp,
        lot=schedule.lot,
    )
