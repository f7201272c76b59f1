"""Files and folders larger than the memory: block by block into a spool that survives a stop, then rows into arrays.

1. Blocks of whole lines, batches of rows, and files that are small themselves are parsed and appended to one of
   ``BUCKETS`` files by symbol; ``state.json`` says how far it got, so that the next try goes on from there.
2. Each bucket becomes the rows of its symbols, written at their place in ``<field>.npy``.

Memory stays at one block (or one small file) and one bucket's rows, whatever there is to read.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from apps.marketdata.engine.assemble import Imported, frequency_of
from apps.marketdata.engine.readers import check_options, finished, format_of, wanted
from apps.marketdata.engine.readers.folder import open_folder
from apps.marketdata.engine.readers.options import MEGABYTE, Progress, ReadOptions
from apps.marketdata.engine.readers.qlib import is_qlib
from apps.marketdata.engine.streaming.derived import derived
from apps.marketdata.engine.streaming.filling import Filling
from apps.marketdata.engine.streaming.layout import lay_out
from apps.marketdata.engine.streaming.seat import forget, seat
from apps.marketdata.engine.streaming.spool import Spool

__all__ = ["LARGE", "forget", "is_large", "read_streamed", "seat", "space_needed"]

#: Read whole, so much text takes four to five times its size of memory for a while.
LARGE = 128 * MEGABYTE
#: How many times larger a file's text would be, as far as its ending tells.
PACKED, FEATHER, WORKBOOK = 6, 2, 5
CELL = 8
STREAMED = ("csv", "parquet")


def is_large(path: Path, options: ReadOptions) -> bool:
    """Tell whether a file or a folder goes through the spool. Raises ``Refusal`` where there is nothing to read.

    A workbook, JSON or zip is read whole always: alone it does not go through the spool, among others it may.
    """
    if options.lenient or not path.exists() or (options.format in ("auto", "qlib") and is_qlib(path)):
        return False
    if path.is_file() and _kind(path, options) not in STREAMED:
        return False
    return space_needed(path, options) > LARGE


def space_needed(path: Path, options: ReadOptions) -> int:
    """Return about how many bytes the bars of a file or a folder would be as text."""
    files = open_folder(path, lambda file: wanted(file, options)).files
    return sum(_text_bytes(file) for file in files)


def _kind(file: Path, options: ReadOptions) -> str | None:
    if options.format in ("auto", "trademaster"):
        return "csv" if options.format == "trademaster" else format_of(file)
    return options.format


def _text_bytes(file: Path) -> int:
    name, size = file.name.lower(), file.stat().st_size
    if name.endswith((".parquet", ".pq")):
        try:
            meta = pq.read_metadata(file)
        except (pa.ArrowException, OSError, ValueError):
            return size  # reading it says what is wrong
        return int(meta.num_rows) * int(meta.num_columns) * CELL
    packed, book = name.endswith((".gz", ".zip")), name.endswith((".xlsx", ".xlsm"))
    return size * (PACKED if packed else WORKBOOK if book else FEATHER if name.endswith(".feather") else 1)


def read_streamed(path: Path, options: ReadOptions, folder: Path, on_progress: Progress) -> Imported:
    """Read a file or a folder of bars; the panel's arrays are memory-mapped files in ``folder``, a ``seat``.

    ``on_progress`` may raise to stop: what was read stays, and the same call goes on from
    there. Leave the seat when the panel has been stored. Gives what ``read_bars`` gives and raises
    ``Refusal`` as it does.
    """
    check_options(options)
    found = open_folder(path, lambda file: wanted(file, options))
    spool = Spool.opened(folder, _fingerprint(found.files))
    if not spool.done:
        Filling(spool, found.files, options, on_progress).run()
    names = [file.name for file in found.files]
    panel, lines, repeated = lay_out(spool, names, on_progress)
    panel = replace(panel, frequency=frequency_of(panel, daily=spool.is_daily), currency=options.currency)
    panel, events = derived(spool.folder, panel)
    imported = Imported(
        panel, lines, tuple(names), (*spool.kept_findings(), *repeated), tuple(dict.fromkeys(spool.ignored)),
        events=events,
    )  # fmt: skip
    return finished(imported, found, options)


def _fingerprint(files: list[Path]) -> str:
    """Return what changes when any of the files does; a spool of other files begins anew."""
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()
