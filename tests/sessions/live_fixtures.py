"""Sessions with a log, made without running anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from apps.marketdata.models import Dataset, DatasetSymbol, Verdict
from apps.sessions.models import Session, SessionEvent
from apps.strategies.engine.registry import parse_config
from apps.strategies.models import Strategy, StrategyVersion


def make_dataset(name: str = "us-daily-adjusted") -> Dataset:
    start, end = datetime(2000, 3, 1, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC)
    dataset, made = Dataset.objects.get_or_create(
        name=name,
        version=1,
        defaults={
            "content_hash": "9f3c" * 16, "source": "test", "rows": 3270, "symbol_count": 1, "start": start, "end": end,
            "verdict": Verdict.CLEAN,
        },
    )  # fmt: skip
    if made:
        DatasetSymbol.objects.create(dataset=dataset, symbol="AAPL", position=0, rows=3270, start=start, end=end)
    return dataset


def make_version(
    owner, name: str = "AAPL daily", type_key: str = "algorithmic_trading", **values: Any
) -> StrategyVersion:
    config = parse_config(type_key, values).model_dump(mode="json")
    strategy, _ = Strategy.objects.get_or_create(owner=owner, name=name, defaults={"type": type_key})
    number = strategy.versions.count() + 1
    return StrategyVersion.objects.create(
        strategy=strategy, number=number, config=config, config_hash="0" * 64, author=owner
    )


def make_session(
    owner, *, status: str = "running", kind: str = "training", type_key: str = "algorithmic_trading", **fields: Any
) -> Session:
    version = fields.pop("version", None) or make_version(
        owner, type_key=type_key, name=fields.pop("name", "AAPL daily")
    )
    values = {"title": version.strategy.name, "config": version.config, "time_limit": 7200, "attempt": 1} | fields
    return Session.objects.create(
        owner=owner, kind=kind, version=version, dataset=make_dataset(), status=status, **values
    )


def say(session: Session, *payloads: dict[str, Any]) -> Session:
    """Append to the log as a writer does: number, row and columns together."""
    for payload in payloads:
        session.last_seq += 1
        SessionEvent.objects.create(session=session, seq=session.last_seq, attempt=session.attempt, payload=payload)
    Session.objects.filter(pk=session.pk).update(last_seq=session.last_seq)
    return session


def points(*steps: int, seed: int | None = None, **more: float) -> dict[str, Any]:
    extra = {"seed": seed} if seed is not None else {}
    return {"points": [{"step": step, "epoch": step, "values": {"loss": 1.0 / step} | more, **extra} for step in steps]}
