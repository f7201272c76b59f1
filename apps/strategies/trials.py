"""The ledger of trials: what was tried of an idea, kept whatever becomes of the runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet, Sum

from apps.strategies.models import Strategy, StrategyVersion, Trial
from apps.trading.engine.report.luck import History

#: Ratios read for the variance; more say no more.
MOST_RATIOS = 5_000


def fingerprint(type_key: str, config: Mapping[str, Any], dataset: str, params: Mapping[str, Any]) -> str:
    """Return what makes two trials the same: what decides, on which data, over which period."""
    told = {
        name: params.get(name)
        for name in ("kind", "start", "end", "checkpoint_session", "study", "mode", "open_holdout", "market_rules")
    }
    given = [type_key, dict(config), dataset, {name: value for name, value in told.items() if value}]
    return hashlib.sha256(json.dumps(given, sort_keys=True, default=str).encode()).hexdigest()


def trial_begin(
    *, version: StrategyVersion, kind: str, config: Mapping[str, Any], dataset: str, params: Mapping[str, Any],
    session: int | None = None,
) -> Trial:  # fmt: skip
    """Count a trial before it runs, so that one cancelled or deleted counts too; the same again is no second."""
    strategy = version.strategy
    trial, _made = Trial.objects.get_or_create(
        idea=strategy.idea,
        fingerprint=fingerprint(strategy.type, config, dataset, {**params, "kind": kind}),
        defaults={
            "kind": kind, "strategy": strategy.pk, "version": version.number,
            "session": session, "config": dict(config), "dataset": dataset[:80],
        },
    )  # fmt: skip
    return trial


def trial_counts(trial: Trial, count: int) -> None:
    """Say how many configurations the trial looked at; a number once told never falls."""
    Trial.objects.filter(pk=trial.pk, count__lt=count).update(count=count)


def trial_end(trial: Trial, sharpe: float | None, observations: int) -> None:
    """Write down what the trial gave: the Sharpe ratio by bar over ``observations`` bars."""
    Trial.objects.filter(pk=trial.pk).update(sharpe=sharpe, observations=max(0, observations))


def trials_of(strategy: Strategy) -> QuerySet[Trial]:
    """Return the trials of the idea behind ``strategy``, its copies' included, newest first."""
    return Trial.objects.filter(idea=strategy.idea)


def trial_count(strategy: Strategy) -> int:
    """Return how many configurations of the idea were tried."""
    return trials_of(strategy).aggregate(total=Sum("count"))["total"] or 0


def history_before(strategy: Strategy, trial: Trial) -> History:
    """Return what was tried of the idea beside the run of ``trial`` itself, as the formulas take it.

    The other configurations that a study of this run looks at are among it: its verdict must bear them, too.
    """
    ratios = (
        trials_of(strategy).exclude(pk=trial.pk).exclude(sharpe=None).values_list("sharpe", flat=True)[:MOST_RATIOS]
    )
    return History(max(trial_count(strategy) - 1, 0), tuple(float(r) for r in ratios if r is not None))
