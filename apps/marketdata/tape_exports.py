"""Trades and books as files: CSV, Parquet, Arrow; written chunk by chunk, so that memory stays small."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from apps.marketdata.engine.store import release
from apps.marketdata.engine.tape import Tape
from apps.marketdata.engine.tape.view import rows_between, table_of
from apps.marketdata.exports import BAD_FORMAT, THERE, TYPES
from apps.marketdata.historical import BACKWARDS, parse_moment
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_tape
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

CHUNK = 65_536
#: Numbers in one answer over HTTP; a file by command has no limit.
CELLS = 20_000_000
TOO_MANY = N_(
    "%(rows)s events of %(levels)s levels are too many for one answer. Choose a symbol and a shorter span, or use the "
    "command export_data."
)


def tape_bytes(dataset: Dataset, kind: str, *, symbol: str = "", start: str = "", end: str = "") -> bytes:
    """Return the events of a span as a file; refuses (413) what is too large for one answer."""
    tape, spans = _chosen(dataset, kind, symbol, start, end)
    rows = sum(last - first for _, first, last in spans)
    if rows * (8 + 4 * tape.levels) > CELLS:
        raise Refusal("too_many_rows", TOO_MANY, status=413, rows=f"{rows:,}", levels=tape.levels)
    buffer = io.BytesIO()
    _write(tape, spans, buffer, kind)
    return buffer.getvalue()


def tape_file(
    dataset: Dataset, path: Path, *, kind: str, symbol: str = "", start: str = "", end: str = ""
) -> dict[str, Any]:
    """Write a new file, whole or not at all; returns rows, bytes and path."""
    if path.exists():
        raise Refusal("path_not_empty", THERE, status=409, path=str(path))
    tape, spans = _chosen(dataset, kind, symbol, start, end)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            rows = _write(tape, spans, file, kind)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return {"dataset": str(dataset), "path": str(path), "rows": rows, "bytes": path.stat().st_size}


Spans = list[tuple[str, int, int]]


def _chosen(dataset: Dataset, kind: str, symbol: str, start: str, end: str) -> tuple[Tape, Spans]:
    if kind not in TYPES:
        raise Refusal("bad_format", BAD_FORMAT, field="format", format=kind[:20])
    first, last = parse_moment(start, "start"), parse_moment(end, "end", last=True)
    if first is not None and last is not None and last < first:
        raise Refusal("bad_date", BACKWARDS, field="end", start=start[:40], end=end[:40])
    tape = dataset_tape(dataset)
    return tape, rows_between(tape, [symbol] if symbol else tape.symbols, first, last)


def _tables(tape: Tape, spans: Spans) -> Iterator[pa.Table]:
    any_rows = False
    for symbol, first, end in spans:
        for start in range(first, end, CHUNK):
            any_rows = True
            yield table_of(tape, symbol, start, min(start + CHUNK, end))
            release(tape.columns.values())
    if not any_rows:
        yield table_of(tape, spans[0][0] if spans else "", 0, 0)


def _write(tape: Tape, spans: Spans, sink: IO[bytes], kind: str) -> int:
    rows, writer = 0, None
    for table in _tables(tape, spans):
        if writer is None:
            writer = _writer(sink, table.schema, kind)
        writer.write_table(table)
        rows += table.num_rows
    cast(Any, writer).close()
    return rows


def _writer(sink: IO[bytes], schema: pa.Schema, kind: str) -> Any:
    if kind == "parquet":
        return pq.ParquetWriter(sink, schema, compression="zstd")
    if kind == "csv":
        sink.write((",".join(schema.names) + "\n").encode())
        plain = pcsv.WriteOptions(include_header=False, quoting_style="needed")
        return pcsv.CSVWriter(sink, schema, write_options=plain)
    return pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))
