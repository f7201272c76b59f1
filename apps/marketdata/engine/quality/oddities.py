"""Checks of a series as a whole: single wild values, a change of the unit of volume, money that does not fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.quality.series import Collector, Series, percent

# A bad tick is far outside what the series does and gone with the next bar.
ROBUST_Z = 15.0
NORMAL = 0.6745
LEAST = {True: 0.25, False: 0.05}
LOCAL, NEAR = 8.0, 20
COMES_BACK = 0.7
WICK = {True: 0.5, False: 0.2}
ENOUGH = 30
# Volume that jumps a hundredfold and stays there counts something else.
SIDE = 20
UNIT_STEP, UNIT_ROOM, UNSTEADY = 1.8, 0.12, 0.25
MONEY_ROOM = 0.10


def check_oddities(series: Series, found: Collector, *, daily: bool) -> None:
    """Report outliers, a change of the volume's unit and amounts that do not fit volume and price."""
    good = np.flatnonzero((series.close > 0) & series.traded)
    if len(good) < ENOUGH:
        return
    _outliers(series, found, good, daily)
    _wicks(series, found, good, daily)
    if daily:
        _unit_change(series, found, good)
    _amounts(series, found, good)


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 0.6745 × (x − median) / MAD; the MAD of values that mostly stand still is taken of those that move."""
    centre = np.median(values)
    spread = np.median(np.abs(values - centre))
    if spread == 0:
        moving = np.abs(values[values != centre] - centre)
        spread = np.median(moving) if len(moving) else np.inf
    return np.asarray(NORMAL * (values - centre) / spread)


def _outliers(series: Series, found: Collector, good: NDArray[np.int64], daily: bool) -> None:
    """A close that leaps out by robust z and returns with the next bar."""
    moves = np.diff(np.log(series.close[good]))
    z = robust_z(moves)
    leap, back = moves[:-1], moves[1:]
    wild = (np.abs(z[:-1]) > ROBUST_Z) & (np.abs(leap) > LEAST[daily])
    returns = (np.sign(back) == -np.sign(leap)) & (np.abs(back) > COMES_BACK * np.abs(leap))
    for step in np.flatnonzero(wild & returns):
        near = np.concatenate([moves[max(0, step - NEAR) : step], moves[step + 2 : step + 2 + NEAR]])
        if abs(leap[step]) < LOCAL * np.median(np.abs(near)):
            continue  # in a crisis everything moves like this
        words = {"move": percent(float(np.expm1(leap[step]))), "z": f"{abs(z[step]):.0f}"}
        found.add("outlier", "warning", series, good[step + 1], **words)


def _wicks(series: Series, found: Collector, good: NDArray[np.int64], daily: bool) -> None:
    """A high or low far from everything around it."""
    close = series.close[good]
    around = np.maximum.reduce([close, np.roll(close, 1), np.roll(close, -1), series.open[good]])
    below = np.minimum.reduce([close, np.roll(close, 1), np.roll(close, -1), series.open[good]])
    up = np.log(series.high[good] / around)
    down = np.log(below / np.where(series.low[good] > 0, series.low[good], np.nan))
    for name, size in (("high", up), ("low", down)):
        for step in np.flatnonzero(size[1:-1] > WICK[daily]) + 1:
            value = float(series.fields[name][good[step]])
            params = {"column": name, "value": f"{value:.10g}", "share": percent(float(np.expm1(size[step])))}
            found.add("outlier_wick", "warning", series, good[step], **params)


def _unit_change(series: Series, found: Collector, good: NDArray[np.int64]) -> None:
    """A step of the volume by a hundred or a thousand between two steady stretches, with the price as before."""
    at = good[series.volume[good] > 0]
    if len(at) < 2 * SIDE:
        return
    logs = np.log10(series.volume[at])
    views = np.lib.stride_tricks.sliding_window_view(logs, SIDE)
    middle = np.median(views, axis=1)
    step = middle[SIDE:] - middle[:-SIDE]
    sudden = np.abs(np.diff(logs)[SIDE - 1 : SIDE - 1 + len(step)] - step) < UNSTEADY * 2
    whole = np.abs(np.abs(step) - np.round(np.abs(step))) < UNIT_ROOM
    for place in np.flatnonzero(whole & sudden & (np.abs(step) > UNIT_STEP)):
        before, after = views[place], views[place + SIDE]
        spread = max(np.median(np.abs(side - np.median(side))) for side in (before, after))
        price = abs(np.log(series.close[at[place + SIDE]] / series.close[at[place + SIDE - 1]]))
        if spread < UNSTEADY and price < np.log(1.3):
            times, way = f"{10 ** abs(step[place]):.0f}", "×" if step[place] > 0 else "÷"
            found.add("volume_unit_change", "warning", series, int(at[place + SIDE]), times=times, way=way)


def _amounts(series: Series, found: Collector, good: NDArray[np.int64]) -> None:
    """The money traded must lie between volume × low and volume × high, where it usually does."""
    if "amount" not in series.fields or np.isnan(series.amount).all():
        return
    price = series.amount[good] / series.volume[good]
    low, high = series.low[good] * (1 - MONEY_ROOM), series.high[good] * (1 + MONEY_ROOM)
    known = np.isfinite(price) & (series.amount[good] > 0)
    outside = known & ((price < low) | (price > high))
    if known.sum() < ENOUGH or outside.sum() > 0.2 * known.sum():
        return  # adjusted prices beside raw money
    for step in np.flatnonzero(outside):
        times = f"{price[step] / series.close[good[step]]:.3g}"
        found.add("amount_mismatch", "warning", series, good[step], times=times)
