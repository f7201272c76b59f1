"""Files as tables of cells: text with a delimiter, Parquet and Feather, Excel; gzip around any text."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.feather
import pyarrow.parquet as pq
from numpy.typing import NDArray

from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.columns import is_header, numeric_columns
from apps.marketdata.engine.readers.dialects import guess_columns, with_clock
from apps.marketdata.engine.readers.numbers import shorten
from apps.marketdata.engine.readers.options import MEGABYTE, ReadOptions
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

EMPTY = N_("%(file)s is empty. Choose a file with a header and rows.")
TOO_LARGE = N_("%(file)s is larger than %(limit)s MB when unpacked. Split it, or import it by command.")
BAD_GZIP = N_("%(file)s is not a whole gzip file. Fetch it again.")
BAD_TEXT = N_("%(file)s, line %(line)s: the text is neither UTF-8 nor GB18030. Save the file as UTF-8.")
NO_HEADER = N_(
    "%(file)s, line %(line)s: “%(value)s” is not a header. Put a line like date,open,high,low,close,volume first, "
    "or name the columns of the import."
)
ROW_LENGTH = N_(
    "%(file)s, line %(line)s has %(cells)s cells, but %(expected)s columns are named. "
    "Add what is missing in the line or the name in the header."
)
UNREADABLE = N_("%(file)s cannot be read as %(format)s: %(reason)s. Fetch or save it again.")
DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """Cells of one file: column names, one array per column, the line of each row."""

    file: str
    header: tuple[str, ...]
    columns: Sequence[pa.ChunkedArray]
    lines: NDArray[np.int64]
    findings: tuple[Finding, ...] = ()
    decimal_comma: bool = False


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the file's bytes, unpacked; refuses more than ``limit`` of them and a broken gzip."""
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            data = file.read(limit + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Refusal("bad_gzip", BAD_GZIP, field="file", file=path.name) from error
    if len(data) > limit:
        raise Refusal("file_too_large", TOO_LARGE, status=413, field="file", file=path.name, limit=limit // MEGABYTE)
    return data


def decode(data: bytes, file: str, above: int = 0) -> str:
    """Return the text: by its byte order mark, else UTF-8, else GB18030 (which contains GBK).

    ``above`` lines came before, for the line of a refusal.
    """
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    encodings = ["utf-16"] if marked else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            line = above + data.count(b"\n", 0, error.start) + 1
    raise Refusal("bad_encoding", BAD_TEXT, field="file", file=file, line=line)


def read_text(path: Path, options: ReadOptions) -> Table:
    """Read delimited text; every line must have as many cells as the header, but a cut last one."""
    text = decode(read_bytes(path, options.limit_bytes), path.name).replace("\r\n", "\n").replace("\r", "\n")
    start, above = first_line(text, path.name)
    first = text[start:].split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    rest = text[start + len(first) + 1 :]
    names, headed = header_of(first, rest.split("\n", 1)[0], delimiter, options, path.name, above + 1)
    body, line = (rest, above + 1) if headed else (text[start:], above)
    table = read_cells(body, delimiter, names, path.name, line, numeric=numeric_columns(names, options.mapping))
    if headed or options.columns:
        return table
    note = Finding("no_header", "note", params={"columns": ", ".join(names)})
    return replace(table, findings=(note, *table.findings))


def header_of(
    first: str, second: str, delimiter: str, options: ReadOptions, file: str, line: int
) -> tuple[tuple[str, ...], bool]:
    """Return the names of the columns and whether the first line holds them; refuse where nothing tells."""
    if options.columns:
        return options.columns, False
    header = tuple(cell.strip() for cell in next(csv.reader([first], delimiter=delimiter)))
    if is_header(header) or not _looks_like_data(header):
        return with_clock(header, second, delimiter), True
    guessed = guess_columns(first, delimiter)
    if not guessed:
        raise Refusal("no_header", NO_HEADER, field="file", file=file, line=line, value=shorten(first))
    return guessed, False


def first_line(text: str, file: str) -> tuple[int, int]:
    """Return the offset of the first line that is neither blank nor a comment, and the lines above it."""
    start = above = 0
    for line in text.split("\n"):
        if line.strip() and not line.startswith("#"):
            return start, above
        start, above = start + len(line) + 1, above + 1
    raise Refusal("empty_file", EMPTY, field="file", file=file)


def _looks_like_data(cells: Sequence[str]) -> bool:
    return any(cell[:1].isdigit() for cell in cells)


def read_cells(
    body: str | bytes, delimiter: str, names: Sequence[str], file: str, above: int, *, cut: bool | None = None,
    numeric: Collection[int] = (),
) -> Table:  # fmt: skip
    """Split text (as bytes: UTF-8) into cells; columns at ``numeric`` come as doubles where every cell is a number."""
    odd: list[pcsv.InvalidRow] = []
    data = body if isinstance(body, bytes) else body.encode()

    def keep(row: pcsv.InvalidRow) -> str:
        odd.append(row)
        return "skip"

    positions = [str(position) for position in range(len(names))]
    kinds = {name: pa.float64() if at in numeric else pa.string() for at, name in enumerate(positions)}
    try:
        table = pcsv.read_csv(
            pa.BufferReader(data),
            pcsv.ReadOptions(column_names=positions, use_threads=False),
            pcsv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=keep),
            pcsv.ConvertOptions(column_types=kinds, strings_can_be_null=False, null_values=[""]),
        )
    except pa.ArrowInvalid as error:
        if numeric and "Empty CSV" not in str(error):
            # A word, a thousands separator, a broken line: as text the cell can be cleaned, or named.
            return read_cells(data, delimiter, names, file, above, cut=cut)
        if "Empty CSV" not in str(error):
            refuse_unreadable(file, "CSV", error)
        table = pa.table({name: pa.array([], pa.string()) for name in positions})
    numbers = np.arange(1, table.num_rows + len(odd) + 1)
    lines = np.delete(numbers, [row.number - 1 for row in odd]) + above if odd else numbers + above
    table, lines = _without_blank(table, lines)
    findings = _odd_rows(odd, names, file, above, cut=cut is not False and not data.endswith(b"\n"))
    comma = delimiter == ";"
    return Table(file, tuple(names), table.columns, lines, findings, decimal_comma=comma)


def _without_blank(table: pa.Table, lines: NDArray[np.int64]) -> tuple[pa.Table, NDArray[np.int64]]:
    """Drop lines without a single filled cell."""
    blank = _empty(table.columns[0])
    for column in table.columns[1:]:
        if not pc.any(blank).as_py():
            return table, lines
        blank = pc.and_(blank, _empty(column))
    keep = np.asarray(pc.invert(blank))
    return table.filter(pa.array(keep)), lines[keep]


def _empty(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.equal(column, "") if pa.types.is_string(column.type) else pc.is_null(column)


def _odd_rows(
    odd: Sequence[pcsv.InvalidRow], names: Sequence[str], file: str, above: int, *, cut: bool
) -> tuple[Finding, ...]:
    """Blank lines pass, a cut last line is two findings, any other length is refused."""
    filled = [row for row in odd if row.text.strip()]
    last = filled[-1] if filled and cut and filled[-1].actual_columns < len(names) and filled[-1] is odd[-1] else None
    wrong = next((row for row in filled if row is not last), None)
    if wrong is not None:
        raise Refusal(
            "row_length", ROW_LENGTH, field="file", file=file, line=wrong.number + above,
            cells=wrong.actual_columns, expected=len(names), value=shorten(wrong.text),
        )  # fmt: skip
    if last is None:
        return ()
    line, absent = last.number + above, ", ".join(names[last.actual_columns - 1 :][:6])
    cells = {"cells": last.actual_columns, "expected": len(names)}
    return (
        Finding("truncated_file", "error", line=line, params=cells),
        Finding("missing_value", "error", line=line, params={"columns": absent}),
    )


def refuse_unreadable(file: str, name: str, error: Exception) -> None:
    """Refuse a file that its library cannot read."""
    reason = shorten(str(error).splitlines()[0] if str(error) else type(error).__name__)
    raise Refusal("unreadable_file", UNREADABLE, field="file", file=file, format=name, reason=reason) from error


def read_arrow(path: Path, options: ReadOptions) -> Table:
    """Read Parquet or Feather; a row's line is its number, counted from 1."""
    feather = path.suffix.lower() == ".feather"
    try:
        table = pyarrow.feather.read_table(path) if feather else pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        refuse_unreadable(path.name, "Feather" if feather else "Parquet", error)
    lines = np.arange(1, table.num_rows + 1, dtype=np.int64)
    return Table(path.name, tuple(table.column_names), table.columns, lines)


def read_excel(path: Path, options: ReadOptions) -> Table:
    """Read the first sheet of a workbook; its first filled row is the header."""
    from openpyxl import load_workbook

    try:
        book = load_workbook(path, read_only=True, data_only=True)
        rows = [[_cell(value) for value in row] for row in book.worksheets[0].iter_rows(values_only=True)]
        book.close()
    except Exception as error:  # noqa: BLE001  openpyxl raises whatever its XML and zip readers do
        refuse_unreadable(path.name, "Excel", error)
    top = next((at for at, row in enumerate(rows) if any(row)), None)
    if top is None:
        raise Refusal("empty_file", EMPTY, field="file", file=path.name)
    width = max(position for position, cell in enumerate(rows[top]) if cell) + 1
    filled = [(at, row) for at, row in enumerate(rows) if at > top and any(row)]
    columns = [
        pa.chunked_array([[row[at] if at < len(row) else "" for _, row in filled]], pa.string()) for at in range(width)
    ]
    lines = np.array([at + 1 for at, _ in filled], dtype=np.int64)
    return Table(path.name, tuple(rows[top][:width]), columns, lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)
