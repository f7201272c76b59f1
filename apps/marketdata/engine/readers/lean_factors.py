"""LEAN's factor and map files: splits and payouts, and the names a ticker had before."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction, dividend, in_order, split
from apps.marketdata.engine.findings import Finding

NOISE = 1e-6


def events_beside(folder: Path, panel: BarPanel) -> tuple[CorporateAction, ...]:
    """Return the events of the panel's symbols from ``factor_files`` beside the data folder, if there are any."""
    root = _beside(folder, "factor_files")
    if root is None:
        return ()
    found: list[CorporateAction] = []
    for row, symbol in enumerate(panel.symbols):
        path = root / f"{symbol.lower()}.csv"
        if path.is_file():
            known = np.flatnonzero(~np.isnan(np.asarray(panel.fields["close"][row])))
            found += _events(symbol, path, panel.times[known].astype("datetime64[D]"))
    return in_order(found)


def names_beside(folder: Path, panel: BarPanel) -> list[Finding]:
    """Return a note for each ticker that had another name before."""
    root = _beside(folder, "map_files")
    if root is None:
        return []
    notes = []
    for symbol in panel.symbols:
        path = root / f"{symbol.lower()}.csv"
        rows = [line.split(",") for line in path.read_text().splitlines()] if path.is_file() else []
        for day, name in ((cells[0], cells[1]) for cells in rows if len(cells) > 1):
            if name.upper() != symbol:
                params = {"old": name.upper(), "day": f"{day[:4]}-{day[4:6]}-{day[6:]}"}
                notes.append(Finding("ticker_change", "note", symbol, params=params))
    return list({(note.symbol, note.params["old"]): note for note in notes}.values())


def _beside(folder: Path, name: str) -> Path | None:
    """Look for ``equity/usa/<name>`` from ``equity/usa/daily`` or ``equity/usa/minute/spy``."""
    places = [parent / name for parent in folder.absolute().parents[:3]]
    return next((place for place in places if place.is_dir()), None)


def _events(symbol: str, path: Path, days: NDArray[np.datetime64]) -> Iterator[CorporateAction]:
    """A row's factors hold up to its day; what changes to the next row happens on the session after it."""
    rows = [line.split(",") for line in path.read_text().splitlines() if line.strip()]
    table = [(_day(row[0]), float(row[1]), float(row[2]), float(row[3]) if len(row) > 3 else 0.0) for row in rows]
    for (day, price, shares, close), (_, next_price, next_shares, _) in pairwise(table):
        after = int(np.searchsorted(days, day, "right"))
        if after == 0 or after >= len(days):
            continue
        ratio, paid = next_shares / shares, price / next_price
        if abs(ratio - 1) > NOISE:
            yield split(symbol, days[after], float(f"{ratio:.6g}"), "lean")
        if abs(paid - 1) > NOISE and close > 0:
            yield dividend(symbol, days[after], round(close * (1 - paid), 4), close, "lean")


def _day(text: str) -> np.datetime64:
    return np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:8]}", "D")
