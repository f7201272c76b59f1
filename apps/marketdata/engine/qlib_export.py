"""Qlib's data folder: calendars, instruments and one float32 file per symbol and field."""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import FIELDS, BarPanel
from apps.marketdata.engine.store import bar_mask
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

FREQUENCIES = {"1d": "day", "1min": "1min", "5min": "5min", "15min": "15min", "30min": "30min", "1h": "60min"}
NOT_EMPTY = N_("%(path)s is there already and not empty. Choose another folder or empty it.")
BAD_SYMBOL = N_(
    "The symbol %(symbol)s cannot be a folder of Qlib's layout, which ignores case. "
    "Use letters, digits, dot, dash and underscore, each name once."
)
BAD_FREQUENCY = N_("Qlib has no layout for bars of this frequency (%(frequency)s). Export daily or minute bars.")


def export_qlib(panel: BarPanel, target: Path, *, raw_prices: bool) -> dict[str, int]:
    """Write ``panel`` into ``target`` (new or empty), whole or not at all; returns symbols, times and files.

    Raw prices get ``factor`` 1, so that Qlib rounds to whole shares; adjusted ones get none,
    which makes it trade fractions as it should. ``change`` is the close's return.
    """
    frequency = FREQUENCIES.get(panel.frequency)
    if frequency is None:
        raise Refusal("bad_frequency", BAD_FREQUENCY, frequency=panel.frequency)
    lower = [symbol.lower() for symbol in panel.symbols]
    wrong = next((s for s in panel.symbols if not re.fullmatch(r"\w[\w.\- ]*", s) or lower.count(s.lower()) > 1), None)
    if wrong is not None:
        raise Refusal("bad_symbol", BAD_SYMBOL, symbol=wrong[:40])
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refusal("path_not_empty", NOT_EMPTY, status=409, path=str(target))
    temporary = target.parent / f".{target.name}-{uuid.uuid4().hex[:8]}"
    try:
        files = _write(panel, temporary, frequency, raw_prices)
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {"symbols": len(panel.symbols), "times": len(panel.times), "files": files}


def _write(panel: BarPanel, folder: Path, frequency: str, raw_prices: bool) -> int:
    (folder / "calendars").mkdir(parents=True)
    (folder / "instruments").mkdir()
    days = [time_text(time, frequency) for time in panel.times]
    _lines(folder / "calendars" / f"{frequency}.txt", days)
    mask, instruments, files = bar_mask(panel), [], 0
    for row, symbol in enumerate(panel.symbols):
        at = np.flatnonzero(mask[row])
        if not len(at):
            continue
        first, last = int(at[0]), int(at[-1])
        instruments.append(f"{symbol.upper()}\t{days[first]}\t{days[last]}")
        place = folder / "features" / symbol.lower()
        place.mkdir(parents=True)
        for name, values in symbol_fields(panel, row, raw_prices).items():
            content = np.concatenate([[first], values[first : last + 1]]).astype("<f4")
            (place / f"{name}.{frequency}.bin").write_bytes(content.tobytes())
            files += 1
    _lines(folder / "instruments" / "all.txt", instruments)
    return files


def symbol_fields(panel: BarPanel, row: int, raw_prices: bool) -> dict[str, NDArray[np.float64]]:
    """Return what is written for one symbol, each (T,) with NaN where it has no bar."""
    fields = {name: np.asarray(panel.fields[name][row]) for name in FIELDS}
    close = fields["close"]
    known = np.flatnonzero(~np.isnan(close))
    change = np.full(len(close), np.nan)
    change[known[1:]] = close[known[1:]] / close[known[:-1]] - 1
    extra = {"factor": np.where(np.isnan(close), np.nan, 1.0)} if raw_prices else {}
    return {**fields, "change": change, **extra}


def time_text(time: np.datetime64, frequency: str) -> str:
    """Write a time as Qlib's calendars do."""
    return str(time.astype("datetime64[D]" if frequency == "day" else "datetime64[s]")).replace("T", " ")


def _lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
