"""The spool: rows of bars in bucket files by symbol, and the state from which a stopped import goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import RawBars
from apps.marketdata.engine.bars import FIELDS
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.options import MEGABYTE

BLOCK = 16 * MEGABYTE
BUCKETS = 64
TIMES = "times.bin"
KEYS = (("code", "<i4"), ("file", "<i4"), ("time", "<i8"), ("line", "<i8"))


@dataclass
class Spool:
    """What was read so far. All but ``folder`` and what is pending is written to ``state.json``.

    ``file`` is the number of the file it goes on with, ``offset`` where in it (bytes of text, rows of a table),
    ``lines`` how many of its lines came before; ``reading`` what its blocks have told, ``mark`` how it all was when
    that file began. ``schemas`` are lists of fields, each with all of the one before: rows of a bucket lie in one
    file per schema, so that reading those in turn gives the order of the source. ``units`` are shares in a unit of
    volume by file, where they are not one.
    """

    folder: Path
    fingerprint: str = ""
    file: int = 0
    offset: int = 0
    lines: int = 0
    rows: int = 0
    reading: dict[str, Any] = field(default_factory=dict)
    mark: dict[str, Any] = field(default_factory=dict)
    schemas: list[list[str]] = field(default_factory=list)
    sizes: list[list[int]] = field(default_factory=list)
    moments: int = 0
    symbols: list[str] = field(default_factory=list)
    units: dict[str, int] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    daily: list[Any] = field(default_factory=list)
    done: bool = False

    def __post_init__(self) -> None:
        self._codes = {symbol: code for code, symbol in enumerate(self.symbols)}
        self._times = np.sort(np.fromfile(self._times_path, "<i8")) if self._times_path.is_file() else _NONE
        self._pending: list[NDArray[Any]] = []
        self._pending_bytes = 0

    @classmethod
    def opened(cls, folder: Path, fingerprint: str) -> Spool:
        """Go on with the spool in ``folder``, or begin it where there is none of these files."""
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            state = {}
        if state.get("fingerprint") != fingerprint:
            _emptied(folder)
            return cls(folder, fingerprint)
        _cut(folder / TIMES, state["moments"] * 8)
        spool = cls(folder, **state)
        spool._cut_to_state()
        return spool

    def save(self) -> None:
        """Write what is pending, then the state beside its place, and rename it there: it is always whole."""
        self._flush()
        document = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "folder"}
        partial = self.folder / "state.partial"
        partial.write_text(json.dumps(document), encoding="utf-8")
        partial.replace(self.folder / "state.json")

    def begin_file(self) -> None:
        """Remember how all is, so that the file that begins can be begun again."""
        self._flush()
        self.offset = self.lines = 0
        names = ("rows", "moments")
        self.mark = {name: getattr(self, name) for name in names} | {
            "sizes": [list(sizes) for sizes in self.sizes], "symbols": len(self.symbols),
            "findings": len(self.findings), "ignored": len(self.ignored),
        }  # fmt: skip

    def begin_again(self) -> None:
        """Take away what was read of the file, down to the last ``begin_file``."""
        mark, self._pending, self._pending_bytes = self.mark, [], 0
        self.rows, self.moments, self.offset, self.lines = mark["rows"], mark["moments"], 0, 0
        self.sizes = [list(sizes) for sizes in mark["sizes"]]
        self.sizes += [[0] * BUCKETS for _ in self.schemas[len(self.sizes) :]]
        del self.symbols[mark["symbols"] :], self.findings[mark["findings"] :], self.ignored[mark["ignored"] :]
        _cut(self._times_path, self.moments * 8)
        self._cut_to_state()
        self.__post_init__()
        self.reading = {}
        self.save()

    def end_file(self) -> None:
        """The next file is the one to go on with."""
        self.file += 1
        self.offset = self.lines = 0
        self.reading, self.mark = {}, {}

    @property
    def waiting(self) -> int:
        """Bytes of rows that are not written yet."""
        return self._pending_bytes

    def append(self, bars: RawBars, number: int) -> NDArray[np.int32]:
        """Take the rows of file ``number``; returns (N,) the codes of their symbols."""
        codes = self._coded(bars.symbol)
        names = self._schema(bars.fields)
        records = np.empty(len(codes), dtype=dtype_of(names))
        records["code"], records["file"], records["line"] = codes, number, bars.line
        records["time"] = bars.time.astype("datetime64[ns]").astype(np.int64)
        for name in names:
            records[name] = bars.fields.get(name, np.nan)
        if len(records):
            self._pending.append(records)
        self._pending_bytes += records.nbytes
        self.rows += len(records)
        return codes

    def note(self, findings: Sequence[Finding]) -> None:
        """Keep what was found; what several blocks of one file say counts once."""
        begin = self.mark.get("findings", 0)
        for finding in findings:
            document = {
                "check": finding.check, "severity": finding.severity, "symbol": finding.symbol, "line": finding.line,
                "time": None if finding.time is None else str(finding.time.astype("datetime64[ns]")),
                "params": dict(finding.params),
            }  # fmt: skip
            if not self.mark or document not in self.findings[begin:]:
                self.findings.append(document)

    def kept_findings(self) -> tuple[Finding, ...]:
        """Return what was found while reading."""
        return tuple(
            Finding(**{**kept, "time": None if kept["time"] is None else np.datetime64(kept["time"], "ns")})
            for kept in self.findings
        )

    @property
    def is_daily(self) -> bool:
        return not self.daily or bool(self.daily[1])

    @property
    def times(self) -> NDArray[np.int64]:
        """All times, (T,) in order."""
        return self._times

    def bucket(self, schema: int, number: int) -> Path:
        """Return the file of a bucket's rows of one schema."""
        return self.folder / f"bucket-{schema}-{number:02}.bin"

    @property
    def _times_path(self) -> Path:
        return self.folder / TIMES

    def _schema(self, fields: Mapping[str, object]) -> list[str]:
        """Return the fields of the rows to write: those there were and those that these rows bring."""
        held = self.schemas[-1] if self.schemas else []
        new = [name for name in (*FIELDS, *fields) if name in fields and name not in held]
        if new or not self.schemas:
            self._flush()
            self.schemas.append(list(dict.fromkeys([*held, *new])))
            self.sizes.append([0] * BUCKETS)
        return self.schemas[-1]

    def _coded(self, symbols: NDArray[np.object_]) -> NDArray[np.int32]:
        import pandas as pd

        inverse, names = pd.factorize(symbols)
        for name in names:
            if name not in self._codes:
                self._codes[str(name)] = len(self.symbols)
                self.symbols.append(str(name))
        return np.array([self._codes[name] for name in names], dtype=np.int32)[inverse]

    def _flush(self) -> None:
        if not self._pending:
            return
        records = np.concatenate(self._pending) if len(self._pending) > 1 else self._pending[0]
        number = (records["code"] % BUCKETS).astype(np.uint8)
        ordered = records[np.argsort(number, kind="stable")]
        ends = np.cumsum(np.bincount(number, minlength=BUCKETS))
        sizes = self.sizes[-1]
        for bucket, (first, end) in enumerate(zip((0, *ends[:-1]), ends, strict=True)):
            if end > first:
                sizes[bucket] += _append(self.bucket(len(self.schemas) - 1, bucket), ordered[first:end])
        self._add_times(records["time"])
        self._pending, self._pending_bytes = [], 0

    def _add_times(self, times: NDArray[np.int64]) -> None:
        """Keep each time once: a folder of symbols repeats the same ones in every file."""
        found = np.unique(times[np.concatenate([[True], times[1:] != times[:-1]])])
        place = np.minimum(np.searchsorted(self._times, found), max(0, len(self._times) - 1))
        new = found[self._times[place] != found] if len(self._times) else found
        if len(new):
            _append(self._times_path, new)
            self.moments += len(new)
            self._times = np.union1d(self._times, new)

    def _cut_to_state(self) -> None:
        """Take away what was appended after the state was last saved."""
        for schema, sizes in enumerate(self.sizes):
            for number, size in enumerate(sizes):
                _cut(self.bucket(schema, number), size)
        for path in self.folder.glob("bucket-*.bin"):
            if int(path.stem.split("-")[1]) >= len(self.sizes):
                path.unlink()


_NONE = np.array([], dtype=np.int64)


def dtype_of(names: Sequence[str]) -> np.dtype[Any]:
    """Return the record of a row: symbol's code, file's number, time, line, and the fields."""
    return np.dtype([*KEYS, *((name, "<f8") for name in names)])


def _append(path: Path, values: NDArray[Any]) -> int:
    with path.open("ab") as file:
        return file.write(np.ascontiguousarray(values).view(np.uint8).data)


def _emptied(folder: Path) -> None:
    """Remove what lies in a folder, but not the folder: an import may hold its lock."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()


def _cut(path: Path, size: int) -> None:
    if path.is_file() and path.stat().st_size > size:
        with path.open("r+b") as file:
            file.truncate(size)
