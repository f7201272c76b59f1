"""Datasets on disk: one immutable folder per content hash.

``<root>/<content_hash>/`` holds ``bars.parquet`` (long format, for people and other tools),
``times.npy`` and one dense ``<field>.npy`` (symbols x times, float64) per field, memory-mapped
on load, ``lines.npy`` where the source had lines, ``events.parquet`` (corporate actions) and
``membership.parquet`` (dated universes) where there are any, and ``meta.json``. A folder is
written beside its place, synced and renamed: it is there whole or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from apps.marketdata.engine import corporate, universe
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction
from apps.marketdata.engine.universe import Membership
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

FORMAT = 1
FLOAT = np.dtype("<f8")
EVENTS, MEMBERSHIP = "events.parquet", "membership.parquet"
ROW_GROUP_CELLS = 1_000_000
#: So much of memory-mapped arrays is read before their pages are let go of.
RELEASE_BYTES = 64 * 1024 * 1024
MISSING = N_("The files of dataset %(dataset)s are gone from the disk. Import it again.")
CHANGED = N_(
    "The files of dataset %(dataset)s were changed after the import: the content hash differs. Import it again."
)
DISK_FULL = N_("The disk is full: the dataset was not stored. Free some space and import it again.")


def content_hash(panel: BarPanel, events: Sequence[CorporateAction] = (), membership: Sequence[Membership] = ()) -> str:
    """Return the SHA-256 of the content: symbols, times, fields, events and membership, whatever their order was."""
    order = sorted(range(len(panel.symbols)), key=lambda row: panel.symbols[row])
    digest = hashlib.sha256(b"bars:%d\n" % FORMAT)
    digest.update(json.dumps([panel.symbols[row] for row in order]).encode())
    digest.update(panel.times.astype("datetime64[ns]").astype("<i8").tobytes())
    for name in sorted(panel.fields):
        digest.update(f"\n{name}\n".encode())
        for place in walk([panel.fields[name]]):
            digest.update(_canonical(panel.fields[name][order[place]]).tobytes())
    for event in corporate.in_order(events):
        numbers = [repr(float(number)) for number in (event.ratio, event.cash, event.factor)]
        digest.update(f"\nevent {event.symbol} {event.day} {event.kind} {' '.join(numbers)}".encode())
    for span in universe.in_order(membership):
        digest.update(f"\nmember {span.universe} {span.symbol} {span.start} {span.end}".encode())
    return digest.hexdigest()


def release(arrays: Iterable[NDArray[Any]]) -> None:
    """Let go of the pages of memory-mapped arrays that were read, so that memory stays small; they are read again."""
    for array in arrays:
        mapped = getattr(array, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def walk(arrays: Sequence[NDArray[Any]]) -> Iterator[int]:
    """Yield the numbers of the rows of (S, T) arrays; between them pages that were read are let go of.

    So a walk over mapped arrays takes ``RELEASE_BYTES`` and a row's bytes of memory, however large they are.
    """
    rows = max((len(array) for array in arrays), default=0)
    row_bytes = sum(array.nbytes // max(1, len(array)) for array in arrays)
    step = max(1, RELEASE_BYTES // max(1, row_bytes))
    for row in range(rows):
        yield row
        if row % step == step - 1 or row == rows - 1:
            release(arrays)


def _canonical(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return little-endian doubles with one bit pattern for NaN and one for zero."""
    array = np.array(values, dtype=FLOAT)
    array[np.isnan(array)] = np.nan
    array[array == 0.0] = 0.0
    return array


def write_panel(
    panel: BarPanel,
    root: Path,
    *,
    lines: NDArray[np.int64] | None = None,
    meta: Mapping[str, Any] | None = None,
    events: Sequence[CorporateAction] = (),
    membership: Sequence[Membership] = (),
) -> Path:
    """Store ``panel`` under ``root`` and return its folder; equal content is stored once.

    ``lines`` (S, T) are the source's line numbers, 0 where there is none. Raises ``Refusal``
    ``disk_full``; nothing is left behind then.
    """
    events, membership = corporate.in_order(events), universe.in_order(membership)
    digest = content_hash(panel, events, membership)
    folder = root / digest
    if (folder / "meta.json").is_file():
        return folder
    with _no_space_is_a_refusal():
        root.mkdir(parents=True, exist_ok=True)
        temporary = root / f".{digest[:16]}-{uuid.uuid4().hex[:8]}"
        try:
            temporary.mkdir()
            _fill_annexes(temporary, events, membership)
            _fill(temporary, panel, digest, lines, dict(meta or {}))
            _move_into_place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _fill_annexes(folder: Path, events: Sequence[CorporateAction], membership: Sequence[Membership]) -> None:
    if events:
        corporate.write_events(events, folder / EVENTS)
        _sync(folder / EVENTS)
    if membership:
        universe.write_membership(membership, folder / MEMBERSHIP)
        _sync(folder / MEMBERSHIP)


def _fill(folder: Path, panel: BarPanel, digest: str, lines: NDArray[np.int64] | None, extra: dict[str, Any]) -> None:
    _save(folder / "times.npy", panel.times.astype("datetime64[ns]").astype("<i8"))
    for name, array in panel.fields.items():
        _save(folder / f"{name}.npy", array)
    if lines is not None:
        _save(folder / "lines.npy", lines)
    write_long(panel, folder / "bars.parquet")
    _sync(folder / "bars.parquet")
    meta = {
        "format": FORMAT, "content_hash": digest, "symbols": list(panel.symbols), "fields": list(panel.fields),
        "frequency": panel.frequency, "currency": panel.currency, "times": len(panel.times), **extra,
    }  # fmt: skip
    path = folder / "meta.json"
    path.write_text(json.dumps(meta, indent=1, ensure_ascii=False), encoding="utf-8")
    _sync(path)
    _sync(folder)


def _save(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:
        kind = FLOAT if array.dtype.kind == "f" else np.dtype("<i8") if array.dtype.kind == "i" else array.dtype
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_2_0(file, header)
        # Row by row: a memory-mapped array larger than the memory goes through as well.
        rows = (array[row] for row in walk([array])) if array.ndim > 1 else [array]
        for row in rows:
            file.write(np.ascontiguousarray(row, dtype=kind).tobytes())
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows has no handle on a folder to sync.
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _move_into_place(temporary: Path, folder: Path) -> None:
    if folder.exists() and not (folder / "meta.json").is_file():
        shutil.rmtree(folder)  # left by a disaster outside our hands; the content is the same by its name
    try:
        temporary.rename(folder)
    except OSError:
        # Another process stored the same content first: its folder is as good as ours.
        if not (folder / "meta.json").is_file():
            raise
    _sync(folder.parent)


@contextmanager
def _no_space_is_a_refusal() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refusal("disk_full", DISK_FULL, status=507) from error
        raise


def long_table(panel: BarPanel) -> pa.Table:
    """Return the bars in long format: symbol, time and the fields, one row per bar."""
    present = bar_mask(panel)
    rows, columns = np.nonzero(present)
    symbols = pa.DictionaryArray.from_arrays(
        pa.array(rows.astype(np.int32)), pa.array(list(panel.symbols), pa.string())
    )
    arrays = {"symbol": symbols, "time": pa.array(panel.times[columns].astype("datetime64[ns]"))}
    for name, values in panel.fields.items():
        arrays[name] = pa.array(np.asarray(values)[present], from_pandas=True)
    return pa.table(arrays)


def write_long(panel: BarPanel, path: Path, *, cells: int = 0) -> None:
    """Write the long format as Parquet, a few symbols (``cells``) at a time, so that memory stays small."""
    step = max(1, (cells or ROW_GROUP_CELLS) // max(1, len(panel.times)))
    writer: pq.ParquetWriter | None = None
    try:
        for first in range(0, len(panel.symbols), step):
            part = BarPanel(
                panel.symbols[first : first + step], panel.times,
                {name: values[first : first + step] for name, values in panel.fields.items()},
            )  # fmt: skip
            table = long_table(part)
            table = table.set_column(0, "symbol", table["symbol"].cast(pa.string()))
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            release(panel.fields.values())
    finally:
        if writer is not None:
            writer.close()


def bar_mask(panel: BarPanel) -> NDArray[np.bool_]:
    """Return (S, T) booleans: where the symbol has a bar, that is any finite field."""
    mask = np.zeros((len(panel.symbols), len(panel.times)), dtype=bool)
    for row in walk(list(panel.fields.values())):
        mask[row] = row_mask(panel, row)
    return mask


def row_mask(panel: BarPanel, row: int) -> NDArray[np.bool_]:
    """Return (T,) booleans: where this symbol has a bar."""
    mask = np.zeros(len(panel.times), dtype=bool)
    for values in panel.fields.values():
        mask |= ~np.isnan(values[row])
    return mask


def load_panel(folder: Path, *, name: str = "") -> BarPanel:
    """Open a stored dataset: arrays are memory-mapped and read-only.

    Raises ``Refusal`` ``dataset_missing`` (status 409) where a file is gone or cut.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        times = np.load(folder / "times.npy").astype("datetime64[ns]")
        fields = {field: _open(folder / f"{field}.npy") for field in meta["fields"]}
    except (OSError, ValueError, KeyError) as error:
        raise Refusal("dataset_missing", MISSING, status=409, dataset=name or folder.name[:12]) from error
    return BarPanel(
        symbols=tuple(meta["symbols"]), times=times, fields=fields, frequency=meta["frequency"],
        currency=meta["currency"], name=name, content_hash=meta["content_hash"], meta=meta,
    )  # fmt: skip


def _open(path: Path) -> NDArray[np.float64]:
    array: NDArray[np.float64] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def load_lines(folder: Path) -> NDArray[np.int64] | None:
    """Return the source's line numbers (S, T), 0 where there is none; None where they were not kept."""
    path = folder / "lines.npy"
    return np.load(path, mmap_mode="r", allow_pickle=False) if path.is_file() else None


def load_events(folder: Path) -> tuple[CorporateAction, ...]:
    """Return the corporate actions of a stored dataset, by symbol and day; none where it has none."""
    return corporate.read_events(folder / EVENTS)


def load_membership(folder: Path) -> tuple[Membership, ...]:
    """Return who belongs to which universe from when to when; none where the dataset knows none."""
    return universe.read_membership(folder / MEMBERSHIP)


def verify_hash(folder: Path, *, name: str = "") -> None:
    """Read every byte again and compare; raises ``Refusal`` ``dataset_missing`` or ``dataset_changed``."""
    panel = load_panel(folder, name=name)
    if content_hash(panel, load_events(folder), load_membership(folder)) != folder.name:
        raise Refusal("dataset_changed", CHANGED, status=409, dataset=name or folder.name[:12])


def folder_size(folder: Path) -> int:
    """Return the bytes a stored dataset takes."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
