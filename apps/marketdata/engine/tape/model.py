"""Trades and order books in memory: one row per event, in the order of the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

TapeContent = Literal["ticks", "book"]

# What happened: LOBSTER's own numbers, 0 for a stated book and 8 for a change of one or more levels.
SNAPSHOT, ADD, REDUCE, DELETE, TRADE, HIDDEN, CROSS, HALT, UPDATE = range(9)
KINDS = ("snapshot", "add", "reduce", "delete", "trade", "hidden", "cross", "halt", "update")
#: Columns of every row, each (N,): time is ns since 1970 (UTC); side is 1 where the buyer (of a trade) or a buy order
#: is meant, -1 for the seller, 0 unknown; price and size belong to the event, NaN where it has none.
COLUMNS: Mapping[str, str] = {
    "time": "<i8", "line": "<i8", "kind": "<i1", "side": "<i1", "price": "<f8", "size": "<f8", "id": "<i8",
}  # fmt: skip
#: The book after the event, each (N, L), best level first, NaN where there is no such level.
LADDER = ("bid_price", "bid_size", "ask_price", "ask_size")
CHUNK_ROWS = 131_072
NO_SYMBOL = N_("%(symbol)s is not in %(dataset)s. It has %(known)s.")

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Tape:
    """Events of S symbols; those of a symbol lie together, ``offsets`` (S + 1,) says where. Arrays may be mapped."""

    content: TapeContent
    symbols: tuple[str, ...]
    offsets: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]]
    levels: int = 0
    name: str = ""
    content_hash: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of events of all symbols."""
        return int(self.offsets[-1])

    def bounds(self, symbol: str) -> tuple[int, int]:
        """Return first row and row after the last of ``symbol``; ``Refusal`` ``unknown_symbol`` names what there is."""
        if symbol not in self.symbols:
            known = ", ".join(self.symbols[:12]) + ("…" if len(self.symbols) > 12 else "")
            raise Refusal(
                "unknown_symbol", NO_SYMBOL, status=404, field="symbol", symbol=symbol[:40], dataset=self.name or "-",
                known=known,
            )  # fmt: skip
        at = self.symbols.index(symbol)
        return int(self.offsets[at]), int(self.offsets[at + 1])

    def chunks(self, symbol: str, rows: int = CHUNK_ROWS) -> Iterator[tuple[int, Columns]]:
        """Walk over the events of ``symbol``: ordinal of the first row within the symbol, and the columns in memory."""
        first, end = self.bounds(symbol)
        for start in range(first, end, rows):
            stop = min(start + rows, end)
            yield start - first, {name: np.array(values[start:stop]) for name, values in self.columns.items()}

    def row_at(self, symbol: str, moment: np.datetime64) -> int | None:
        """Return the row (in the columns) of the last event at or before ``moment``; None before the first."""
        first, end = self.bounds(symbol)
        stamp = int(moment.astype("datetime64[ns]").astype(np.int64))
        found = int(np.searchsorted(self.columns["time"][first:end], stamp, side="right"))
        return first + found - 1 if found else None


def trades_in(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return (N,) booleans: rows that tell of a trade, also the trades between two stated books."""
    kind = columns["kind"]
    told = (kind == TRADE) | (kind == HIDDEN) | (kind == CROSS) | (kind == SNAPSHOT)
    return np.asarray(told & (columns["size"] > 0) & np.isfinite(columns["price"]))


def empty_columns(rows: int, levels: int) -> Columns:
    """Return columns of ``rows`` events, numbers NaN and codes 0; with a ladder where ``levels`` is not 0."""
    columns: Columns = {
        name: np.full(rows, np.nan) if kind == "<f8" else np.zeros(rows, dtype=kind) for name, kind in COLUMNS.items()
    }
    if levels:
        columns |= {name: np.full((rows, levels), np.nan) for name in LADDER}
    return columns
