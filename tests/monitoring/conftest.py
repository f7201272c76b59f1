"""Rows as the other rooms make them, without running anything."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.marketdata.models import Dataset
from apps.sessions.models import Session
from apps.strategies.models import Strategy, StrategyVersion


@pytest.fixture
def make_dataset(db):
    def make(name="us-daily", **values):
        values = {
            "content_hash": "0" * 64, "source": "test", "rows": 10, "symbol_count": 2, "verdict": "clean",
            "start": datetime(2000, 3, 1, tzinfo=UTC), "end": datetime(2013, 3, 1, tzinfo=UTC), **values,
        }  # fmt: skip
        return Dataset.objects.create(name=name, **values)

    return make


@pytest.fixture
def make_strategy(db):
    def make(owner, name="AAPL daily", **values):
        strategy = Strategy.objects.create(owner=owner, name=name, type="rule", **values)
        StrategyVersion.objects.create(strategy=strategy, number=1, config={}, config_hash="0", author=owner)
        return strategy

    return make


@pytest.fixture
def make_session(make_dataset, make_strategy):
    shared: dict[int, tuple] = {}

    def make(owner, status="completed", **values):
        if owner.pk not in shared:
            data = Dataset.objects.filter(name="us-daily").first() or make_dataset()
            shared[owner.pk] = (make_strategy(owner).versions.get(), data)
        version, dataset = shared[owner.pk]
        values = {"title": "AAPL daily", "kind": "training", "time_limit": 60, **values}
        return Session.objects.create(owner=owner, version=version, dataset=dataset, status=status, **values)

    return make
