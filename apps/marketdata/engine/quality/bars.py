"""Checks of single bars and of runs of bars: what cannot be, and what looks made up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import PRICE_FIELDS
from apps.marketdata.engine.quality.series import Collector, Series, number

# Adjusted prices are products; one part in a billion is their rounding, not a broken bar.
ROUNDING = 1e-9
ENOUGH_BARS = 20
FLAT_SHARE = 0.1
STALE_BARS = {"1d": 10, "1w": 5}
STALE_BARS_INTRADAY = 100


def check_bars(series: Series, found: Collector, *, frequency: str) -> None:
    """Run every check of this module on one symbol."""
    _missing(series, found)
    _not_positive(series, found)
    _inconsistent(series, found)
    _volume(series, found)
    _flat(series, found)
    _stale(series, found, STALE_BARS.get(frequency, STALE_BARS_INTRADAY))


def _missing(series: Series, found: Collector) -> None:
    # A field that the source lacks altogether is no hole in it.
    wanted = [name for name in (*PRICE_FIELDS, "volume") if name == "close" or not np.isnan(series.fields[name]).all()]
    empty = {name: np.isnan(series.fields[name]) for name in wanted}
    prices = np.logical_or.reduce([empty[name] for name in PRICE_FIELDS if name in empty])
    wrong = np.logical_or.reduce(list(empty.values()))
    if "bid" in series.fields:  # a minute with quotes in which nobody traded has no prices
        wrong &= ~(np.logical_and.reduce(list(empty.values())) & (series.bid > 0))
    for at in np.flatnonzero(wrong):
        columns = ", ".join(name for name in wanted if empty[name][at])
        found.add("missing_value", "error" if prices[at] else "warning", series, at, columns=columns)


def _not_positive(series: Series, found: Collector) -> None:
    low = np.logical_or.reduce([series.fields[name] <= 0 for name in PRICE_FIELDS])
    for at in np.flatnonzero(low):
        names = [name for name in PRICE_FIELDS if series.fields[name][at] <= 0]
        value = number(min(series.fields[name][at] for name in names))
        found.add("non_positive_price", "error", series, at, column=", ".join(names), value=value)
    for at in np.flatnonzero(series.volume < 0):
        found.add("negative_volume", "error", series, at, value=number(series.volume[at]))


def _inconsistent(series: Series, found: Collector) -> None:
    """Open and close lie between low and high; the first broken relation is named."""
    room = ROUNDING * np.abs(series.close)
    rules: list[tuple[str, NDArray[np.bool_]]] = [
        ("high < low", series.high < series.low - room),
        ("high < open", series.high < series.open - room),
        ("high < close", series.high < series.close - room),
        ("low > open", series.low > series.open + room),
        ("low > close", series.low > series.close + room),
    ]
    # A zero is reported as a zero; that it lies below the low says nothing new.
    positive = np.logical_and.reduce([~(series.fields[name] <= 0) for name in PRICE_FIELDS])
    for at in np.flatnonzero(np.logical_or.reduce([broken for _, broken in rules]) & positive):
        what = next(name for name, broken in rules if broken[at])
        prices = {name: number(series.fields[name][at]) for name in PRICE_FIELDS}
        found.add("ohlc_inconsistent", "error", series, at, what=what, **prices)


def _volume(series: Series, found: Collector) -> None:
    volume = series.volume[~np.isnan(series.volume)]
    if not len(volume) or not volume.any():
        found.add("no_volume", "note", series)
        return
    if len(volume) >= ENOUGH_BARS and (volume == volume[0]).all():
        found.add("constant_volume", "warning", series, value=number(volume[0]))
    idle = np.flatnonzero(series.volume == 0)
    if len(idle):
        first = str(series.time[idle[0]].astype("datetime64[D]"))
        found.add("zero_volume", "note", series, count=len(idle), first=first)


def _flat(series: Series, found: Collector) -> None:
    traded = series.traded
    same = np.logical_and.reduce([series.fields[name] == series.close for name in ("open", "high", "low")]) & traded
    if same.sum() >= ENOUGH_BARS and same.sum() >= FLAT_SHARE * traded.sum():
        found.add("flat_bars", "warning", series, count=int(same.sum()), bars=int(traded.sum()))


def _stale(series: Series, found: Collector, limit: int) -> None:
    """Report each run of equal closes, counting only bars in which something was traded."""
    at = np.flatnonzero(series.traded & ~np.isnan(series.close))
    if len(at) < limit:
        return
    close = series.close[at]
    starts = np.flatnonzero(np.concatenate([[True], close[1:] != close[:-1]]))
    lengths = np.diff(np.concatenate([starts, [len(close)]]))
    for start, length in zip(starts[lengths >= limit], lengths[lengths >= limit], strict=True):
        found.add("stale_price", "warning", series, int(at[start]), value=number(close[start]), count=int(length))
