"""Files of events as blocks of whole lines or as tables, however they are packed; never a whole file in memory."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from apps.marketdata.engine.readers.options import MEGABYTE, Progress, ReadOptions
from apps.marketdata.engine.readers.tables import BAD_GZIP, DELIMITERS, TOO_LARGE, Table, decode, read_cells
from apps.marketdata.engine.tape.model import CHUNK_ROWS
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

BLOCK = 8 * MEGABYTE
HEAD = 65_536
#: Whoever lowers the limit of ``ReadOptions`` (the wizard does) bounds the unpacked bytes; a command streams any size.
UNBOUNDED = ReadOptions().limit_bytes
BAD_ZIP = N_("%(file)s is not a whole zip file without a password. Fetch it again.")
LONG_LINE = N_("%(file)s, line %(line)s: a line of more than %(limit)s MB is no event.")
TRUNCATED = N_(
    "%(file)s, line %(line)s: the file ends in the middle of a line (%(cells)s of %(expected)s cells). "
    "Nothing was imported; get the whole file."
)
TEXTS = (".csv", ".txt", ".tsv", ".json", ".jsonl", ".ndjson", ".dat", ".data", ".log", "")


@dataclass(frozen=True)
class Source:
    """A file, or one member of a zip."""

    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """The name to show and to recognise by."""
        return PurePosixPath(self.member).name if self.member else self.path.name

    @property
    def ending(self) -> str:
        """The last part of the name that is not about packing: .csv of x.csv.gz."""
        return PurePosixPath(self.name.lower().removesuffix(".gz")).suffix

    @contextmanager
    def open(self) -> Iterator[tuple[BinaryIO, Callable[[], float]]]:
        """Give the unpacked bytes and a function that tells the share read; a broken packing is refused."""
        try:
            with self.path.open("rb") as raw:
                if self.member:
                    with zipfile.ZipFile(raw) as pack, pack.open(self.member) as inner:
                        total = max(1, pack.getinfo(self.member).file_size)
                        stream = cast(BinaryIO, inner)
                        yield stream, lambda: stream.tell() / total
                else:
                    total = max(1, self.path.stat().st_size)
                    packed = self.name.lower().endswith(".gz")
                    stream = cast(BinaryIO, gzip.open(raw)) if packed else raw  # noqa: SIM115 - closed with raw
                    yield stream, lambda: raw.tell() / total
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise Refusal("bad_zip", BAD_ZIP, field="file", file=self.path.name) from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise Refusal("bad_gzip", BAD_GZIP, field="file", file=self.name) from error

    def head(self) -> str:
        """Return the first lines as text, empty where they are none."""
        try:
            with self.open() as (stream, _share):
                data = stream.read(HEAD)
            cut = data.rfind(b"\n") if len(data) == HEAD else len(data)
            return decode(data[:cut] if cut > 0 else data, self.name)
        except (Refusal, OSError):
            return ""


def share_of(on_progress: Progress, at: int, count: int) -> Progress:
    """Return the progress of the ``at``-th of ``count`` parts as the progress of the whole."""

    def told(share: float, what: str, rows: int = 0) -> None:
        on_progress((at + share) / count, what, rows)

    return told


def may_hold_events(path: Path) -> bool:
    """Tell by its name whether a file may be one of messages: what only tapes are kept in."""
    name = path.name.lower().removesuffix(".gz")
    return PurePosixPath(name).suffix in (".jsonl", ".ndjson", ".dat", ".data", ".log") or path.name.endswith(".gz")


def sources_of(path: Path) -> list[Source]:
    """Return what a file, a zip or a folder (not below it) holds, stated books before their changes."""
    if path.is_dir():
        found = [Source(file) for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
    elif path.name.lower().endswith(".zip"):
        found = _members(path)
    else:
        found = [Source(path)]
    return sorted(found, key=lambda source: (not re.search("snap", source.name, re.IGNORECASE), source.name))


def _members(path: Path) -> list[Source]:
    try:
        with zipfile.ZipFile(path) as pack:
            return [Source(path, item.filename) for item in pack.infolist() if not item.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise Refusal("bad_zip", BAD_ZIP, field="file", file=path.name) from error


def blocks(source: Source, options: ReadOptions, on_progress: Progress, size: int = BLOCK) -> Iterator[tuple[str, int]]:
    """Yield whole lines as text, with the number of the first line."""
    with source.open() as (stream, share):
        rest, line, read = b"", 1, 0
        while chunk := stream.read(size):
            read += len(chunk)
            if read > options.limit_bytes and options.limit_bytes < UNBOUNDED:
                limit = options.limit_bytes // MEGABYTE
                raise Refusal("file_too_large", TOO_LARGE, status=413, field="file", file=source.name, limit=limit)
            data = rest + chunk
            cut = data.rfind(b"\n") + 1
            if not cut and len(data) > 4 * size:
                limit = 4 * size // MEGABYTE
                raise Refusal("row_length", LONG_LINE, field="file", file=source.name, line=line, limit=limit)
            rest = data[cut:]
            if cut:
                yield _text(data[:cut], source), line
                line += data.count(b"\n", 0, cut)
            on_progress(share(), source.name, line - 1)
        if rest.strip():
            yield _text(rest, source), line


def _text(data: bytes, source: Source) -> str:
    return decode(data, source.name).replace("\r\n", "\n").replace("\r", "\n")


def tables(
    source: Source, options: ReadOptions, on_progress: Progress, names: tuple[str, ...] = (), *, delimiter: str = ""
) -> Iterator[Table]:
    """Yield the rows as tables of a bounded size; ``names`` are the columns of text without a header."""
    if source.ending in (".parquet", ".pq", ".feather", ".arrow"):
        yield from _arrow(source, on_progress)
        return
    for text, line in blocks(source, options, on_progress):
        body, above = text, line - 1
        if not names:
            while body and (not body.split("\n", 1)[0].strip() or body.startswith("#")):
                body, above = body.partition("\n")[2], above + 1
            first, _, body = body.partition("\n")
            delimiter = max(DELIMITERS, key=first.count)
            names, above = tuple(cell.strip().strip('"') for cell in first.split(delimiter)), above + 1
        delimiter = delimiter or max(DELIMITERS, key=body.split("\n", 1)[0].count)
        if not body.strip():
            continue
        table = read_cells(body, delimiter, names, source.name, above)
        cut = next((finding for finding in table.findings if finding.check == "truncated_file"), None)
        if cut is not None:
            raise Refusal("truncated_file", TRUNCATED, field="file", file=source.name, line=cut.line, **cut.params)
        yield table


def _arrow(source: Source, on_progress: Progress) -> Iterator[Table]:
    """Parquet by its row groups, Feather by its batches; a row's line is its number, counted from 1."""
    from apps.marketdata.engine.readers.tables import refuse_unreadable

    at = 0
    try:
        if source.ending in (".parquet", ".pq"):
            file = pq.ParquetFile(source.path)
            batches, total = file.iter_batches(batch_size=CHUNK_ROWS), max(1, file.metadata.num_rows)
        else:
            whole = pyarrow.feather.read_table(source.path, memory_map=True)
            batches, total = iter(whole.to_batches(max_chunksize=CHUNK_ROWS)), max(1, whole.num_rows)
        for batch in batches:
            piece = pa.Table.from_batches([batch])
            lines = np.arange(at + 1, at + 1 + piece.num_rows, dtype=np.int64)
            at += piece.num_rows
            on_progress(at / total, source.name, at)
            yield Table(source.name, tuple(piece.column_names), piece.columns, lines)
    except (pa.ArrowException, OSError, ValueError) as error:
        refuse_unreadable(source.name, "Parquet" if source.ending in (".parquet", ".pq") else "Feather", error)
