"""The built-in data, and a strategy of alice's."""

from __future__ import annotations

import pytest

from apps.marketdata.services import load_builtin_catalogue
from apps.strategies.services import strategy_create


@pytest.fixture
def catalogue(db, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    load_builtin_catalogue()


@pytest.fixture
def rule(catalogue, alice):
    return strategy_create(owner=alice, name="Rule", type_key="rule", config={"symbol": "AAPL"})


@pytest.fixture
def one_thread():
    """One thread, as a session's child has: small networks only wait for each other on more."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
