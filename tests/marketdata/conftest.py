"""Bars made by hand, files around them, and a folder of its own for each test's datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.services import load_builtin_catalogue

HEADER = "date,open,high,low,close,volume\n"


def bars(closes, *, symbol="AAA", start="2024-01-01", volume=None, name="", **fields) -> BarPanel:
    """A daily panel of one symbol on working days, high and low one percent around the close."""
    days = np.busday_offset(start, np.arange(len(closes)), roll="forward").astype("datetime64[ns]")
    close = np.asarray([closes], dtype=float)
    if volume is None:
        volume = 1000.0 + np.arange(close.size).reshape(close.shape)
    base = {
        "open": close.copy(), "high": close * 1.01, "low": close * 0.99, "close": close,
        "volume": np.broadcast_to(volume, close.shape).copy().astype(float),
    }  # fmt: skip
    base |= {key: np.asarray([value], dtype=float) for key, value in fields.items()}
    return BarPanel(symbols=(symbol,), times=days, fields=base, name=name)


def csv_lines(count=30, *, start="2024-01-01", price=100.0) -> str:
    days = np.busday_offset(start, np.arange(count), roll="forward")
    rows = [
        f"{day},{price + i},{price + i + 2},{price + i - 2},{price + i + 1},{1000 + i}\n" for i, day in enumerate(days)
    ]
    return HEADER + "".join(rows)


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path: text as UTF-8, bytes as they are."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.fixture
def var_dir(settings, tmp_path):
    settings.VAR_DIR = tmp_path / "var"
    return settings.VAR_DIR


@pytest.fixture
def builtin(db, var_dir):
    """The built-in catalogue: the raw and the adjusted dataset."""
    raw, adjusted = load_builtin_catalogue()
    return raw, adjusted
