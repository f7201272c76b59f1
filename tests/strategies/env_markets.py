"""Small markets for the environments' tests."""

from __future__ import annotations

import numpy as np

from apps.strategies.engine.envs import Prices


def market(bars: int = 40, assets: int = 1, seed: int = 3, spread: float = 0.02) -> Prices:
    """A random market whose opens differ from the closes before."""
    draw = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(draw.normal(0.0, spread, (bars, assets)), axis=0))
    open_ = close * np.exp(draw.normal(0.0, spread / 2, close.shape))
    return Prices(open_, close, draw.normal(size=(bars, assets, 3)).astype(np.float32))


def priced(open_: list[float], close: list[float]) -> Prices:
    """One asset with the prices given."""
    columns = np.array([open_, close], np.float64)[:, :, None]
    return Prices(columns[0], columns[1], np.zeros((len(close), 1, 1), np.float32))


def cut(prices: Prices, bar: int, seed: int = 99) -> Prices:
    """The same market with another future after ``bar``."""
    other = market(*prices.close.shape, seed=seed)
    parts = []
    for name in ("open", "close", "features"):
        values = getattr(prices, name)[..., : getattr(other, name).shape[-1]].copy()
        values[bar + 1 :] = getattr(other, name)[bar + 1 :]
        parts.append(values)
    return Prices(*parts)
