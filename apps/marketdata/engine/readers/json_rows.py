"""Candles as JSON: a list of ``[milliseconds, open, high, low, close, volume]``, or of objects with those names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from apps.marketdata.engine.readers.options import ReadOptions
from apps.marketdata.engine.readers.tables import EMPTY, Table, decode, read_bytes, refuse_unreadable
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

CANDLE = ("timestamp", "open", "high", "low", "close", "volume")
NOT_ROWS = N_("%(file)s is not a list of candles ([time, open, high, low, close, volume] each, or objects).")


def read_json(path: Path, options: ReadOptions) -> Table:
    """Read the list; a row's line is its number, counted from 1. Refuses an empty list (``empty_file``)."""
    rows = json_list(path, options.limit_bytes)
    if all(isinstance(row, list) for row in rows):
        width = len(rows[0])
        if not 5 <= width <= 12 or any(len(row) != width for row in rows):
            raise Refusal("not_bars", NOT_ROWS, field="file", file=path.name)
        header = CANDLE[:width] if width <= 6 else (*CANDLE, *(f"column {at}" for at in range(7, width + 1)))
        columns = [[row[at] for row in rows] for at in range(width)]
    elif all(isinstance(row, dict) for row in rows):
        header = tuple(dict.fromkeys(str(name) for row in rows for name in row))
        columns = [[row.get(name) for row in rows] for name in header]
    else:
        raise Refusal("not_bars", NOT_ROWS, field="file", file=path.name)
    arrays = [pa.chunked_array([pa.array([_cell(value) for value in column], pa.string())]) for column in columns]
    return Table(path.name, header, arrays, np.arange(1, len(rows) + 1, dtype=np.int64))


def json_list(path: Path, limit: int) -> list[Any]:
    """Return the list in the file, refusing anything else."""
    text = decode(read_bytes(path, limit), path.name)
    try:
        rows = json.loads(text)
    except ValueError as error:
        refuse_unreadable(path.name, "JSON", error)
    if isinstance(rows, list) and not rows:
        raise Refusal("empty_file", EMPTY, field="file", file=path.name)
    if not isinstance(rows, list):
        raise Refusal("not_bars", NOT_ROWS, field="file", file=path.name)
    return rows


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
