"""Reads bars from a file or a folder: CSV, Parquet, Feather, Excel, JSON, LEAN, Qlib; packed with gzip or not.

``read_bars`` is the door: it returns a whole panel or raises a ``Refusal`` that names the
file, the line, the column, the value and the cure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.marketdata.engine.assemble import Imported, RawBars, assemble, continued, stamped_at_end
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import in_order
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.folder import Folder, open_folder
from apps.marketdata.engine.readers.json_rows import read_json
from apps.marketdata.engine.readers.lean import read_lean
from apps.marketdata.engine.readers.lean_factors import events_beside, names_beside
from apps.marketdata.engine.readers.options import Progress, ReadOptions, no_progress
from apps.marketdata.engine.readers.qlib import TAR_ENDINGS, is_qlib, read_qlib
from apps.marketdata.engine.readers.rows import to_bars
from apps.marketdata.engine.readers.tables import Table, read_arrow, read_excel, read_text
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

__all__ = ["FORMATS", "ReadOptions", "format_of", "read_bars", "refusal_finding"]

UNKNOWN_FORMAT = N_("%(file)s: the ending %(ending)s is not one of %(known)s. Choose the format, or save it as CSV.")
UNKNOWN_ZONE = N_("%(zone)s is not a time zone. Write it like UTC, America/New_York or Asia/Shanghai.")
BAD_FORMAT = N_("%(format)s is not a format. Choose auto, %(known)s.")
TRUNCATED = N_(
    "%(file)s, line %(line)s: the file ends in the middle of a line (%(cells)s of %(expected)s cells). "
    "Nothing was imported; get the whole file."
)
DATABENTO = N_("%(file)s holds order events in Databento's own format, not bars. Export bars or the book as CSV first.")
ENDINGS = {
    ".csv": "csv", ".txt": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet", ".feather": "parquet",
    ".xlsx": "excel", ".xlsm": "excel", ".zip": "lean", ".json": "json",
}  # fmt: skip
FORMATS = ("csv", "parquet", "excel", "json", "lean", "qlib", "trademaster")
PACKED = ("csv", "json")


def format_of(path: Path) -> str | None:
    """Return the format a file's name tells, looking through ``.gz``; None for one we do not know."""
    name = path.name.lower()
    if name.endswith(TAR_ENDINGS):
        return "qlib"
    packed = name.endswith(".gz")
    found = ENDINGS.get(Path(name.removesuffix(".gz")).suffix)
    return found if not packed or found in PACKED else None


def read_bars(
    path: Path,
    options: ReadOptions | None = None,
    on_progress: Progress = no_progress,
    *,
    after: BarPanel | None = None,
) -> Imported:
    """Read a file, or every file of bars in a folder (not below it) as one dataset.

    A file in Qlib's instruments layout (symbol, first day, last day) beside the bars tells the
    membership of a universe; lists of days and index series in a folder are left out and noted.
    ``on_progress`` hears the share of bytes read and the file's name. ``after`` are the bars that
    these continue: the last one of each symbol is put before them, so that an event of the first
    row is understood. Raises ``Refusal``; nothing is half read.
    """
    options = options or ReadOptions()
    check_options(options)
    if options.format in ("auto", "qlib") and path.exists() and is_qlib(path):
        return _read_qlib(path, options)
    found = open_folder(path, lambda file: wanted(file, options))
    parts, refused = _read_files(found.files, options, on_progress)
    on_progress(1.0, path.name, sum(len(part.line) for part in parts))
    if refused and not parts:
        raise refused[0]
    if after is not None and options.stamp == "end":
        parts = [*continued(after, parts), *parts]
    imported = assemble(parts, currency=options.currency, keep_duplicates=options.lenient)
    return finished(imported, found, options, refused)


def finished(imported: Imported, found: Folder, options: ReadOptions, refused: Sequence[Refusal] = ()) -> Imported:
    """Return the bars stamped as they should be, with all that the files beside them tell."""
    if options.stamp == "start":
        imported = stamped_at_end(imported)
    if any(format_of(file) == "lean" for file in found.files):
        imported = _with_lean(imported, found.files[0])
    return _with_annexes(imported, found, refused)


def _read_files(
    files: Sequence[Path], options: ReadOptions, on_progress: Progress
) -> tuple[list[RawBars], list[Refusal]]:
    """Read all; when only checking, a refused file of many is kept as its refusal."""
    total = sum(file.stat().st_size for file in files) or 1
    trades = trades_beside(files)
    parts: list[RawBars] = []
    refused, done, rows = [], 0, 0
    for file in files:
        on_progress(done / total, file.name, rows)
        try:
            parts.append(read_one(file, options, beside_trades=trades))
        except Refusal as refusal:
            if not options.lenient or len(files) == 1:
                raise
            refused.append(refusal)
        else:
            rows += len(parts[-1].line)
        done += file.stat().st_size
    return parts, refused


def _read_qlib(path: Path, options: ReadOptions) -> Imported:
    parts, membership = read_qlib(path, options)
    imported = assemble(parts, currency=options.currency)
    return replace(imported, files=(path.name,), lines=None, membership=membership)


def _with_lean(imported: Imported, file: Path) -> Imported:
    """Add what LEAN keeps beside the bars: events and former names."""
    events = in_order([*events_beside(file, imported.panel), *imported.events])
    return replace(imported, events=events, findings=(*imported.findings, *names_beside(file, imported.panel)))


def _with_annexes(imported: Imported, found: Folder, refused: Sequence[Refusal]) -> Imported:
    """Add what the files beside the bars tell: who belongs to which universe, what was left out."""
    findings = [refusal_finding(refusal) for refusal in refused]
    findings += [Finding("left_out", "note", params={"file": file.name, "why": why}) for file, why in found.left_out]
    return replace(imported, membership=found.membership, findings=(*findings, *imported.findings))


def refusal_finding(refusal: Refusal) -> Finding:
    """Return a refused file as a finding, its sentence as the reason."""
    line = refusal.params.get("line")
    return Finding("refused_file", "error", line=line, params={"reason": str(refusal), "code": refusal.code})


def check_options(options: ReadOptions) -> None:
    """Refuse a format or a time zone that nobody knows."""
    if options.format not in ("auto", *FORMATS):
        raise Refusal("bad_format", BAD_FORMAT, field="format", format=options.format[:20], known=", ".join(FORMATS))
    try:
        ZoneInfo(options.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refusal("bad_time_zone", UNKNOWN_ZONE, field="time_zone", zone=options.time_zone[:40]) from error


def wanted(file: Path, options: ReadOptions) -> bool:
    """Tell whether a file of a folder is one to read."""
    found = format_of(file)
    known = options.format in ("auto", found) or (options.format, found) == ("trademaster", "csv")
    if file.name.startswith((".", "~$")) or found is None or found == "qlib" or not known:
        return False
    if "openinterest" in file.name:
        return False
    return fnmatch(file.name, options.include) if options.include else True


def trades_beside(files: Sequence[Path]) -> bool:
    """Tell whether a folder has files of trades, so that its quotes give no prices of their own."""
    return any("_trade" in file.name for file in files)


def read_one(file: Path, options: ReadOptions, *, beside_trades: bool = False) -> RawBars:
    """Read one file; ``beside_trades``: there are files of trades in its folder."""
    kind = options.format if options.format != "auto" else format_of(file)
    if kind is None:
        if ".dbn" in file.name:
            raise Refusal("not_bars", DATABENTO, field="file", file=file.name)
        ending = "".join(file.suffixes[-2:]) or "–"
        raise Refusal(
            "unknown_format", UNKNOWN_FORMAT, field="file", file=file.name, ending=ending, known=", ".join(ENDINGS)
        )
    if kind == "lean":
        return read_lean(file, options, beside_trades=beside_trades and "_quote" in file.name)
    readers = {
        "csv": read_text,
        "trademaster": read_text,
        "parquet": read_arrow,
        "excel": read_excel,
        "json": read_json,
    }
    bars = to_bars(readers[kind](file, options), options)
    if not options.lenient:
        refuse_truncated(bars)
    return bars


def refuse_truncated(rows: RawBars | Table) -> None:
    """Half an import never appears: a file that ends in the middle of a line is refused."""
    cut = next((finding for finding in rows.findings if finding.check == "truncated_file"), None)
    if cut is not None:
        raise Refusal("truncated_file", TRUNCATED, field="file", file=rows.file, line=cut.line, **cut.params)
