"""Dated membership of a universe, so that a test never knows who will survive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel

SCHEMA = pa.schema([("universe", pa.string()), ("symbol", pa.string()), ("start", pa.date32()), ("end", pa.date32())])


@dataclass(frozen=True)
class Membership:
    """``symbol`` belongs to ``universe`` from ``start`` to ``end``, both included."""

    universe: str
    symbol: str
    start: np.datetime64
    end: np.datetime64


def in_order(spans: Iterable[Membership]) -> tuple[Membership, ...]:
    """Return the spans in the one order that is hashed and stored."""
    return tuple(sorted(spans, key=lambda span: (span.universe, span.symbol, span.start)))


def member_mask(panel: BarPanel, spans: Sequence[Membership], universe: str = "") -> NDArray[np.bool_]:
    """Return (S, T) booleans: who belongs on which day; ``universe`` empty means the only or first one.

    Without any span everybody belongs always.
    """
    if not spans:
        return np.ones((len(panel.symbols), len(panel.times)), dtype=bool)
    wanted = universe or spans[0].universe
    mask = np.zeros((len(panel.symbols), len(panel.times)), dtype=bool)
    rows = {symbol: row for row, symbol in enumerate(panel.symbols)}
    days = panel.times.astype("datetime64[D]")
    for span in spans:
        row = rows.get(span.symbol)
        if row is not None and span.universe == wanted:
            mask[row, np.searchsorted(days, span.start, "left") : np.searchsorted(days, span.end, "right")] = True
    return mask


def universes(spans: Sequence[Membership]) -> dict[str, dict[str, int]]:
    """Return for each universe how many symbols it ever had and in how many spans."""
    names = dict.fromkeys(span.universe for span in spans)
    return {
        name: {
            "members": len({span.symbol for span in spans if span.universe == name}),
            "spans": sum(span.universe == name for span in spans),
        }
        for name in names
    }


def write_membership(spans: Sequence[Membership], path: Path) -> None:
    """Store spans as Parquet."""
    columns = {
        "universe": [span.universe for span in spans],
        "symbol": [span.symbol for span in spans],
        "start": [span.start.astype("datetime64[D]").item() for span in spans],
        "end": [span.end.astype("datetime64[D]").item() for span in spans],
    }
    pq.write_table(pa.table(columns, schema=SCHEMA), path)


def read_membership(path: Path) -> tuple[Membership, ...]:
    """Return the stored spans, none where the file is absent."""
    if not path.is_file():
        return ()
    return tuple(
        Membership(row["universe"], row["symbol"], np.datetime64(row["start"], "D"), np.datetime64(row["end"], "D"))
        for row in pq.read_table(path).to_pylist()
    )
