"""Text larger than the memory: block by block into a spool that survives a stop, then row by row into arrays.

1. Blocks of whole lines are parsed and appended to one of ``BUCKETS`` files by symbol;
   ``state.json`` says how far it got, so that the next try goes on from there.
2. Each bucket becomes the rows of its symbols, written at their place in ``<field>.npy``.

Memory stays at one block and one bucket's rows, whatever the file's size.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import DUPLICATE, EMPTY, Imported, RawBars, frequency_of, stamped_at_end
from apps.marketdata.engine.bars import FIELDS, BarPanel
from apps.marketdata.engine.corporate import CorporateAction, in_order
from apps.marketdata.engine.derive import EVENT_FIELDS, events_of, volume_unit, vwap_means_something, vwap_parts
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.folder import open_folder
from apps.marketdata.engine.readers.numbers import shorten
from apps.marketdata.engine.readers.options import MEGABYTE, Progress, ReadOptions
from apps.marketdata.engine.readers.rows import to_bars
from apps.marketdata.engine.readers.tables import BAD_GZIP, DELIMITERS, _cells, decode, header_of
from apps.marketdata.engine.store import walk
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

BLOCK = 16 * MEGABYTE
BUCKETS = 64
RECORDS = 500_000
FEW_CELLS = 4_000_000
ROW_BYTES = 192 * MEGABYTE
LARGE, LARGE_PACKED = 256 * MEGABYTE, 48 * MEGABYTE
LONG_LINE = N_("%(file)s, line %(line)s: a line of more than %(limit)s MB is no line of bars.")
MIXED_COLUMNS = N_("%(file)s, line %(line)s: “%(value)s” begins another table. Split the file there.")


@dataclass
class Spool:
    """Where a stopped import goes on: bytes and lines read, what the first block decided, symbols by code."""

    folder: Path
    offset: int = 0
    lines: int = 0
    names: tuple[str, ...] = ()
    delimiter: str = ","
    unit: int = 1
    daily: bool | None = None
    fields: tuple[str, ...] = ()
    symbols: list[str] | None = None
    sizes: list[int] | None = None
    done: bool = False

    def save(self) -> None:
        """Write the state beside its place and rename it there: it is always whole."""
        document = {name: value for name, value in self.__dict__.items() if name != "folder"}
        partial = self.folder / "state.partial"
        partial.write_text(json.dumps(document), encoding="utf-8")
        partial.replace(self.folder / "state.json")


def is_large(path: Path) -> bool:
    """Tell whether a text file goes through the spool."""
    packed = path.name.lower().endswith(".gz")
    return path.is_file() and path.stat().st_size > (LARGE_PACKED if packed else LARGE)


def read_streamed(path: Path, options: ReadOptions, spool_root: Path, on_progress: Progress) -> Imported:
    """Read one large text file of bars; the panel's arrays are memory-mapped files in the spool.

    ``on_progress`` may raise to stop: what was read stays, and the same call goes on from
    there. Call ``forget`` when the panel has been stored. Raises ``Refusal`` as ``read_bars`` does.
    """
    spool = _open_spool(path, options, spool_root)
    if not spool.done:
        _fill(spool, path, options, on_progress)
    times = np.unique(np.fromfile(spool.folder / "times.bin", dtype="<i8"))
    panel, lines = _dense(spool, times, path.name, on_progress)
    count = max(1, min(20, FEW_CELLS // max(1, len(times))))
    few = BarPanel(panel.symbols[:count], panel.times, {"close": panel.fields["close"][:count]})
    frequency = frequency_of(few, daily=bool(spool.daily))
    notes = (Finding("volume_in_lots", "note", params={"unit": spool.unit}),) if spool.unit > 1 else ()
    panel, events = _derived(spool, replace(panel, frequency=frequency, currency=options.currency))
    membership = open_folder(path, lambda _file: True).membership
    imported = Imported(panel, lines, (path.name,), notes, events=events, membership=membership)
    return stamped_at_end(imported) if options.stamp == "start" else imported


def forget(path: Path, options: ReadOptions, spool_root: Path) -> None:
    """Remove the spool of a finished import."""
    shutil.rmtree(_folder(path, options, spool_root), ignore_errors=True)


def _folder(path: Path, options: ReadOptions, root: Path) -> Path:
    stat = path.stat()
    key = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {options}"
    return root / hashlib.sha256(key.encode()).hexdigest()[:32]


def _open_spool(path: Path, options: ReadOptions, root: Path) -> Spool:
    folder = _folder(path, options, root)
    state = folder / "state.json"
    if state.is_file():
        spool = Spool(folder, **json.loads(state.read_text(encoding="utf-8")))
        spool.names, spool.fields = tuple(spool.names), tuple(spool.fields)
        _cut_to_state(spool)
        return spool
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Spool(folder, symbols=[], sizes=[0] * (BUCKETS + 1))


def _cut_to_state(spool: Spool) -> None:
    """Take away what was appended after the state was last saved."""
    for number, size in enumerate(spool.sizes or ()):
        path = _bucket(spool, number)
        if path.is_file() and path.stat().st_size > size:
            with path.open("r+b") as file:
                file.truncate(size)


def _bucket(spool: Spool, number: int) -> Path:
    return spool.folder / ("times.bin" if number == BUCKETS else f"bucket-{number:02}.bin")


def _fill(spool: Spool, path: Path, options: ReadOptions, on_progress: Progress) -> None:
    total = path.stat().st_size
    with path.open("rb") as raw:
        packed = path.name.lower().endswith(".gz")
        source = cast(BinaryIO, gzip.open(raw)) if packed else raw  # noqa: SIM115 - closed with raw
        try:
            for block, end in _blocks(source, spool, path.name):
                _block(spool, block, path.name, options)
                spool.offset = end
                spool.save()
                on_progress(0.8 * min(1.0, raw.tell() / total), path.name, spool.lines)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise Refusal("bad_gzip", BAD_GZIP, field="file", file=path.name) from error
    if not sum((spool.sizes or [0])[:BUCKETS]):
        raise Refusal("no_bars", EMPTY, field="file", file=path.name)
    spool.done = True
    spool.save()


def _blocks(source: BinaryIO, spool: Spool, file: str) -> Iterator[tuple[bytes, int]]:
    """Yield whole lines from where the spool stands, with the offset after them."""
    source.seek(spool.offset)
    rest, at = b"", spool.offset
    while chunk := source.read(BLOCK):
        data = rest + chunk
        cut = data.rfind(b"\n") + 1
        if cut == 0 and len(data) > 2 * BLOCK:
            limit = 2 * BLOCK // MEGABYTE
            raise Refusal("row_length", LONG_LINE, field="file", file=file, line=spool.lines + 1, limit=limit)
        rest = data[cut:]
        at += cut
        if cut:
            yield data[:cut], at
    if rest.strip():
        yield rest, at + len(rest)


def _block(spool: Spool, data: bytes, file: str, options: ReadOptions) -> None:
    """Parse one block and append its rows to their buckets."""
    text = decode(data, file).replace("\r\n", "\n").replace("\r", "\n")
    count = text.count("\n") + (not text.endswith("\n"))
    body, above = text, spool.lines
    if not spool.names:
        first, _, rest = text.partition("\n")
        spool.delimiter = max(DELIMITERS, key=first.count)
        second = rest.split("\n", 1)[0]
        spool.names, headed = header_of(first, second, spool.delimiter, options, file, 1)
        body, above = (rest, 1) if headed else (text, 0)
    table = _cells(body, spool.delimiter, spool.names, file, above)
    cut = next((finding for finding in table.findings if finding.check == "truncated_file"), None)
    if cut is not None:
        from apps.marketdata.engine.readers import TRUNCATED

        raise Refusal("truncated_file", TRUNCATED, field="file", file=file, line=cut.line, **cut.params)
    if len(table.lines):
        known = replace(options, volume_unit=spool.unit, daily=spool.daily) if spool.fields else options
        bars = to_bars(table, known)
        if not spool.fields:
            _decide(spool, bars, options)
        _append(spool, bars, file)
    spool.lines += count


def _decide(spool: Spool, bars: RawBars, options: ReadOptions) -> None:
    """The first block decides what holds for all: daily or not, lots or shares, which fields there are."""
    lots = any(finding.check == "volume_in_lots" for finding in bars.findings)
    spool.unit = options.volume_unit or (100 if lots else volume_unit(bars.fields))
    spool.daily = bars.daily
    spool.fields = tuple(dict.fromkeys(name for name in (*FIELDS, *bars.fields) if name in bars.fields))


def _dtype(spool: Spool) -> np.dtype[Any]:
    return np.dtype([("code", "<i4"), ("time", "<i8"), ("line", "<i8"), *((name, "<f8") for name in spool.fields)])


def _append(spool: Spool, bars: RawBars, file: str) -> None:
    symbols, sizes = spool.symbols or [], spool.sizes or []
    if set(spool.fields) - set(bars.fields):
        raise Refusal("duplicate_column", MIXED_COLUMNS, field="file", file=file, line=int(bars.line[0]),
                      value=shorten(", ".join(bars.fields)))  # fmt: skip
    names, inverse = np.unique(bars.symbol.astype(str), return_inverse=True)
    known = {symbol: code for code, symbol in enumerate(symbols)}
    for name in names:
        if str(name) not in known:
            known[str(name)] = len(symbols)
            symbols.append(str(name))
    codes = np.array([known[str(name)] for name in names], dtype=np.int32)[inverse]
    records = np.empty(len(codes), dtype=_dtype(spool))
    records["code"], records["line"] = codes, bars.line
    records["time"] = bars.time.astype("datetime64[ns]").astype(np.int64)
    for name in spool.fields:
        records[name] = bars.fields[name]
    for number in np.unique(codes % BUCKETS):
        sizes[int(number)] += _write(_bucket(spool, int(number)), records[codes % BUCKETS == number].tobytes())
    sizes[BUCKETS] += _write(_bucket(spool, BUCKETS), np.unique(records["time"]).astype("<i8").tobytes())
    spool.symbols, spool.sizes = symbols, sizes


def _write(path: Path, data: bytes) -> int:
    with path.open("ab") as file:
        return file.write(data)


def _dense(
    spool: Spool, times: NDArray[np.int64], file: str, on_progress: Progress
) -> tuple[BarPanel, NDArray[np.int64]]:
    """Lay the buckets out as rows of one array per field, symbols in order."""
    symbols = spool.symbols or []
    order = sorted(range(len(symbols)), key=symbols.__getitem__)
    place = {code: row for row, code in enumerate(order)}
    shape = (len(symbols), len(times))
    names = dict.fromkeys((*FIELDS, *spool.fields))
    arrays = {name: _create(spool.folder / f"{name}.npy", shape, "<f8") for name in names}
    lines = _create(spool.folder / "lines.npy", shape, "<i8")
    for number in range(BUCKETS):
        codes = list(range(number, len(symbols), BUCKETS))
        per_field = max(1, len(codes) * shape[1] * 8)
        together = max(1, ROW_BYTES // per_field)
        wanted = ["line", *spool.fields]
        for first in range(0, len(wanted), together):
            group = wanted[first : first + together]
            rows = _rows(spool, number, codes, times, group, file)
            for name in group:
                target = lines if name == "line" else arrays[name]
                for at, code in enumerate(codes):
                    target[1].seek(target[0] + place[code] * shape[1] * 8)
                    target[1].write(rows[name][at].tobytes())
        on_progress(0.8 + 0.2 * (number + 1) / BUCKETS, file, spool.lines)
    for name in names:
        if name not in spool.fields:
            _nothing(arrays[name], shape)
    for _, opened in (*arrays.values(), lines):
        opened.close()
    fields = {name: np.load(spool.folder / f"{name}.npy", mmap_mode="r") for name in names}
    panel = BarPanel(tuple(symbols[code] for code in order), times.astype("datetime64[ns]"), fields)
    return panel, np.load(spool.folder / "lines.npy", mmap_mode="r")


def _derived(spool: Spool, panel: BarPanel) -> tuple[BarPanel, tuple[CorporateAction, ...]]:
    """Return what ``assemble`` derives, symbol by symbol: vwap where amounts are known, and the events bars tell of."""
    events: list[CorporateAction] = []
    inside = known = told = 0
    priced = {"amount", "volume"} <= set(panel.fields) and "vwap" not in panel.fields
    for row in walk(list(panel.fields.values())):
        one = {name: np.asarray(values[row : row + 1]) for name, values in panel.fields.items()}
        events += events_of(replace(panel, symbols=panel.symbols[row : row + 1], fields=one))
        if priced:
            price, within = vwap_parts(one)
            told += int(np.isfinite(one["amount"]).sum())
            inside, known = inside + int(within.sum()), known + int(np.isfinite(price).sum())
    fields = {name: values for name, values in panel.fields.items() if name not in EVENT_FIELDS}
    if priced and told and vwap_means_something(inside, known):
        path = spool.folder / "vwap.npy"
        target = np.lib.format.open_memmap(path, "w+", dtype="<f8", shape=panel.fields["close"].shape)
        for row in walk([*fields.values(), target]):
            price, within = vwap_parts({name: np.asarray(values[row]) for name, values in fields.items()})
            target[row] = np.where(within, price, np.nan)
        target.flush()
        fields["vwap"] = np.load(path, mmap_mode="r")
    return replace(panel, fields=fields), in_order(events)


def _create(path: Path, shape: tuple[int, int], kind: str) -> tuple[int, BinaryIO]:
    """Open a new array file for writing at any place; returns where its data begins."""
    file = path.open("w+b")
    np.lib.format.write_array_header_2_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.tell(), file


def _nothing(target: tuple[int, BinaryIO], shape: tuple[int, int]) -> None:
    target[1].seek(target[0])
    row = np.full(shape[1], np.nan).tobytes()
    for _ in range(shape[0]):
        target[1].write(row)


def _rows(
    spool: Spool, number: int, codes: list[int], times: NDArray[np.int64], group: list[str], file: str
) -> dict[str, NDArray[Any]]:
    """Return the rows of the bucket's symbols for some fields; a repeated bar is refused where lines are laid."""
    shape = (len(codes), len(times))
    rows = {name: np.zeros(shape, np.int64) if name == "line" else np.full(shape, np.nan) for name in group}
    path, kind = _bucket(spool, number), _dtype(spool)
    total = path.stat().st_size // kind.itemsize if path.is_file() else 0
    for first in range(0, total, RECORDS):
        part = np.fromfile(path, dtype=kind, count=min(RECORDS, total - first), offset=first * kind.itemsize)
        row, column = part["code"] // BUCKETS, np.searchsorted(times, part["time"])
        if "line" in rows:
            _refuse_repeated(spool, rows["line"], row, column, part, file)
        for name in group:
            rows[name][row, column] = part[name]
    return rows


def _refuse_repeated(
    spool: Spool,
    lines: NDArray[np.int64],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    part: NDArray[Any],
    file: str,
) -> None:
    cells = row.astype(np.int64) * lines.shape[1] + column
    before = lines[row, column] > 0
    _, first = np.unique(cells, return_index=True)
    again = np.ones(len(cells), dtype=bool)
    again[first] = False
    wrong = np.flatnonzero(before | again)
    if not len(wrong):
        return
    at = int(wrong[0])
    earlier = int(lines[row[at], column[at]]) or int(part["line"][cells == cells[at]][0])
    time = np.datetime64(int(part["time"][at]), "ns").astype("datetime64[s]")
    symbol = (spool.symbols or [])[int(part["code"][at])]
    raise Refusal(
        "duplicate_bar", DUPLICATE, field="file", file=file, line=int(part["line"][at]), symbol=symbol,
        time=str(time).removesuffix("T00:00:00"), first_line=earlier, first_file=file,
    )  # fmt: skip
