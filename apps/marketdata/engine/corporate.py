"""Corporate actions: splits, payouts and the factors that make prices before and after comparable.

``factor`` of an event multiplies the prices *before* its day: 0.5 for a 2:1 split,
(close − cash) / close for a payout. ``ratio`` counts shares after for one before, ``cash`` is
paid per share held before, in the prices' currency. An ``adjustment`` is a step of a vendor's
factor whose parts nobody tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel

Kind = Literal["split", "dividend", "adjustment"]
Mode = Literal["raw", "forward", "backward"]
MODES: tuple[Mode, ...] = ("raw", "forward", "backward")
PRICES = ("open", "high", "low", "close", "vwap", "prev_close", "limit_up", "limit_down")
SHARES = ("volume", "open_interest")
SCHEMA = pa.schema(
    [("symbol", pa.string()), ("day", pa.date32()), ("kind", pa.string()), ("ratio", pa.float64()),
     ("cash", pa.float64()), ("factor", pa.float64()), ("source", pa.string())]
)  # fmt: skip


@dataclass(frozen=True)
class CorporateAction:
    """One event; ``day`` is the ex-day, the first session whose prices trade without the right."""

    symbol: str
    day: np.datetime64
    kind: Kind
    ratio: float = 1.0
    cash: float = 0.0
    factor: float = 1.0
    source: str = ""


def split(symbol: str, day: np.datetime64, ratio: float, source: str = "") -> CorporateAction:
    """Return a split of ``ratio`` shares for one; below one it is a reverse split."""
    return CorporateAction(symbol, day.astype("datetime64[D]"), "split", ratio=ratio, factor=1 / ratio, source=source)


def dividend(symbol: str, day: np.datetime64, cash: float, close: float, source: str = "") -> CorporateAction:
    """Return a payout of ``cash`` a share against the ``close`` before the day."""
    factor = (close - cash) / close
    return CorporateAction(symbol, day.astype("datetime64[D]"), "dividend", cash=cash, factor=factor, source=source)


def in_order(events: Iterable[CorporateAction]) -> tuple[CorporateAction, ...]:
    """Return the events by symbol, day and kind: the one order that is hashed and stored."""
    return tuple(sorted(events, key=lambda e: (e.symbol, e.day, e.kind)))


def cumulative_factors(panel: BarPanel, events: Sequence[CorporateAction], mode: Mode) -> NDArray[np.float64]:
    """Return (S, T) factors for the prices: ``forward`` leaves the newest as traded, ``backward`` the oldest.

    ``forward``: F[t] is the product of the factors of all later events; ``backward``: one over
    the product of those up to and with t. ``raw``: ones.
    """
    factors = np.ones((len(panel.symbols), len(panel.times)))
    if mode == "raw":
        return factors
    rows = {symbol: row for row, symbol in enumerate(panel.symbols)}
    for event in events:
        row = rows.get(event.symbol)
        if row is None:
            continue
        at = int(np.searchsorted(panel.times, event.day.astype("datetime64[ns]")))
        if mode == "forward":
            factors[row, :at] *= event.factor
        else:
            factors[row, at:] /= event.factor
    return factors


def adjusted(panel: BarPanel, events: Sequence[CorporateAction], mode: Mode) -> BarPanel:
    """Return ``panel`` with prices times the factors and volumes divided by them: the money traded stays."""
    if mode == "raw":
        return panel
    factors = cumulative_factors(panel, events, mode)
    fields = {name: _scaled(name, values, factors) for name, values in panel.fields.items()
              if name not in ("adj_close", "factor")}  # fmt: skip
    return BarPanel(
        panel.symbols, panel.times, fields, panel.frequency, panel.currency, panel.name, "", dict(panel.meta)
    )


def _scaled(name: str, values: NDArray[np.float64], factors: NDArray[np.float64]) -> NDArray[np.float64]:
    if name in PRICES:
        return np.asarray(values * factors)
    return np.asarray(values / factors) if name in SHARES else values


def write_events(events: Sequence[CorporateAction], path: Path) -> None:
    """Store events as Parquet."""
    rows = [[getattr(event, name) for event in events] for name in SCHEMA.names]
    rows[1] = [event.day.astype("datetime64[D]").item() for event in events]
    pq.write_table(pa.table(dict(zip(SCHEMA.names, rows, strict=True)), schema=SCHEMA), path)


def read_events(path: Path) -> tuple[CorporateAction, ...]:
    """Return the stored events, none where the file is absent."""
    if not path.is_file():
        return ()
    table = pq.read_table(path).to_pylist()
    return tuple(_event(row) for row in table)


def _event(row: dict[str, Any]) -> CorporateAction:
    return CorporateAction(**{**row, "day": np.datetime64(row["day"], "D")})
