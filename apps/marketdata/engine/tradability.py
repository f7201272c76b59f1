"""What the tape says about trading: who is listed, who is suspended, what today's limits refer to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction


def listed(panel: BarPanel) -> NDArray[np.bool_]:
    """Return (S, T) booleans: from the symbol's first bar to its last."""
    known = ~np.isnan(np.asarray(panel.fields["close"]))
    return np.asarray(
        np.logical_or.accumulate(known, axis=1) & np.logical_or.accumulate(known[:, ::-1], axis=1)[:, ::-1]
    )


def suspended(panel: BarPanel) -> NDArray[np.bool_]:
    """Return (S, T) booleans: listed, but nothing could be traded.

    The source's own mark counts (``suspended`` is 1), so does a bar that is absent while
    the symbol is listed, and a volume of zero where the symbol has volumes at all.
    """
    alive = listed(panel)
    idle = alive & np.isnan(np.asarray(panel.fields["close"]))
    if "volume" in panel.fields:
        volume = np.asarray(panel.fields["volume"])
        has_volume = (volume > 0).any(axis=1, keepdims=True)
        idle |= alive & has_volume & (volume == 0)
    if "suspended" in panel.fields:
        idle |= alive & (np.asarray(panel.fields["suspended"]) == 1)
    return idle


def last_close(panel: BarPanel) -> NDArray[np.float64]:
    """Return (S, T): the newest close before each bar, NaN before the first."""
    close = np.asarray(panel.fields["close"])
    at = np.where(np.isnan(close), -1, np.arange(close.shape[1]))
    newest = np.maximum.accumulate(at, axis=1)
    before = np.concatenate([np.full((len(close), 1), -1), newest[:, :-1]], axis=1)
    return np.where(before >= 0, np.take_along_axis(close, np.maximum(before, 0), axis=1), np.nan)


def reference_close(panel: BarPanel, events: Sequence[CorporateAction] = ()) -> NDArray[np.float64]:
    """Return (S, T): the price that today's limits refer to.

    The source's own ``prev_close`` where it has one, else the last close times the factor of
    today's events (ex-rights: (close − cash) / ratio). Not rounded to a tick.
    """
    reference = last_close(panel)
    rows = {symbol: row for row, symbol in enumerate(panel.symbols)}
    for event in events:
        row = rows.get(event.symbol)
        at = int(np.searchsorted(panel.times, event.day.astype("datetime64[ns]")))
        if row is not None and at < len(panel.times):
            # A suspended symbol comes back on the first bar at or after the day.
            known = np.flatnonzero(~np.isnan(np.asarray(panel.fields["close"][row, at:])))
            stop = at + int(known[0]) + 1 if len(known) else len(panel.times)
            reference[row, at:stop] *= event.factor
    if "prev_close" in panel.fields:
        told = np.asarray(panel.fields["prev_close"])
        reference = np.where(told > 0, told, reference)
    return reference
