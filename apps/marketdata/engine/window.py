"""Bars of one symbol for a chart: which part, joined where there are more than fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import FIELDS, BarPanel


@dataclass(frozen=True)
class Window:
    """Bars as columns, each (N,): ``joined`` neighbours make one bar (1 where all fit)."""

    time: NDArray[np.datetime64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    joined: int = 1

    def __len__(self) -> int:
        return len(self.time)


def known_bars(panel: BarPanel, row: int) -> NDArray[np.int64]:
    """Return the columns in which the symbol has all four prices; of a series of closes alone, those."""
    known = np.isfinite(panel.fields["close"][row])
    if not _only_closes(panel, row):
        known &= np.isfinite([panel.fields[name][row] for name in ("open", "high", "low")]).all(axis=0)
    return np.flatnonzero(known)


def _only_closes(panel: BarPanel, row: int) -> bool:
    return all(np.isnan(panel.fields[name][row]).all() for name in ("open", "high", "low"))


def window(panel: BarPanel, row: int, at: NDArray[np.int64], limit: int) -> Window:
    """Return the bars in columns ``at``, at most ``limit``: first open, extremes, last close, volume summed."""
    closes = ("open", "high", "low") if _only_closes(panel, row) else ()
    fields = {name: np.asarray(panel.fields["close" if name in closes else name][row])[at] for name in FIELDS}
    size = max(1, -(-len(at) // limit))
    if size == 1:
        opened, high, low, close, volume = (fields[name] for name in FIELDS)
        return Window(panel.times[at], opened, high, low, close, volume)
    starts = np.arange(0, len(at), size)
    ends = np.minimum(starts + size, len(at)) - 1
    return Window(
        time=panel.times[at[starts]],
        open=fields["open"][starts],
        high=np.maximum.reduceat(fields["high"], starts),
        low=np.minimum.reduceat(fields["low"], starts),
        close=fields["close"][ends],
        volume=np.add.reduceat(np.nan_to_num(fields["volume"]), starts),
        joined=size,
    )


def between(
    panel: BarPanel, at: NDArray[np.int64], start: np.datetime64 | None, end: np.datetime64 | None
) -> NDArray[np.int64]:
    """Return the columns of ``at`` from ``start`` to ``end``, both included."""
    times = panel.times[at]
    low = 0 if start is None else int(np.searchsorted(times, start, "left"))
    high = len(at) if end is None else int(np.searchsorted(times, end, "right"))
    return at[low:high]
