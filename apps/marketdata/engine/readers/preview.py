"""The first rows of a file and what its columns seem to mean, before anything is imported."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from apps.marketdata.engine.assemble import RawBars
from apps.marketdata.engine.readers import check_options, format_of, wanted
from apps.marketdata.engine.readers.columns import NAMES, meanings, plain
from apps.marketdata.engine.readers.folder import open_folder
from apps.marketdata.engine.readers.json_rows import read_json
from apps.marketdata.engine.readers.lean import read_lean
from apps.marketdata.engine.readers.options import ReadOptions
from apps.marketdata.engine.readers.qlib import first_of_qlib, is_qlib
from apps.marketdata.engine.readers.rows import to_bars
from apps.marketdata.engine.readers.tables import (
    BAD_GZIP,
    DELIMITERS,
    Table,
    decode,
    first_line,
    header_of,
    read_cells,
    read_excel,
    refuse_unreadable,
)
from apps.marketdata.engine.tape import tape_format
from apps.marketdata.engine.tape.head import first_events
from apps.ui.engine.refusal import Refusal

HEAD_BYTES = 256 * 1024
ROWS = 8
MEANINGS = tuple(name for name in NAMES if not name.endswith("_cents"))


@dataclass(frozen=True)
class Preview:
    """Names of the columns, the first rows as text, column → meaning, a fingerprint of the header.

    ``file`` is the first file of a folder, whose columns are those of the others; ``fixed`` that its format names the
    columns.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    meanings: Mapping[str, str]
    fingerprint: str
    file: str = ""
    fixed: bool = False


def preview(path: Path, options: ReadOptions) -> Preview | None:
    """Return the head of a table, of the first file of a folder or symbol of a bundle, of trades or of a book.

    None for a file whose format its name does not tell. Raises ``Refusal`` for what cannot be read, ``no_files`` for a
    folder without files of bars.
    """
    if tape_format(path, options):
        return _tape(path, options)
    if options.format == "qlib" or (options.format == "auto" and path.exists() and is_qlib(path)):
        return _bars(first_of_qlib(path, options))
    if path.is_dir():
        first = open_folder(path, lambda file: wanted(file, options)).files[0]
        found = preview(first, options)
        return replace(found, file=first.name) if found else None
    kind = options.format if options.format != "auto" else format_of(path)
    if kind is None:
        return None
    if kind == "lean":
        return _bars(read_lean(path, options))
    table = {"parquet": _arrow, "excel": read_excel, "json": read_json}.get(kind or "", _text)(path, options)
    columns = [column.slice(0, ROWS).cast(pa.string()).to_pylist() for column in table.columns]
    rows = tuple(tuple("" if cell is None else str(cell)[:40] for cell in row) for row in zip(*columns, strict=True))
    known = {table.header[at]: name for name, at in meanings(table.header, options.mapping).items()}
    return Preview(table.header, rows, known, fingerprint(table.header))


def _tape(path: Path, options: ReadOptions) -> Preview:
    header, rows = first_events(path, options, ROWS)
    return Preview(header, tuple(rows), {name: name for name in header}, fingerprint(header), fixed=True)


def _bars(bars: RawBars | None) -> Preview:
    """Return the head of bars whose format names the columns; of a bundle without any bar an empty one."""
    if bars is None:
        return Preview((), (), {}, fingerprint(()), fixed=True)
    header = ("time", "symbol", *bars.fields)
    times = bars.time[:ROWS].astype("datetime64[D]" if bars.daily else "datetime64[s]").astype(str)
    values = [[f"{value:.10g}" for value in values[:ROWS]] for values in bars.fields.values()]
    rows = zip(times.tolist(), bars.symbol[:ROWS].tolist(), *values, strict=True)
    return Preview(header, tuple(rows), {name: name for name in header}, fingerprint(header), fixed=True)


def check_head(path: Path, options: ReadOptions) -> None:
    """Refuse at once what is wrong with the options, the columns or the first rows; the rest is for the import."""
    check_options(options)
    kind = options.format if options.format != "auto" else format_of(path)
    reader = READERS.get(kind or "")
    if reader and not path.is_dir():
        to_bars(reader(path, options), options)


def fingerprint(header: tuple[str, ...]) -> str:
    """Return what files of one source share: the SHA-256 of their plain column names."""
    return hashlib.sha256("\n".join(plain(name) for name in header).encode()).hexdigest()


def _text(path: Path, options: ReadOptions) -> Table:
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Refusal("bad_gzip", BAD_GZIP, field="file", file=path.name) from error
    if len(head) == HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head
    text = decode(head, path.name).replace("\r\n", "\n").replace("\r", "\n")
    start, above = first_line(text, path.name)
    lines = text[start:].split("\n", ROWS + 1)
    delimiter = max(DELIMITERS, key=lines[0].count)
    second = lines[1] if len(lines) > 1 else ""
    names, headed = header_of(lines[0], second, delimiter, options, path.name, above + 1)
    body = "\n".join(lines[1 if headed else 0 : ROWS + 1]) + "\n"
    return read_cells(body, delimiter, names, path.name, above + headed)


def _arrow(path: Path, options: ReadOptions) -> Table:
    try:
        if path.suffix.lower() == ".feather":
            table = pyarrow.feather.read_table(path, memory_map=True).slice(0, ROWS)
        else:
            file = pq.ParquetFile(path)
            batch = next(file.iter_batches(batch_size=ROWS), None)
            table = pa.Table.from_batches([batch] if batch is not None else [], file.schema_arrow)
    except (pa.ArrowException, OSError, ValueError) as error:
        refuse_unreadable(path.name, "Parquet", error)
    return Table(path.name, tuple(table.column_names), table.columns, pa.array(range(table.num_rows)).to_numpy())


def _head_of_excel(path: Path, options: ReadOptions) -> Table:
    table = read_excel(path, options)
    columns = [column.slice(0, ROWS) for column in table.columns]
    return replace(table, columns=columns, lines=table.lines[:ROWS])


#: Only what ``to_bars`` reads in the end; other formats find their own mistakes.
READERS = {"csv": _text, "trademaster": _text, "parquet": _arrow, "excel": _head_of_excel}
