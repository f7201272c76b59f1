"""What every job needs: its data, its configuration, files written whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.models import Adjustment
from apps.marketdata.selectors import dataset_comparable, dataset_events, dataset_membership, dataset_panel
from apps.sessions.models import Session
from apps.sessions.services.benchmarks import benchmark_dataset
from apps.strategies.engine.benchmarks import Benchmark
from apps.strategies.engine.config_base import StrategyConfig
from apps.strategies.engine.registry import parse_config

if TYPE_CHECKING:
    from apps.strategies.engine.execution import Traded, Venue


def panel_of(session: Session) -> BarPanel:
    """Return the bars of a run: raw prices with stated events are adjusted, so that no split looks like a crash."""
    panel = dataset_comparable(session.dataset)
    if session.config.get("universe"):
        spans = dataset_membership(session.dataset, session.config["universe"])
        return replace(panel, meta={**panel.meta, "membership": spans})
    return panel


def traded_of(session: Session) -> Traded:
    """Return the bars orders are filled on, as they were traded where the data tells, and their market."""
    from apps.strategies.engine.execution import Traded

    dataset = session.dataset
    return Traded(
        dataset_panel(dataset), dataset_events(dataset), dataset.calendar,
        as_traded=dataset.adjustment == Adjustment.RAW, obey=session.params.get("market_rules") != "ignore",
    )  # fmt: skip


def venue_of(session: Session) -> Venue | None:
    """Return where the orders of a training are filled; None where its run ignores the rules of the market."""
    if session.params.get("market_rules") == "ignore":
        return None
    from apps.strategies.engine.execution import Venue

    return Venue(traded_of(session), float(settings.QP_BACKTEST_CAPITAL))


def benchmark_for(session: Session) -> str | Benchmark:
    """Return what a backtest is laid against: a symbol of its own data, another dataset, or nothing named."""
    symbol, other = str(session.params.get("benchmark", "")), benchmark_dataset(session, session.owner)
    if other is None:
        return symbol
    panel = replace(dataset_comparable(other), content_hash=other.content_hash)
    return Benchmark(panel, str(other), symbol)


def config_of(session: Session) -> StrategyConfig:
    return parse_config(session.version.strategy.type, session.config)


def is_own_config(session: Session) -> bool:
    """Tell whether the run has the very configuration of its version, nothing changed for itself."""
    version = session.version
    return config_of(session) == parse_config(version.strategy.type, version.config)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write ``document`` whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    partial.replace(path)
