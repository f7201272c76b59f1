"""Sweeps over every page and operation ask sources here, not in a process of its own for each."""

from __future__ import annotations

import pytest

from apps.marketdata.adapters import source_probe
from apps.marketdata.engine.sources.probe import answer


@pytest.fixture(autouse=True)
def no_children(monkeypatch):
    """Starting a process takes a second; tests/marketdata/sources/test_probe.py starts real ones."""
    monkeypatch.setattr(source_probe, "run_child", answer)
