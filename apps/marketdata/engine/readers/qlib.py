"""Qlib's data folder, plain or packed as tar: calendars, instruments, one float32 file per symbol and field.

Qlib keeps adjusted prices and a factor; raw price × factor is what it keeps. They are
turned back into raw prices with their factor, so that costs, lots and limits can be real.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import RawBars
from apps.marketdata.engine.readers.folder import spans_of
from apps.marketdata.engine.readers.options import MEGABYTE, ReadOptions
from apps.marketdata.engine.readers.tables import TOO_LARGE, UNREADABLE
from apps.marketdata.engine.symbols import canonical
from apps.marketdata.engine.universe import Membership, in_order
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

NO_CALENDAR = N_("%(file)s: calendars/%(frequency)s.txt is missing, so the bins have no dates. Get the whole folder.")
NO_FEATURES = N_("%(file)s has no features folder with .bin files, so it is not Qlib's data folder.")
BAD_BIN = N_("%(file)s begins at position %(start)s with %(count)s values, beyond the %(days)s days of the calendar.")
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
FIELDS = ("open", "high", "low", "close", "volume", "amount", "vwap", "factor", "adjclose")
PRICES = ("open", "high", "low", "close", "vwap")
FREQUENCIES = {"day": True, "1min": False, "5min": False, "15min": False, "30min": False, "60min": False}
CENT = 100
CLOSE_TO_A_CENT = 0.002


def is_qlib(path: Path) -> bool:
    """Tell whether ``path`` is Qlib's folder, or a tar file (looked into when it is read)."""
    if path.is_dir():
        return (path / "features").is_dir()
    return path.name.lower().endswith(TAR_ENDINGS)


def read_qlib(path: Path, options: ReadOptions) -> tuple[list[RawBars], tuple[Membership, ...]]:
    """Return the bars of each symbol and the universes under ``instruments`` (but ``all``)."""
    with _unpacked(path, options.limit_bytes) as root:
        frequency, days = _calendar(root, path.name)
        folders = sorted(folder for folder in (root / "features").iterdir() if folder.is_dir())
        parts = [part for folder in folders if (part := _symbol(folder, frequency, days, options)) is not None]
        spans = [
            span
            for file in sorted((root / "instruments").glob("*.txt"))
            if file.stem != "all"
            for span in spans_of(file)
        ]
    return parts, in_order(spans)


def first_of_qlib(path: Path, options: ReadOptions) -> RawBars | None:
    """Return the bars of one symbol, the first that has some; of a tar file no more is unpacked than that takes."""
    with _unpacked(path, options.limit_bytes, first=True) as root:
        frequency, days = _calendar(root, path.name)
        folders = sorted(folder for folder in (root / "features").iterdir() if folder.is_dir())
        parts = (_symbol(folder, frequency, days, options) for folder in folders)
        return next((part for part in parts if part is not None and len(part.time)), None)


def _calendar(root: Path, file: str) -> tuple[str, NDArray[np.datetime64]]:
    """Return the frequency of the bins and the days (or minutes) they count by."""
    frequency = _frequency(root, file)
    calendar = root / "calendars" / f"{frequency}.txt"
    if not calendar.is_file():
        raise Refusal("no_calendar", NO_CALENDAR, field="file", file=file, frequency=frequency)
    times = calendar.read_text().split("\n")
    return frequency, np.array([np.datetime64(text.strip(), "ns") for text in times if text.strip()])


def _frequency(root: Path, file: str) -> str:
    found = next((root / "features").glob("*/*.bin"), None) if (root / "features").is_dir() else None
    if found is None:
        raise Refusal("not_qlib", NO_FEATURES, field="file", file=file)
    return found.name.split(".")[-2]


def _symbol(folder: Path, frequency: str, days: NDArray[np.datetime64], options: ReadOptions) -> RawBars | None:
    values = {name: _bin(folder / f"{name}.{frequency}.bin", days) for name in FIELDS}
    known = {name: array for name, array in values.items() if array is not None}
    if "close" not in known:
        return None
    at = np.flatnonzero(np.isfinite(known["close"]))
    fields = _raw({name: array[at] for name, array in known.items()})
    if "adjclose" in fields:
        fields["adj_close"] = fields.pop("adjclose")
    name = canonical(folder.name.upper()) if options.symbols == "normal" else folder.name.upper()
    symbol = np.full(len(at), name, dtype=object)
    return RawBars(
        folder.name, np.zeros(len(at), dtype=np.int64), symbol, days[at], fields, FREQUENCIES.get(frequency, False)
    )


def _bin(path: Path, days: NDArray[np.datetime64]) -> NDArray[np.float64] | None:
    """Read one file: the first number is the position of the second in the calendar."""
    if not path.is_file():
        return None
    content = np.fromfile(path, dtype="<f4")
    start = int(content[0]) if len(content) else 0
    if start < 0 or start + len(content) - 1 > len(days):
        name = f"{path.parent.name}/{path.name}"
        raise Refusal("bad_bin", BAD_BIN, field="file", file=name, start=start, count=len(content) - 1, days=len(days))
    values = np.full(len(days), np.nan)
    values[start : start + len(content) - 1] = content[1:]
    return values


def _raw(fields: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Divide prices by the factor and multiply volumes; float32 noise around whole cents is rounded away."""
    factor = fields.get("factor")
    if factor is None or not np.isfinite(factor).any():
        fields.pop("factor", None)
        return fields
    made = dict(fields)
    for name in set(PRICES) & set(fields):
        price = fields[name] / factor
        cents = np.round(price * CENT) / CENT
        near = np.abs(price - cents) <= np.maximum(CLOSE_TO_A_CENT, 2e-6 * price)
        made[name] = cents if np.mean(near[np.isfinite(price)]) > 0.99 else price
    made["volume"] = np.round(fields["volume"] * factor) if "volume" in fields else np.full(len(factor), np.nan)
    return made


@contextmanager
def _unpacked(path: Path, limit: int, *, first: bool = False) -> Iterator[Path]:
    """Give the folder itself, or the tar's content in a temporary one: plain files only, within ``limit``.

    With ``first`` the calendars and one symbol are enough.
    """
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="qlib-") as place:
        try:
            with tarfile.open(path) as archive:
                members = _beginning(archive) if first else archive.getmembers()
                members = [member for member in members if member.isfile() or member.isdir()]
                if sum(member.size for member in members) > limit:
                    raise Refusal(
                        "file_too_large", TOO_LARGE, status=413, field="file", file=path.name, limit=limit // MEGABYTE
                    )
                archive.extractall(place, members=members, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise Refusal(
                "unreadable_file", UNREADABLE, field="file", file=path.name, format="tar", reason=type(error).__name__
            ) from error
        inside = [folder.parent for folder in Path(place).rglob("features") if folder.is_dir()]
        yield inside[0] if inside else Path(place)


def _beginning(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Return the files of the calendars and of the first symbol with bins; what follows both is not looked at."""
    calendars, symbol, folder = [], [], ""
    for member in archive:
        parts = PurePosixPath(member.name).parts
        if not member.isfile() or len(parts) < 2:
            continue
        if parts[-2] == "calendars":
            calendars.append(member)
        elif len(parts) > 2 and parts[-3] == "features":
            folder = folder or parts[-2]
            if parts[-2] == folder:
                symbol.append(member)
            elif calendars:
                break
    return [*calendars, *symbol]
