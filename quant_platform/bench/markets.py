"""Seeded daily markets for benchmarks: bars in memory, and the same in Qlib's layout for the peer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.qlib_export import export_qlib

DAYS = 2_520


def market(symbols: int, seed: int, days: int = DAYS) -> BarPanel:
    """Return ``symbols`` random walks of ten years of working days: six fields, float64."""
    rng = np.random.Generator(np.random.PCG64(seed))
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0002, 0.018, (symbols, days)), axis=1))
    open_ = close * (1.0 + rng.normal(0.0, 0.004, close.shape))
    high = np.maximum(open_, close) * (1.0 + np.abs(rng.normal(0.0, 0.004, close.shape)))
    low = np.minimum(open_, close) * (1.0 - np.abs(rng.normal(0.0, 0.004, close.shape)))
    volume = np.asarray(np.round(np.exp(rng.normal(13.0, 0.6, close.shape))), np.float64)
    fields: dict[str, NDArray[np.float64]] = {
        "open": open_, "high": high, "low": low, "close": close, "volume": volume,
        "vwap": (open_ + high + low + close) / 4.0,
    }  # fmt: skip
    times = np.busday_offset("2010-01-04", np.arange(days), roll="forward").astype("datetime64[ns]")
    names = tuple(f"SH{600000 + row}" for row in range(symbols))
    return BarPanel(symbols=names, times=times, fields=fields)


def as_qlib(panel: BarPanel, folder: Path) -> str:
    """Write ``panel`` as a Qlib data folder and return its path."""
    export_qlib(panel, folder, raw_prices=False)
    return str(folder)
