"""The built-in catalogue: real daily bars from the bokeh_sampledata package.

Read by path: importing the package would pull geometry libraries into the process.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from apps.marketdata.engine.assemble import Imported, RawBars, assemble
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

PACKAGE = "bokeh_sampledata"
LICENCE = "BSD-3-Clause (bokeh_sampledata)"
SOURCE = "bokeh_sampledata, stocks.csv.gz"
ABSENT = N_("The package bokeh_sampledata is not installed, so there is no built-in data. Run make setup.")
NAMES = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume", "Adj Close": "adj_close"}
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class BuiltIn:
    """One entry of the catalogue, ready to be stored."""

    name: str
    title: str
    adjustment: str
    imported: Imported


def sample_path() -> Path:
    """Return the path of the sample file; ``Refusal`` ``no_builtin_data`` where the package is absent."""
    spec = find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise Refusal("no_builtin_data", ABSENT, status=409)
    return Path(next(iter(places))) / "_data" / "stocks.csv.gz"


def _rows() -> RawBars:
    import pandas as pd

    with gzip.open(sample_path(), "rt", encoding="ascii") as file:
        table = pd.read_csv(file)
    return RawBars(
        file="stocks.csv.gz",
        line=np.arange(len(table), dtype=np.int64) + 2,
        symbol=table["Ticker"].to_numpy(dtype=object),
        time=pd.to_datetime(table["Date"], format="%Y-%m-%d").to_numpy().astype("datetime64[ns]"),
        fields={ours: table[theirs].to_numpy(dtype=np.float64) for theirs, ours in NAMES.items()},
        daily=True,
    )


def _adjusted(raw: RawBars) -> RawBars:
    """Scale prices by adjusted close / close and volume inversely, so that price × volume stays."""
    factor = raw.fields["adj_close"] / raw.fields["close"]
    fields = {name: raw.fields[name] * factor for name in PRICES}
    # The close is the source's figure itself, not a product of two roundings.
    fields["close"] = raw.fields["adj_close"]
    # Rounding may leave the close one digit above the high; the bar must contain it.
    fields["high"] = np.fmax(fields["high"], np.fmax(fields["open"], fields["close"]))
    fields["low"] = np.fmin(fields["low"], np.fmin(fields["open"], fields["close"]))
    fields["volume"] = raw.fields["volume"] / factor
    return RawBars(raw.file, raw.line, raw.symbol, raw.time, fields, daily=True)


def builtin_catalogue() -> tuple[BuiltIn, BuiltIn]:
    """Read AAPL, FB, GOOG, IBM and MSFT, 2000-03-01 to 2013-03-01: as traded, and adjusted."""
    raw = _rows()
    return (
        BuiltIn("us-daily-raw", "US stocks, daily, as traded", "raw", assemble([raw], currency="USD")),
        BuiltIn(
            "us-daily-adjusted", "US stocks, daily, adjusted", "adjusted", assemble([_adjusted(raw)], currency="USD")
        ),
    )
