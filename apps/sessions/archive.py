"""The log of a finished run in files: every event as Parquet, and its curves ready to be drawn.

``log.parquet`` holds the events 1 … ``Session.archived_seq`` as they were written; its SHA-256 is kept in the
row. ``curves.npz`` is what those events add up to, so that a page opens without reading a million points as JSON.
After ``QP_RETENTION_EVENTS_DAYS`` the rows go and the files are read instead.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from apps.sessions.engine.curves import Curves, Series
from apps.sessions.engine.events import EventPayload
from apps.sessions.models import Session, SessionEvent
from apps.sessions.selectors import session_folder

#: Events written or read at a time.
CHUNK = 2000
LOG, CURVES = "log.parquet", "curves.npz"


@dataclass(frozen=True)
class Event:
    """One event as the log keeps it."""

    seq: int
    attempt: int
    created: datetime
    payload: EventPayload


def log_file(session: int) -> Path:
    return session_folder(session) / LOG


def curves_file(session: int) -> Path:
    return session_folder(session) / CURVES


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, read in blocks."""
    found = hashlib.sha256()
    with path.open("rb") as source:
        while block := source.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def write_log(session: int, events: Iterator[Event]) -> str:
    """Write the whole log, in the order of ``seq``, and return its SHA-256; the file appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [("seq", pa.int64()), ("attempt", pa.int32()), ("created", pa.timestamp("us", "UTC")), ("payload", pa.string())]
    )
    path = log_file(session)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        block: list[Event] = []
        for event in events:
            block.append(event)
            if len(block) == CHUNK:
                writer.write_table(_table(block, schema))
                block = []
        if block:
            writer.write_table(_table(block, schema))
    found = digest(partial)
    _settle(partial, path)
    return found


def _table(block: list[Event], schema: Any) -> Any:
    import pyarrow as pa

    return pa.table(
        [[e.seq for e in block], [e.attempt for e in block], [e.created.astimezone(UTC) for e in block],
         [json.dumps(e.payload, ensure_ascii=False, separators=(",", ":")) for e in block]], schema=schema,
    )  # fmt: skip


def _settle(partial: Path, path: Path) -> None:
    """Give a written file its name once its bytes are on the disk."""
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(path)


def read_log(session: int, after: int = 0, limit: int | None = None) -> Iterator[Event]:
    """Yield the archived events behind ``after``, at most ``limit``; none where there is no archive."""
    import pyarrow.parquet as pq

    path = log_file(session)
    if not path.is_file():
        return
    left = limit if limit is not None else -1
    with pq.ParquetFile(path) as source:
        for group in range(source.metadata.num_row_groups):
            newest = source.metadata.row_group(group).column(0).statistics.max
            if newest <= after:
                continue
            for row in source.read_row_group(group).to_pylist():
                if row["seq"] <= after:
                    continue
                if left == 0:
                    return
                left -= 1
                yield Event(row["seq"], row["attempt"], row["created"], json.loads(row["payload"]))


def events_behind(session: Session, after: int, limit: int) -> Sequence[Event | SessionEvent]:
    """Return up to ``limit`` events of the log behind ``after``, in order, wherever they are kept."""
    rows = list(SessionEvent.objects.filter(session=session, seq__gt=after).order_by("seq")[:limit])
    if after >= session.last_seq or (rows and rows[0].seq == after + 1):
        return rows
    kept: list[Event | SessionEvent] = list(read_log(session.pk, after, limit))
    newest = kept[-1].seq if kept else after
    return [*kept, *(row for row in rows if row.seq > newest)][:limit]


def write_curves(session: int, curves: Curves) -> None:
    """Write curves as they stand after ``curves.seq``."""
    keys, parts = [], []
    for (name, seed), series in curves.series.items():
        keys.append({"name": name, "seed": seed, "count": len(series)})
        parts.append(series)
    head = {
        "seq": curves.seq, "keys": keys, "flags": curves.flags, "usage": curves.usage.document(),
    }  # fmt: skip
    path = curves_file(session)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name("curves.partial.npz")
    np.savez(
        partial, head=np.frombuffer(json.dumps(head).encode(), np.uint8),
        **{name: _column(parts, name) for name in ("step", "value", "epoch", "time")},
    )  # fmt: skip
    _settle(partial, path)


def _column(parts: list[Series], name: str) -> Any:
    kind = np.int64 if name == "epoch" else np.float64
    return np.concatenate([np.array(getattr(part, name), kind) for part in parts]) if parts else np.empty(0, kind)


def read_curves(session: int) -> Curves | None:
    """Return archived curves, or None where there are none or their file cannot be read: the log tells them then."""
    path = curves_file(session)
    if not path.is_file():
        return None
    with (
        suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile),
        np.load(io.BytesIO(path.read_bytes())) as kept,
    ):
        head = json.loads(kept["head"].tobytes())
        columns = {name: kept[name] for name in ("step", "value", "epoch", "time")}
        curves, start = Curves(seq=head["seq"], flags=head["flags"]), 0
        curves.usage.restore(head["usage"])
        for key in head["keys"]:
            span = slice(start, start + key["count"])
            start = span.stop
            codes = {"epoch": "q"}
            parts = []
            for name, column in columns.items():
                values: array[Any] = array(codes.get(name, "d"))
                values.frombytes(np.ascontiguousarray(column[span]).tobytes())
                parts.append(values)
            curves.series[key["name"], key["seed"]] = Series(*parts)
        return curves
    return None
