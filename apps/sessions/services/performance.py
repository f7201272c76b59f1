"""Keeps ``StrategySummary``: how the finished runs of each strategy did."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from statistics import fmean, stdev
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from apps.sessions.engine.states import State
from apps.sessions.models import Session
from apps.strategies.models import Strategy, StrategySummary


@transaction.atomic
def summary_refresh(strategy: int) -> StrategySummary | None:
    """Work the summary of a strategy out anew; None where it is gone.

    The strategy's row is locked first: of two runs that end together, the one that comes second sees both.
    """
    if not Strategy.objects.select_for_update().filter(pk=strategy).values_list("pk", flat=True):
        return None
    values = {**_worked_out(strategy), "updated": timezone.now()}
    found, _ = StrategySummary.objects.update_or_create(strategy_id=strategy, defaults=values)
    return found


def _worked_out(strategy: int) -> dict[str, Any]:
    done = Session.objects.filter(version__strategy=strategy, status=State.COMPLETED, verifies=None)
    unseen = done.filter(out_of_sample=True, result_return__isnull=False)
    rows = list(unseen.values_list("pk", "result_return", "result_sharpe", "summary"))
    returns = [net for _, net, _, _ in rows if net is not None]
    moves = [value for *_, summary in rows if (value := _volatility(summary)) is not None]
    best = max(((sharpe, pk, net) for pk, net, sharpe, _ in rows if sharpe is not None), default=(None, None, None))
    return {
        "runs": done.count(),
        "counted": len(rows),
        "mean_return": fmean(returns) if returns else None,
        "best_return": max(returns, default=None),
        "volatility": fmean(moves) if moves else None,
        "spread": stdev(returns) if len(returns) > 1 else None,
        "best_sharpe": best[0],
        "best_session": best[1],
        "best_session_return": best[2],
    }


def _volatility(summary: Mapping[str, Any]) -> float | None:
    part = summary.get("test") or summary.get("metrics") or {}
    value = part.get("ann_vol") if isinstance(part, Mapping) else None
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def summaries_repair() -> int:
    """Work out every summary whose figures are not those of its runs, or that is missing; return how many."""
    ran = Session.objects.filter(version__strategy=OuterRef("pk"), status=State.COMPLETED)
    kept = StrategySummary.objects.in_bulk()
    strategies = Strategy.objects.filter(Exists(ran)).values_list("pk", flat=True)
    mended = 0
    for pk in sorted({*strategies, *kept}):
        wanted, row = _worked_out(pk), kept.get(pk)
        if row is None or any(getattr(row, name) != value for name, value in wanted.items()):
            mended += summary_refresh(pk) is not None
    return mended
