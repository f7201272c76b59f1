"""Fields and events that follow from others: vwap from amount, events from a vendor's factor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction, Kind, dividend, in_order, split

# A vwap may leave the bar by the rounding of volume and amount.
VWAP_ROOM = 0.005
SPLITS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0)
LARGE = 1.3
LOT = 100
#: Prices looked at to tell the last digit of all.
SAMPLE = 2000
EVENT_FIELDS = frozenset({"split_ratio", "cash_dividend"})


def volume_unit(fields: Mapping[str, NDArray[np.float64]]) -> int:
    """Return the shares in one unit of volume that the amount tells: 1, or 100 for lots."""
    return unit_of(*lot_counts(fields))


def lot_counts(fields: Mapping[str, NDArray[np.float64]]) -> tuple[int, int]:
    """Return of how many bars the money traded is known, and of how many it is a hundredfold of volume × close."""
    if "amount" not in fields or "volume" not in fields:
        return 0, 0
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = fields["amount"] / (fields["volume"] * fields["close"])
    known = ratio[np.isfinite(ratio) & (ratio > 0)]
    return len(known), int((np.abs(np.log(known / LOT)) < 0.2).sum())


def unit_of(known: int, lots: int) -> int:
    """Return the unit those counts tell: adjusted prices drift away from the money, a steady hundredfold is lots."""
    return LOT if known >= 5 and lots / known > 0.9 else 1


def vwap_parts(fields: Mapping[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return amount / volume, and where it lies within the bar."""
    with np.errstate(invalid="ignore", divide="ignore"):
        price = fields["amount"] / fields["volume"]
        inside = (price >= fields["low"] * (1 - VWAP_ROOM)) & (price <= fields["high"] * (1 + VWAP_ROOM))
    return price, inside


def vwap_means_something(inside: int, known: int) -> bool:
    """Tell whether the money is in the bars' prices: of adjusted prices beside raw money the quotient means nothing."""
    return inside * 2 >= known


def vwap_of(fields: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """Return amount / volume where it lies within the bar, NaN elsewhere; None where amounts are unknown."""
    if "amount" not in fields or "volume" not in fields or np.isnan(fields["amount"]).all():
        return None
    price, inside = vwap_parts(fields)
    if not vwap_means_something(int(inside.sum()), int(np.isfinite(price).sum())):
        return None
    return np.where(inside, price, np.nan)


def events_from_factor(panel: BarPanel, units: tuple[float, float] | None = None) -> tuple[CorporateAction, ...]:
    """Return an event per step of ``factor`` (raw × factor is back-adjusted), or of adjusted / raw close.

    ``units`` are the last digits of adjusted and raw close where the panel is only a part of all bars.
    """
    if "factor" in panel.fields:
        return _steps(panel, np.asarray(panel.fields["factor"]), np.zeros_like(panel.fields["close"]), "factor")
    if "adj_close" in panel.fields:
        close, told = np.asarray(panel.fields["close"]), np.asarray(panel.fields["adj_close"])
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = told / close
            digits = units or (last_digit(told), last_digit(close))
            room = digits[0] / np.abs(told) + digits[1] / np.abs(close)
        return _steps(panel, ratio, room, "adj_close")
    return ()


def events_from_reference(panel: BarPanel) -> tuple[CorporateAction, ...]:
    """Return an event per day whose previous close, as the exchange states it, is not the close before."""
    told = panel.fields.get("prev_close")
    if told is None:
        return ()
    found = []
    for row, symbol in enumerate(panel.symbols):
        close = np.asarray(panel.fields["close"][row])
        at = np.flatnonzero((close > 0) & (told[row] > 0))
        if len(at) < 2:
            continue
        factor = told[row, at[1:]] / close[at[:-1]]
        steps = np.flatnonzero(np.abs(factor - 1) > 1e-4 + 0.0101 / close[at[:-1]])
        if len(steps) > max(2, len(at) // 20):
            continue  # the column means something else
        found += [_event(symbol, panel.times[at[s + 1]], float(factor[s]), float(close[at[s]]), "prev_close")
                  for s in steps]  # fmt: skip
    return in_order(found)


def events_from_columns(panel: BarPanel) -> tuple[CorporateAction, ...]:
    """Return the splits and payouts that the source states beside the bars of the ex-day."""
    ratio, cash = panel.fields.get("split_ratio"), panel.fields.get("cash_dividend")
    found = []
    for row, symbol in enumerate(panel.symbols):
        close = np.asarray(panel.fields["close"][row])
        at = np.flatnonzero(close > 0)
        for before, now in pairwise(at):
            shares = float(ratio[row, now]) if ratio is not None else 1.0
            paid = float(cash[row, now]) if cash is not None else 0.0
            if shares > 0 and shares != 1.0:
                found.append(split(symbol, panel.times[now], shares, "columns"))
            if 0 < paid < close[before]:
                found.append(dividend(symbol, panel.times[now], paid, float(close[before]), "columns"))
    return in_order(found)


def completed(panel: BarPanel) -> BarPanel:
    """Return ``panel`` with vwap where amounts are known, without the columns that became events."""
    fields = {name: values for name, values in panel.fields.items() if name not in EVENT_FIELDS}
    if "vwap" not in fields and (vwap := vwap_of(fields)) is not None:
        fields["vwap"] = vwap
    return replace(panel, fields=fields)


def events_of(panel: BarPanel) -> tuple[CorporateAction, ...]:
    """Return the events the bars themselves tell of, from the plainest source there is."""
    if EVENT_FIELDS & set(panel.fields):
        return events_from_columns(panel)
    return events_from_factor(panel) or events_from_reference(panel)


def last_digit(values: NDArray[np.float64]) -> float:
    """Return the last digit the source writes: 0.01 for prices with two decimals."""
    sample = values[np.isfinite(values)][:SAMPLE]
    for digits in range(2, 7):
        if len(sample) and np.allclose(sample, np.round(sample, digits), rtol=0, atol=1e-9):
            return float(10.0**-digits)
    return 1e-7


def _steps(
    panel: BarPanel, ratio: NDArray[np.float64], room: NDArray[np.float64], source: str
) -> tuple[CorporateAction, ...]:
    found = []
    for row, symbol in enumerate(panel.symbols):
        at = np.flatnonzero(np.isfinite(ratio[row]) & (ratio[row] > 0))
        if len(at) < 2:
            continue
        values, spare = ratio[row, at], room[row, at]
        factor = values[:-1] / values[1:]
        noise = 1e-5 + spare[:-1] + spare[1:]
        for step in np.flatnonzero(np.abs(factor - 1) > noise):
            close = float(panel.fields["close"][row, at[step]])
            found.append(_event(symbol, panel.times[at[step + 1]], float(factor[step]), close, source))
    return in_order(found)


def _event(symbol: str, time: np.datetime64, factor: float, close: float, source: str) -> CorporateAction:
    """Name a step: near a usual ratio a split, a small fall a payout, anything else an adjustment."""
    day = time.astype("datetime64[D]")
    size = max(factor, 1 / factor)
    nearest = min(SPLITS, key=lambda known: abs(np.log(size / known)))
    kind: Kind = "adjustment"
    if size > LARGE and abs(size / nearest - 1) < 0.005:
        ratio = nearest if factor < 1 else 1 / nearest
        return CorporateAction(symbol, day, "split", ratio=ratio, factor=factor, source=source)
    if source != "factor" and 1 / LARGE < factor < 1:
        return CorporateAction(
            symbol, day, "dividend", cash=round(close * (1 - factor), 6), factor=factor, source=source
        )
    return CorporateAction(symbol, day, kind, factor=factor, source=source)
