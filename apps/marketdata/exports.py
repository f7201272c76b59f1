"""Datasets as files: CSV, Parquet, Arrow, Qlib's folder; raw or adjusted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import MODES, Mode
from apps.marketdata.engine.store import long_table
from apps.marketdata.models import Dataset, Frequency
from apps.marketdata.selectors import dataset_adjusted
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

TYPES = {
    "csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
}  # fmt: skip
BAD_FORMAT = N_("%(format)s is not a format to export. Choose csv, parquet, arrow or qlib.")
BAD_MODE = N_("%(mode)s is not a way to adjust. Choose raw, forward or backward.")
THERE = N_("%(path)s is there already. Choose another name.")


def chosen_mode(text: str) -> Mode:
    """Return the adjustment of a query or command line; empty is raw."""
    mode = next((known for known in MODES if known == (text or "raw")), None)
    if mode is None:
        raise Refusal("bad_mode", BAD_MODE, field="mode", mode=text[:20])
    return mode


def export_table(dataset: Dataset, *, symbol: str = "", mode: Mode = "raw") -> pa.Table:
    """Return the bars in long format; times are days for daily bars, UTC otherwise."""
    panel: BarPanel = dataset_adjusted(dataset, mode)
    table = long_table(panel.select([symbol]) if symbol else panel)
    table = table.set_column(0, "symbol", table["symbol"].cast(pa.string()))
    daily = dataset.frequency in (Frequency.DAY, Frequency.WEEK)
    kind = pa.date32() if daily else pa.timestamp("ns", tz="UTC")
    moved = table["time"].cast(pa.timestamp("s")).cast(kind) if daily else table["time"].cast(kind)
    return table.set_column(1, "time", moved)


def export_bytes(table: pa.Table, kind: str) -> bytes:
    """Return the table as a file of ``kind``: csv, parquet or arrow (IPC file)."""
    if kind not in TYPES:
        raise Refusal("bad_format", BAD_FORMAT, field="format", format=kind[:20])
    buffer = io.BytesIO()
    if kind == "csv":
        daily = pa.types.is_date(table["time"].type)
        text = table.to_pandas().to_csv(index=False, date_format=None if daily else "%Y-%m-%dT%H:%M:%SZ")
        return text.encode()
    elif kind == "parquet":
        pq.write_table(table, buffer, compression="zstd")
    else:
        pyarrow.feather.write_feather(table, buffer, compression="zstd")
    return buffer.getvalue()


def export_file(dataset: Dataset, path: Path, *, kind: str, mode: Mode = "raw", symbol: str = "") -> dict[str, Any]:
    """Write a new file, whole or not at all; returns rows, bytes and path."""
    if path.exists():
        raise Refusal("path_not_empty", THERE, status=409, path=str(path))
    table = export_table(dataset, symbol=symbol, mode=mode)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(export_bytes(table, kind))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return {"dataset": str(dataset), "path": str(path), "rows": table.num_rows, "bytes": path.stat().st_size}
