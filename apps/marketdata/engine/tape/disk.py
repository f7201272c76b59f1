"""Trades and books on disk: one immutable folder per content hash, a file per column, memory-mapped.

Beside the folders of bars, in the same manner: written under another name, synced, renamed. What is read goes
through a spool (a file per symbol and column), so that memory stays at one chunk whatever the source's size.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.store import (
    CHANGED,
    MISSING,
    _canonical,
    _move_into_place,
    _no_space_is_a_refusal,
    _sync,
    release,
)
from apps.marketdata.engine.tape.model import CHUNK_ROWS, COLUMNS, LADDER, Tape
from apps.ui.engine.refusal import Refusal

FORMAT = 1
EXTRAS = ("amount",)
META = "meta.json"


@dataclass
class TapeWriter:
    """Takes events in the order of the source, symbol by symbol or mixed, and makes one stored folder of them."""

    spool: Path
    levels: int = 0
    used: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)
    forward: dict[str, bool] = field(default_factory=dict)
    backward: dict[str, bool] = field(default_factory=dict)
    _codes: dict[str, int] = field(default_factory=dict)

    def append(self, symbol: str, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add events of one symbol; every call has the same columns and as many levels."""
        count = len(columns["time"])
        if not count:
            return
        names = tuple(name for name in (*COLUMNS, *EXTRAS, *LADDER) if name in columns)
        if not self.names:
            self.spool.mkdir(parents=True, exist_ok=True)
            self.names = names
            self.levels = columns["bid_price"].shape[1] if "bid_price" in columns else 0
        if self.levels:
            deep = np.flatnonzero((np.isfinite(columns["bid_price"]) | np.isfinite(columns["ask_price"])).any(axis=0))
            self.used = max(self.used, int(deep[-1]) + 1 if len(deep) else 1)
        code = self._codes.setdefault(symbol, len(self._codes))
        with _no_space_is_a_refusal():
            for name in self.names:
                with self._file(code, name).open("ab") as file:
                    file.write(np.ascontiguousarray(columns[name], dtype=_dtype(name)).tobytes())
        self._order(symbol, columns["time"])
        self.rows[symbol] = self.rows.get(symbol, 0) + count

    def _order(self, symbol: str, time: NDArray[Any]) -> None:
        steps = np.diff(time, prepend=self.last.get(symbol, int(time[0])))
        self.forward[symbol] = self.forward.get(symbol, False) or bool((steps > 0).any())
        self.backward[symbol] = self.backward.get(symbol, False) or bool((steps < 0).any())
        self.last[symbol] = int(time[-1])

    def _file(self, code: int, name: str) -> Path:
        return self.spool / f"{code}-{name}.bin"

    @property
    def total(self) -> int:
        """Events taken so far."""
        return sum(self.rows.values())

    def store(self, root: Path, meta: Mapping[str, Any] | None = None) -> Path:
        """Write the folder under ``root`` and return it; equal content is stored once. The spool is removed.

        Trades that came newest first are turned around, levels that no row has are left out. Raises ``Refusal``
        ``disk_full``; nothing is left behind then.
        """
        symbols = sorted(self.rows)
        turned = {name for name in symbols if not self.levels and self.backward[name] and not self.forward[name]}
        self.findings += [Finding("newest_first", "note", name) for name in sorted(turned)]
        temporary = root / f".tape-{uuid.uuid4().hex[:12]}"
        with _no_space_is_a_refusal():
            root.mkdir(parents=True, exist_ok=True)
            try:
                temporary.mkdir()
                digest = self._write(temporary, symbols, turned, dict(meta or {}))
                folder = root / digest
                if not (folder / META).is_file():
                    _move_into_place(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        self.forget()
        return folder

    def forget(self) -> None:
        """Remove the spool."""
        shutil.rmtree(self.spool, ignore_errors=True)

    def _write(self, folder: Path, symbols: list[str], turned: set[str], extra: dict[str, Any]) -> str:
        content = "book" if self.levels else "ticks"
        counts = [self.rows[name] for name in symbols]
        digest = _digest(content, self.used, symbols, counts, exact=bool(extra.get("exact")))
        for name in sorted(self.names):
            shape = (sum(counts), self.used) if name in LADDER else (sum(counts),)
            with (folder / f"{name}.npy").open("wb") as file:
                header = {"descr": _dtype(name).str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_2_0(file, header)
                digest.update(f"\n{name}\n".encode())
                for symbol in symbols:
                    for part in self._parts(symbol, name, reverse=symbol in turned):
                        _put(file, part)
                        _update(digest, name, part)
            _sync(folder / f"{name}.npy")
        code = str(digest.hexdigest())
        document = {
            "format": FORMAT, "content": content, "content_hash": code, "symbols": symbols,
            "counts": counts, "levels": self.used, "columns": list(self.names), **extra,
        }  # fmt: skip
        (folder / META).write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
        _sync(folder / META)
        _sync(folder)
        return code

    def _parts(self, symbol: str, name: str, *, reverse: bool) -> Iterator[NDArray[Any]]:
        """Yield the column of a symbol out of the spool, chunk by chunk, from the end where it is turned around."""
        width = self.levels if name in LADDER else 1
        total, kind = self.rows[symbol], _dtype(name)
        path = self._file(self._codes[symbol], name)
        starts = range(0, total, CHUNK_ROWS)
        for start in reversed(starts) if reverse else starts:
            count = min(CHUNK_ROWS, total - start)
            part = np.fromfile(path, dtype=kind, count=count * width, offset=start * width * kind.itemsize)
            part = part.reshape(count, width)[:, : self.used] if name in LADDER else part
            yield part[::-1] if reverse else part


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(COLUMNS.get(name, "<f8"))


def _put(file: BinaryIO, part: NDArray[Any]) -> None:
    file.write(np.ascontiguousarray(part).tobytes())


def _digest(content: str, levels: int, symbols: list[str], counts: list[int], *, exact: bool) -> Any:
    head = json.dumps([content, levels, symbols, counts, exact])
    return hashlib.sha256(b"tape:%d\n" % FORMAT + head.encode())


def _update(digest: Any, name: str, part: NDArray[Any]) -> None:
    """Add a chunk to the hash; lines are where something was found, not what it says."""
    if name == "line":
        return
    values = _canonical(part) if part.dtype.kind == "f" else np.ascontiguousarray(part)
    digest.update(values.tobytes())


def load_tape(folder: Path, *, name: str = "") -> Tape:
    """Open stored events: columns are memory-mapped and read-only.

    Raises ``Refusal`` ``dataset_missing`` (status 409) where a file is gone or cut.
    """
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        columns = {key: np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False) for key in meta["columns"]}
        offsets = np.concatenate([[0], np.cumsum(meta["counts"])]).astype(np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise Refusal("dataset_missing", MISSING, status=409, dataset=name or folder.name[:12]) from error
    if any(len(values) != offsets[-1] for values in columns.values()):
        raise Refusal("dataset_missing", MISSING, status=409, dataset=name or folder.name[:12])
    return Tape(
        content=meta["content"], symbols=tuple(meta["symbols"]), offsets=offsets, columns=columns,
        levels=int(meta["levels"]), name=name, content_hash=meta["content_hash"], meta=meta,
    )  # fmt: skip


def verify_tape(folder: Path, *, name: str = "") -> None:
    """Read every byte again and compare; raises ``Refusal`` ``dataset_missing`` or ``dataset_changed``."""
    tape = load_tape(folder, name=name)
    digest = _digest(
        tape.content,
        tape.levels,
        list(tape.symbols),
        np.diff(tape.offsets).tolist(),
        exact=bool(tape.meta.get("exact")),
    )
    for key in sorted(tape.columns):
        values = tape.columns[key]
        digest.update(f"\n{key}\n".encode())
        for symbol in tape.symbols:
            first, end = tape.bounds(symbol)
            for start in range(first, end, CHUNK_ROWS):
                _update(digest, key, np.array(values[start : min(start + CHUNK_ROWS, end)]))
        release([values])
    if digest.hexdigest() != folder.name:
        raise Refusal("dataset_changed", CHANGED, status=409, dataset=name or folder.name[:12])
