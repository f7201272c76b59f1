"""What an agent sees of the market: causal features of bars, scaled on the training period alone.

A feature at bar t uses bars up to and including t, nothing later; the scaler is fitted on the
training bars and carried with the policy, so cutting the future off changes no past value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel

Floats = NDArray[np.float64]

#: Names in the order of the last axis.
FEATURES = (
    "return_1", "return_5", "return_20", "gap", "range", "close_in_range",
    "volume_ratio_20", "ma_distance_5", "ma_distance_10", "ma_distance_20", "volatility_20",
)  # fmt: skip
#: Bars before the first complete row of features.
WARMUP = 20
#: Scaled values are cut here: one wild bar must not drown the rest.
LIMIT = 5.0


def _rolling(values: Floats, window: int, how: str = "mean") -> Floats:
    """Return the mean or population standard deviation of the last ``window`` values, (S, T); NaN before."""
    out = np.full(values.shape, np.nan)
    if values.shape[1] >= window:
        view = np.lib.stride_tricks.sliding_window_view(values, window, axis=1)
        out[:, window - 1 :] = getattr(view, how)(axis=-1)
    return out


def _log_return(close: Floats, bars: int) -> Floats:
    out = np.full(close.shape, np.nan)
    out[:, bars:] = np.log(close[:, bars:] / close[:, : max(close.shape[1] - bars, 0)])
    return out


def compute(panel: BarPanel) -> Floats:
    """Return unscaled features of every symbol and bar, (T, S, F); NaN where a bar they need is missing."""
    open_, high, low, close = (np.asarray(panel.fields[name], np.float64) for name in ("open", "high", "low", "close"))
    volume = np.asarray(panel.fields["volume"], np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        last = _log_return(close, 1)
        gap = np.full(close.shape, np.nan)
        gap[:, 1:] = np.log(open_[:, 1:] / close[:, :-1])
        span = high - low
        inside = np.where(span > 0, (close - low) / np.where(span > 0, span, 1.0) - 0.5, span * 0.0)
        columns = [
            last, _log_return(close, 5), _log_return(close, 20), gap, np.log(high / low), inside,
            np.log1p(volume) - np.log1p(_rolling(volume, 20)),
            *(close / _rolling(close, bars) - 1.0 for bars in (5, 10, 20)),
            _rolling(last, 20, "std"),
        ]  # fmt: skip
    return np.stack(columns, axis=-1).transpose(1, 0, 2)


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each feature, (F,), over the training bars of all symbols."""

    mean: Floats
    std: Floats

    @classmethod
    def fit(cls, values: Floats) -> Scaler:
        """Fit on ``values`` (…, F), leaving out rows that are not complete."""
        rows = values.reshape(-1, values.shape[-1])
        rows = rows[np.isfinite(rows).all(axis=1)]
        std = rows.std(axis=0)
        return cls(rows.mean(axis=0), np.where(std > 1e-12, std, 1.0))

    def apply(self, values: Floats) -> NDArray[np.float32]:
        """Return ``values`` scaled and cut at ``LIMIT``, as float32; NaN stays NaN."""
        return np.clip((values - self.mean) / self.std, -LIMIT, LIMIT).astype(np.float32)

    def to_state(self) -> dict[str, Any]:
        return {"names": list(FEATURES), "mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Scaler:
        return cls(np.asarray(state["mean"], np.float64), np.asarray(state["std"], np.float64))
