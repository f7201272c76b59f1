"""The first events of a source, read as the import reads them, without storing anything."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.readers.options import ReadOptions, no_progress
from apps.marketdata.engine.tape import READERS, check_source, tape_format
from apps.marketdata.engine.tape.disk import TapeWriter
from apps.marketdata.engine.tape.model import KINDS

SIDES = {1: "buy", -1: "sell"}
#: The best level on both sides, after the event.
BEST = ("bid_size", "bid_price", "ask_price", "ask_size")


class _Enough(Exception):
    """As many events were seen as were wanted."""


@dataclass
class _Head(TapeWriter):
    """Takes events as a writer does, keeps the first as text, and stops the reading then."""

    wanted: int = 8
    header: tuple[str, ...] = ()
    kept: list[tuple[str, ...]] = field(default_factory=list)

    def append(self, symbol: str, columns: Mapping[str, NDArray[Any]]) -> None:
        if not len(columns["time"]):
            return
        book = "bid_price" in columns
        self.header = ("time", "symbol", *(("kind",) if book else ()), "side", "price", "size", *(BEST if book else ()))
        for at in range(min(len(columns["time"]), self.wanted - len(self.kept))):
            self.kept.append(tuple(_cell(name, symbol, columns, at) for name in self.header))
        if len(self.kept) == self.wanted:
            raise _Enough


def _cell(name: str, symbol: str, columns: Mapping[str, NDArray[Any]], at: int) -> str:
    match name:
        case "symbol":
            return symbol
        case "time":
            return str(np.datetime_as_string(columns["time"][at].astype("datetime64[ns]"), unit="us"))
        case "kind":
            return KINDS[int(columns["kind"][at])]
        case "side":
            return SIDES.get(int(columns["side"][at]), "")
    value = float(np.ravel(columns[name][at])[0]) if np.size(columns[name][at]) else np.nan
    return f"{value:.10g}" if np.isfinite(value) else ""


def first_events(path: Path, options: ReadOptions, count: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return names and texts of up to ``count`` events, of a book with its best level; no names where there is none.

    Times are UTC; kinds and sides are codes (``KINDS``, ``SIDES``). Raises what ``read_tape`` raises so far.
    """
    check_source(path, options)
    head = _Head(path.parent, wanted=count)  # It writes nothing: the folder is never used.
    with contextlib.suppress(_Enough):
        READERS[tape_format(path, options) or "ticks"](path, options, head, no_progress)
    return head.header, head.kept
