"""Panels for the trainers' tests: real-looking bars, and a market with a planted signal."""

from __future__ import annotations

import numpy as np

from apps.marketdata.engine.bars import BarPanel


def panel(bars: int = 330, symbols: int = 1, seed: int = 5, start: str = "2020-01-01") -> BarPanel:
    """Random bars of ``symbols`` on consecutive days."""
    draw = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(draw.normal(0.0003, 0.015, (symbols, bars)), axis=1))
    open_ = close * np.exp(draw.normal(0.0, 0.004, close.shape))
    high, low = np.maximum(open_, close) * 1.004, np.minimum(open_, close) * 0.996
    volume = draw.integers(1_000, 9_000, close.shape).astype(np.float64)
    times = np.datetime64(start, "ns") + np.arange(bars) * np.timedelta64(1, "D")
    fields = {"open": open_, "high": high, "low": low, "close": close, "volume": volume}
    return BarPanel(tuple(f"S{i}" for i in range(symbols)), times, fields, name="test")


def planted(bars: int = 500, jump: float = 0.01, seed: int = 0) -> BarPanel:
    """One symbol whose volume tells the direction of the next day: high volume, it rises; low, it falls.

    The move happens between the next open and close, so it can be traded by who reads the volume;
    the best long-or-flat policy is known: hold after a loud day.
    """
    up = np.random.default_rng(seed).random(bars) < 0.5
    moves = np.where(up[:-1], jump, -jump)
    close = 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(moves)]))
    open_ = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    volume = np.where(up, 9_000.0, 1_000.0)
    times = np.datetime64("2020-01-01", "ns") + np.arange(bars) * np.timedelta64(1, "D")
    fields = {"open": open_, "high": high, "low": low, "close": close, "volume": volume}
    return BarPanel(("SIG",), times, {name: array[None] for name, array in fields.items()}, name="planted")
