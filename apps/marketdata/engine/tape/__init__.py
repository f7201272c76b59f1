"""Trades and order books: LOBSTER, Binance's depth and trades, vendors' snapshots, tables of ticks.

``tape_format`` tells whether a path holds them, ``read_tape`` stores them. What is read goes straight to the disk,
chunk by chunk; a refusal names the file, the line, the column, the value and the cure, and leaves nothing behind.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.options import Progress, ReadOptions, no_progress
from apps.marketdata.engine.tape.disk import TapeWriter, load_tape, verify_tape
from apps.marketdata.engine.tape.lobster import ZONE, is_lobster, read_lobster
from apps.marketdata.engine.tape.messages import is_depth, read_messages
from apps.marketdata.engine.tape.model import Tape
from apps.marketdata.engine.tape.snapshots import is_snapshots, read_snapshots
from apps.marketdata.engine.tape.sources import sources_of
from apps.marketdata.engine.tape.trades import is_trades, read_trades
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

__all__ = ["TAPE_FORMATS", "ReadTape", "Tape", "load_tape", "read_tape", "tape_format", "verify_tape"]

Reader = Callable[[Path, ReadOptions, TapeWriter, Progress], None]
READERS: Mapping[str, Reader] = {
    "lobster": read_lobster, "binance_depth": read_messages, "snapshots": read_snapshots, "ticks": read_trades,
}  # fmt: skip
TAPE_FORMATS = tuple(READERS)
LEVELS = (1, 1000)
EMPTY = N_("%(file)s: there is not a single event in it. Choose a file of trades or of an order book.")
BAD_LEVELS = N_("%(levels)s is no number of levels. Choose 1 to 1000.")
GONE = N_("%(file)s is not there.")
UNKNOWN_ZONE = N_("%(zone)s is not a time zone. Write it like UTC, America/New_York or Asia/Shanghai.")


@dataclass(frozen=True)
class ReadTape:
    """A stored folder with what is known about its source."""

    folder: Path
    format: str
    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    time_zone: str


def tape_format(path: Path, options: ReadOptions) -> str | None:
    """Return which of ``TAPE_FORMATS`` reads ``path``; None where it holds no events, or is said to be bars."""
    if options.format in TAPE_FORMATS:
        return options.format
    if options.format != "auto" or not path.exists():
        return None
    if is_lobster(path):
        return "lobster"
    sources = sources_of(path) if not path.is_dir() else []
    # A folder is read as bars unless its format is named: its first file need not be like the others.
    for source in sources[:1]:
        if source.path.name.lower().endswith((".xlsx", ".xlsm", ".tar", ".tar.gz", ".tar.xz", ".zst")):
            return None
        if is_depth(source):
            return "binance_depth"
        if is_snapshots(source):
            return "snapshots"
        if is_trades(source):
            return "ticks"
    return None


def read_tape(
    path: Path, options: ReadOptions, root: Path, spool: Path, on_progress: Progress = no_progress
) -> ReadTape:
    """Read a file, a zip or a folder of events and store it under ``root``; ``spool`` is a folder for the time being.

    ``on_progress`` may raise to stop: nothing is left behind then. Raises ``Refusal``.
    """
    check_source(path, options)
    kind = tape_format(path, options) or "ticks"
    writer = TapeWriter(spool / f"tape-{uuid.uuid4().hex}")
    try:
        READERS[kind](path, options, writer, on_progress)
        if not writer.total:
            raise Refusal("no_events", EMPTY, field="file", file=path.name)
        folder = writer.store(root, {"exact": kind == "lobster"})
    finally:
        writer.forget()
    on_progress(1.0, path.name)
    zone = ZONE if kind == "lobster" and options.time_zone == "UTC" else options.time_zone
    files = tuple(source.name for source in sources_of(path))
    return ReadTape(folder, kind, files, tuple(_merged(writer.findings)), zone)


def check_source(path: Path, options: ReadOptions) -> None:
    """Refuse a path that is not there, and levels or a time zone that are none."""
    if not path.exists():
        raise Refusal("no_files", GONE, status=404, field="file", file=path.name)
    if not LEVELS[0] <= options.levels <= LEVELS[1]:
        raise Refusal("bad_levels", BAD_LEVELS, field="levels", levels=options.levels)
    try:
        ZoneInfo(options.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refusal("bad_time_zone", UNKNOWN_ZONE, field="time_zone", zone=options.time_zone[:40]) from error


def _merged(findings: list[Finding]) -> list[Finding]:
    """Add up findings of several days that say the same about a symbol."""
    kept: dict[tuple[object, ...], Finding] = {}
    rest = []
    for finding in findings:
        if finding.check != "dummy_levels":
            rest.append(finding)
            continue
        key = finding.check, finding.symbol
        before = kept.get(key)
        if before is None:
            kept[key] = finding
        else:
            sums = {name: before.params[name] + finding.params[name] for name in ("count", "rows")}
            kept[key] = replace(before, params={**finding.params, **sums})
    return [*kept.values(), *rest]
