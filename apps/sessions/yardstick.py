"""What the score on unseen data is measured against while a training runs."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import numpy as np

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.instants import instant
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_comparable
from apps.sessions.models import Session
from apps.sessions.selectors import symbols_of
from apps.trading.engine import metrics
from apps.ui.engine.refusal import Refusal


def hold_sharpe(session: Session) -> float | None:
    """Return the Sharpe ratio of holding the session's symbols in equal parts over its validation
    period, close to close and without costs; None where the data cannot tell."""
    config = session.config
    if not config.get("valid_start") or not config.get("test_start"):
        return None
    dates = date.fromisoformat(config["valid_start"]), date.fromisoformat(config["test_start"])
    try:
        return _sharpe(session.dataset_id, session.dataset.content_hash, tuple(symbols_of(session)), *dates)
    except Refusal:
        # The files are gone: the page shows the run without its yardstick.
        return None


@lru_cache(maxsize=256)
def _sharpe(dataset_id: int, content_hash: str, symbols: tuple[str, ...], start: date, end: date) -> float | None:
    panel = dataset_comparable(Dataset.objects.get(pk=dataset_id))
    return metrics.sharpe(held(panel.select(symbols or None), start, end), panel.bars_per_year)


def held(panel: BarPanel, start: date, end: date) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the returns (T,) of equal parts bought at the close before ``start``, sold before ``end``."""
    first, stop = (int(np.searchsorted(panel.times, instant(day))) for day in (start, end))
    closes = panel.fields["close"][:, max(0, first - 1) : stop]
    closes = closes[np.isfinite(closes).all(axis=1)]
    if closes.shape[0] == 0 or closes.shape[1] < 2:
        return np.empty(0)
    equity = (closes / closes[:, :1]).mean(axis=0)
    return np.asarray(equity[1:] / equity[:-1] - 1.0)
