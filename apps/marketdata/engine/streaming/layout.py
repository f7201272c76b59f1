"""From the buckets of a spool to dense arrays on disk: each bucket holds some symbols' rows, whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import duplicate_refusal, duplicates, refuse_sparse, summed
from apps.marketdata.engine.bars import FIELDS, BarPanel
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.options import MEGABYTE, Progress
from apps.marketdata.engine.streaming.filling import SHARE
from apps.marketdata.engine.streaming.spool import BUCKETS, Spool, dtype_of

RECORDS = 500_000
ROW_BYTES = 192 * MEGABYTE
#: Repeated bars of one file that are listed; whoever has more has another trouble than their places.
LISTED = 20_000
#: An array file being written: where its data begins, and the file.
Target = tuple[int, BinaryIO]


def lay_out(
    spool: Spool, files: Sequence[str], on_progress: Progress
) -> tuple[BarPanel, NDArray[np.int64], list[Finding]]:
    """Return the panel, the source's lines (both mapped from files in the spool), and the bars that were repeated."""
    layout = _Layout(spool, files)
    order, shape = layout.order, layout.shape
    refuse_sparse(shape, spool.rows)
    names = list(dict.fromkeys((*FIELDS, *layout.fields)))
    targets = {name: _create(spool.folder / f"{name}.npy", shape, "<f8") for name in names}
    targets["line"] = _create(spool.folder / "lines.npy", shape, "<i8")
    for number in range(BUCKETS):
        layout.bucket(number, targets)
        on_progress(SHARE + (1 - SHARE) * (number + 1) / BUCKETS, files[-1], spool.rows)
    for name in names:
        if name not in layout.fields:
            _nothing(targets[name], shape)
    for _, opened in targets.values():
        opened.close()
    fields = {name: np.load(spool.folder / f"{name}.npy", mmap_mode="r") for name in names}
    panel = BarPanel(
        tuple(spool.symbols[code] for code in order), spool.times.astype("datetime64[ns]"), fields,
    )  # fmt: skip
    return panel, np.load(spool.folder / "lines.npy", mmap_mode="r"), layout.repeated_findings()


class _Layout:
    def __init__(self, spool: Spool, files: Sequence[str]) -> None:
        self.spool, self.files, self.times = spool, files, spool.times
        self.fields = spool.schemas[-1]
        self.order = sorted(range(len(spool.symbols)), key=spool.symbols.__getitem__)
        self.place = {code: row for row, code in enumerate(self.order)}
        self.shape = (len(spool.symbols), len(spool.times))
        self.units = np.ones(len(files))
        for number, unit in spool.units.items():
            self.units[int(number)] = unit
        self._within: list[Finding] = []
        self._across: Counter[tuple[str, str]] = Counter()

    def bucket(self, number: int, targets: dict[str, Target]) -> None:
        """Write the rows of one bucket's symbols, as many fields at once as ``ROW_BYTES`` hold."""
        codes = range(number, self.shape[0], BUCKETS)
        if not codes:
            return
        lines, twice = self._lines(number, len(codes))
        self._write(targets["line"], codes, lines)
        together = max(1, ROW_BYTES // max(1, len(codes) * self.shape[1] * 8))
        for first in range(0, len(self.fields), together):
            group = self.fields[first : first + together]
            rows = self._rows(number, len(codes), group, twice=twice)
            for name in group:
                self._write(targets[name], codes, rows[name])

    def repeated_findings(self) -> list[Finding]:
        """Return the bars that were there twice and said the same."""
        counted = [
            Finding("repeated_file", "note", params={"file": again, "first": first, "count": count})
            for (again, first), count in self._across.items()
        ]
        return self._within + counted

    def _write(self, target: Target, codes: range, rows: NDArray[Any]) -> None:
        start, file = target
        for at, code in enumerate(codes):
            file.seek(start + self.place[code] * self.shape[1] * 8)
            file.write(rows[at].data)

    def _records(self, number: int) -> Iterator[NDArray[Any]]:
        """Yield the rows of a bucket in the order of the source, some at a time."""
        for schema, names in enumerate(self.spool.schemas):
            path, kind = self.spool.bucket(schema, number), dtype_of(names)
            total = path.stat().st_size // kind.itemsize if path.is_file() else 0
            for first in range(0, total, RECORDS):
                yield np.fromfile(path, kind, min(RECORDS, total - first), offset=first * kind.itemsize)

    def _cells(self, part: NDArray[Any]) -> NDArray[np.int64]:
        """Return (N,) places of rows in the bucket's arrays laid flat."""
        row = (part["code"] // BUCKETS).astype(np.int64)
        return row * self.shape[1] + np.searchsorted(self.times, part["time"])

    def _lines(self, number: int, count: int) -> tuple[NDArray[np.int64], bool]:
        """Return (symbols of the bucket, T) lines, and whether a bar is there twice. Refuses where that contradicts."""
        flat, total = np.zeros(count * self.shape[1], dtype=np.int64), 0
        for part in self._records(number):
            flat[self._cells(part)] = part["line"]
            total += len(part)
        twice = np.count_nonzero(flat) != total
        if twice:
            self._settle(number, len(flat))
            flat[:] = 0
            for part in self._records(number):
                _first_wins(flat, self._cells(part), part["line"], flat == 0)
        return flat.reshape(count, self.shape[1]), twice

    def _rows(self, number: int, count: int, group: Sequence[str], *, twice: bool) -> dict[str, NDArray[np.float64]]:
        """Return (symbols of the bucket, T) of some fields; of a bar that is there twice each first value known."""
        flat = {name: np.full(count * self.shape[1], np.nan) for name in group}
        for part in self._records(number):
            cells = self._cells(part)
            for name in group:
                if name not in (part.dtype.names or ()):
                    continue
                values = part[name] * self.units[part["file"]] if name == "volume" else part[name]
                if twice:
                    known = ~np.isnan(values)
                    _first_wins(flat[name], cells[known], values[known], np.isnan(flat[name]))
                else:
                    flat[name][cells] = values
        return {name: values.reshape(count, self.shape[1]) for name, values in flat.items()}

    def _settle(self, number: int, cells: int) -> None:
        """Look at the bars that are there twice, a symbol after the other, as ``assemble`` does."""
        once, twice = np.zeros(cells, dtype=bool), np.zeros(cells, dtype=bool)
        for part in self._records(number):
            found, counts = np.unique(self._cells(part), return_counts=True)
            twice[found] |= once[found] | (counts > 1)
            once[found] = True
        parts = [part[twice[self._cells(part)]] for part in self._records(number)]
        for code in range(number, self.shape[0], BUCKETS):
            chosen = [part[part["code"] == code] for part in parts]
            if any(len(part) for part in chosen):
                self._settle_one(code, chosen)

    def _settle_one(self, code: int, parts: Sequence[NDArray[Any]]) -> None:
        import pandas as pd

        frames = []
        for chosen in parts:
            frame = {name: chosen[name] for name in self.fields if name in (chosen.dtype.names or ())}
            if "volume" in frame:
                frame["volume"] = frame["volume"] * self.units[chosen["file"]]
            keys = {"part": chosen["file"].astype(np.int64), "line": chosen["line"], "time": chosen["time"]}
            frames.append(pd.DataFrame(keys | frame).reindex(columns=["part", "line", "time", *self.fields]))
        table = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
        table["time"] = table["time"].to_numpy().astype("datetime64[ns]")
        table.insert(2, "symbol", self.spool.symbols[code])
        found = duplicates(table, table.duplicated(["symbol", "time"]), self.files)
        wrong = next((finding for finding in found if finding.severity == "error"), None)
        if wrong:
            raise duplicate_refusal(wrong)
        for finding in summed(found):
            if finding.check == "repeated_file":
                self._across[finding.params["file"], finding.params["first"]] += finding.params["count"]
            elif len(self._within) < LISTED:
                self._within.append(finding)


def _first_wins(flat: NDArray[Any], cells: NDArray[np.int64], values: NDArray[Any], free: NDArray[np.bool_]) -> None:
    """Write values where there is none yet; of several for one cell the first."""
    open_ = free[cells]
    flat[cells[open_][::-1]] = values[open_][::-1]


def _create(path: Path, shape: tuple[int, int], kind: str) -> Target:
    """Open a new array file for writing at any place; returns where its data begins."""
    file = path.open("w+b")
    np.lib.format.write_array_header_2_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.tell(), file


def _nothing(target: Target, shape: tuple[int, int]) -> None:
    target[1].seek(target[0])
    row = np.full(shape[1], np.nan).tobytes()
    for _ in range(shape[0]):
        target[1].write(row)
