"""The price files reference cases use, as tables (time x column)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant_platform.reference.files import Files, Skip

Floats = NDArray[np.float64]
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Prices:
    """``dates`` (T,) as ISO text; ``symbols`` in column order; arrays (S, T), NaN where there is no bar."""

    dates: list[str]
    symbols: list[str]
    fields: Mapping[str, Floats]

    def field(self, name: str) -> Floats:
        if name not in self.fields:
            raise Skip(f"the bars have no column {name}")
        return self.fields[name]

    def until(self, end: str | None) -> Prices:
        """Return the part up to and with the day ``end``."""
        stop = len(self.dates) if end is None else int(np.searchsorted(np.array(self.dates), f"{end}~"))
        return Prices(self.dates[:stop], self.symbols, {name: a[:, :stop] for name, a in self.fields.items()})

    def first(self, start: str | None) -> int:
        return 0 if start is None else int(np.searchsorted(np.array(self.dates), start))


def load_prices(case: Mapping[str, Any], files: Files) -> Prices:
    """Return the bars of ``case``: format ``csv`` (one instrument), ``long_csv`` or ``lean``."""
    bars = case.get("bars") or {}
    kind = bars.get("format", "csv")
    if kind == "lean":
        return _lean(case, files, adjust=bars.get("adjust"))
    name = bars.get("file") or case.get("data")
    if not name or kind not in ("csv", "long_csv"):
        raise Skip(f"bars of the format {kind} are not covered")
    table = files.table(name).rename(columns=lambda c: str(c).strip().lower())
    if "time" in table and "date" in table:
        table["date"] = table["date"].astype(str) + " " + table.pop("time").astype(str)
    table = table.rename(
        columns={"datetime": "date", "time": "date", "timestamp": "date", "ticker": "symbol", "tic": "symbol"}
    )
    if "date" not in table:
        raise Skip("the bars have no column date")
    if kind == "csv" and "symbol" not in table:
        table = table.sort_values("date", kind="stable")
        fields = {c: table[c].to_numpy(float)[None] for c in table.columns if _is_number(table[c])}
        return Prices([str(d) for d in table["date"]], ["0"], fields)
    return _long(table)


def _is_number(column: pd.Series[Any]) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))


def _long(table: pd.DataFrame) -> Prices:
    symbols = list(dict.fromkeys(table["symbol"]))
    wide = {
        c: table.pivot(index="date", columns="symbol", values=c)[symbols].sort_index()
        for c in table.columns
        if c not in ("date", "symbol") and _is_number(table[c])
    }
    dates = [str(d) for d in next(iter(wide.values())).index]
    return Prices(dates, [str(s) for s in symbols], {c: np.asarray(w.T, np.float64) for c, w in wide.items()})


def _lean(case: Mapping[str, Any], files: Files, adjust: str | None) -> Prices:
    """Read daily bars of LEAN: zipped, without a header, prices times 10,000, factors beside them."""
    symbols = list(case["strategy"].get("weights") or [])
    first, _, _ = str(case["data"]).partition(" + ")
    folder = first.rsplit("/", 1)[0]
    frames = {}
    for symbol in symbols:
        with zipfile.ZipFile(files.path(f"{folder}/{symbol.lower()}.zip")) as packed:
            text = packed.read(packed.namelist()[0]).decode()
        frame = pd.read_csv(io.StringIO(text), header=None, names=["date", *PRICES, "volume"])
        frame["date"] = pd.to_datetime(frame["date"].str[:8]).dt.strftime("%Y-%m-%d")
        frame = frame.set_index("date")
        frame[list(PRICES)] = frame[list(PRICES)] / 10_000.0
        if adjust == "factor_files":
            root = folder.rsplit("/", 1)[0]
            factor = _lean_factors(files, f"{root}/factor_files/{symbol.lower()}.csv", frame.index)
            frame[list(PRICES)] = frame[list(PRICES)].mul(factor, axis=0)
        frames[symbol] = frame
    index = sorted(set().union(*(frame.index for frame in frames.values())))
    fields = {c: np.array([frames[s][c].reindex(index).to_numpy(float) for s in symbols]) for c in PRICES}
    return Prices([str(d) for d in index], symbols, fields)


def _lean_factors(files: Files, name: str, dates: pd.Index[Any]) -> Floats:
    """Return price factor times split factor of the first row on or after each day."""
    rows = files.table(name, header=None).iloc[:, :3]
    days = pd.to_datetime(rows[0].astype(str)).dt.strftime("%Y-%m-%d").to_numpy(str)
    product = (rows[1] * rows[2]).to_numpy(float)
    position = np.minimum(np.searchsorted(days, dates.to_numpy(str)), len(days) - 1)
    return np.asarray(product[position], np.float64)
