"""A large file as tables of cells: blocks of whole lines of text, batches of rows of Parquet and Feather."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.columns import numeric_columns
from apps.marketdata.engine.readers.options import MEGABYTE, ReadOptions
from apps.marketdata.engine.readers.tables import (
    BAD_GZIP,
    DELIMITERS,
    Table,
    decode,
    first_line,
    header_of,
    read_cells,
    refuse_unreadable,
)
from apps.marketdata.engine.streaming import spool
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

LONG_LINE = N_("%(file)s, line %(line)s: a line of more than %(limit)s MB is no line of bars.")
MARKS = (b"\xff\xfe", b"\xfe\xff")
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """A part of a file: its cells, where the next part begins, the lines up to there, and the share read so far."""

    table: Table
    offset: int
    lines: int
    share: float


@dataclass
class Head:
    """What the first lines of a text decide for the rest; empty for a file that was not begun."""

    names: tuple[str, ...] = ()
    delimiter: str = ","
    findings: tuple[Finding, ...] = field(default=())

    @classmethod
    def of(cls, document: dict[str, Any]) -> Head:
        return cls(tuple(document["names"]), document["delimiter"]) if document else cls()

    def document(self) -> dict[str, Any]:
        return {"names": list(self.names), "delimiter": self.delimiter}


def in_blocks(file: Path, kind: str | None) -> bool:
    """Tell whether a file is read in blocks: text and Arrow's formats, where it is larger than two of them."""
    if file.stat().st_size <= 2 * spool.BLOCK or kind not in ("csv", "trademaster", "parquet"):
        return False
    if kind == "parquet":
        return file.suffix.lower() != ".feather" or _is_arrow(file)
    with _opened(file) as opened:
        return not opened.read(2).startswith(MARKS)  # lines of UTF-16 cannot be told by their bytes


def _opened(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file)) if file.name.lower().endswith(".gz") else file.open("rb")


def _is_arrow(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(6) == b"ARROW1"


def blocks_of(
    file: Path, kind: str | None, options: ReadOptions, head: Head, offset: int, lines: int
) -> Iterator[Block]:
    """Yield the parts of a file from ``offset`` on, before which ``lines`` lines lie."""
    if kind == "parquet":
        return _tables(file, offset)
    return _texts(file, options, head, offset, lines)


def _texts(file: Path, options: ReadOptions, head: Head, offset: int, lines: int) -> Iterator[Block]:
    total = file.stat().st_size
    with file.open("rb") as raw:
        packed = file.name.lower().endswith(".gz")
        source = cast(BinaryIO, gzip.open(raw)) if packed else raw  # noqa: SIM115 - closed with raw
        try:
            for data, end in _whole_lines(source, offset, file.name, lines):
                table, count = _parsed(data, options, head, file.name, lines)
                lines += count
                yield Block(table, end, lines, min(1.0, raw.tell() / total))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise Refusal("bad_gzip", BAD_GZIP, field="file", file=file.name) from error


def _whole_lines(source: BinaryIO, offset: int, file: str, lines: int) -> Iterator[tuple[bytes, int]]:
    """Yield whole lines from ``offset`` on, with the offset after them."""
    source.seek(offset)
    rest, at = b"", offset
    while chunk := source.read(spool.BLOCK):
        data = rest + chunk if rest else chunk
        cut = data.rfind(b"\n") + 1
        if cut == 0 and len(data) > 2 * spool.BLOCK:
            limit = max(1, 2 * spool.BLOCK // MEGABYTE)
            raise Refusal("row_length", LONG_LINE, field="file", file=file, line=lines + 1, limit=limit)
        rest = data[cut:]
        at += cut
        if cut:
            lines += data.count(b"\n", 0, cut)
            yield data[:cut], at
    if rest.strip():
        yield rest, at + len(rest)


def _parsed(data: bytes, options: ReadOptions, head: Head, file: str, above: int) -> tuple[Table, int]:
    """Return the cells of a block and its number of lines; the first one tells the names of the columns."""
    data = _utf8(data, file, above)
    count = data.count(b"\n") + (not data.endswith(b"\n"))
    if head.names:
        return _split(data, options, head, file, above), count
    text = data.decode()
    start, skipped = first_line(text, file)
    first, _, rest = text[start:].partition("\n")
    head.delimiter = max(DELIMITERS, key=first.count)
    head.names, headed = header_of(
        first, rest.split("\n", 1)[0], head.delimiter, options, file, above + skipped + 1
    )  # fmt: skip
    body, line = (rest, above + skipped + 1) if headed else (text[start:], above + skipped)
    table = _split(body.encode(), options, head, file, line)
    if not headed and not options.columns:
        note = Finding("no_header", "note", params={"columns": ", ".join(head.names)})
        table = replace(table, findings=(note, *table.findings))
    return table, count


def _utf8(data: bytes, file: str, above: int) -> bytes:
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        data.decode()
    except UnicodeDecodeError:
        return decode(data, file, above).encode()
    return data.removeprefix(BOM)


def _split(data: bytes, options: ReadOptions, head: Head, file: str, above: int) -> Table:
    return read_cells(
        data, head.delimiter, head.names, file, above, numeric=numeric_columns(head.names, options.mapping)
    )


def _tables(file: Path, offset: int) -> Iterator[Block]:
    feather = file.suffix.lower() == ".feather"
    try:
        for batch, at, total in _feather(file) if feather else _parquet(file, offset):
            end = at + batch.num_rows
            if end > offset:
                begin = max(at, offset)
                table = pa.Table.from_batches([batch.slice(begin - at)])
                lines = np.arange(begin + 1, end + 1, dtype=np.int64)
                cells = Table(file.name, tuple(table.column_names), table.columns, lines)
                yield Block(cells, end, end, end / total)
    except (pa.ArrowException, OSError, ValueError) as error:
        refuse_unreadable(file.name, "Feather" if feather else "Parquet", error)


def _rows(columns: int) -> int:
    return max(1, spool.BLOCK // (8 * max(1, columns)))


def _parquet(file: Path, offset: int) -> Iterator[tuple[pa.RecordBatch, int, int]]:
    """Yield batches of rows with the number of the row before them and of all; groups before ``offset`` are skipped."""
    with pq.ParquetFile(file, buffer_size=MEGABYTE) as opened:
        meta, at = opened.metadata, 0
        for group in range(meta.num_row_groups):
            count = meta.row_group(group).num_rows
            if at + count <= offset:
                at += count
                continue
            for batch in opened.iter_batches(_rows(meta.num_columns), row_groups=[group]):
                yield batch, at, max(1, meta.num_rows)
                at += batch.num_rows


def _feather(file: Path) -> Iterator[tuple[pa.RecordBatch, int, int]]:
    with pa.OSFile(str(file)) as source, pa.ipc.open_file(source) as opened:
        at, total = 0, opened.num_record_batches
        for number in range(total):
            whole = opened.get_batch(number)
            step = _rows(whole.num_columns)
            for first in range(0, max(1, whole.num_rows), step):
                batch = whole.slice(first, step)
                # How many rows there are in all is not told: the share counts batches.
                yield batch, at, max(1, round((at + batch.num_rows) * total / (number + 1)))
                at += batch.num_rows
