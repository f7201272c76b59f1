"""Bars by symbol and dates, as the chart's endpoint and the API give them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import pandas as pd

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import Mode, adjusted
from apps.marketdata.engine.store import bar_mask
from apps.marketdata.engine.window import Window, between, known_bars, window
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_events, dataset_panel
from apps.marketdata.times import as_datetime64
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

CHART_BARS = 2000
BAD_TIME = N_("%(value)s is not a date. Write it like 2005-02-28 or 2005-02-28T15:00:00Z.")
BACKWARDS = N_("The end %(end)s lies before the start %(start)s.")
OUTSIDE = N_("%(dataset)s has %(symbol)s from %(first)s to %(last)s; nothing lies between %(start)s and %(end)s.")
UNKNOWN_FIELD = N_("%(dataset)s has no field %(name)s. It has %(known)s.")


def parse_moment(text: str, field: str, *, last: bool = False) -> np.datetime64 | None:
    """Read a query parameter; a bare day as ``last`` means its end. Empty is None, nonsense a ``Refusal``."""
    if not text:
        return None
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            moment = datetime.combine(day, time.max if last else time.min, tzinfo=UTC)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return as_datetime64(moment)
    except (ValueError, OverflowError) as error:
        raise Refusal("bad_date", BAD_TIME, field=field, value=text[:40]) from error


def symbol_row(panel: BarPanel, symbol: str) -> int:
    """Return the row of ``symbol``; ``Refusal`` ``unknown_symbol`` (404) names those there are."""
    try:
        return panel.index_of(symbol)
    except Refusal as refusal:
        refusal.status = 404
        raise


def chart_window(dataset: Dataset, symbol: str, start: str, end: str, mode: Mode = "raw") -> Window:
    """Return at most 2,000 bars of a chart between two query parameters, as traded or adjusted."""
    panel = dataset_panel(dataset)
    panel = adjusted(panel.select([panel.symbols[symbol_row(panel, symbol)]]), dataset_events(dataset, symbol), mode)
    row = 0
    first, last = _span(start, end)
    return window(panel, row, between(panel, known_bars(panel, row), first, last), CHART_BARS)


def _span(start: str, end: str) -> tuple[np.datetime64 | None, np.datetime64 | None]:
    first, last = parse_moment(start, "start"), parse_moment(end, "end", last=True)
    if first is not None and last is not None and last < first:
        raise Refusal("bad_dates", BACKWARDS, field="end", start=start, end=end)
    return first, last


def history(dataset: Dataset, symbol: str, start: str, end: str, fields: Sequence[str]) -> pd.DataFrame:
    """Return the symbol's bars as a table: ``time`` and the fields asked for (all where none are).

    Raises ``Refusal``: ``unknown_symbol`` (404), ``unknown_field``, ``bad_date``, ``no_bars_in_span``.
    """
    panel = dataset_panel(dataset)
    row = symbol_row(panel, symbol)
    first, last = _span(start, end)
    at = np.flatnonzero(bar_mask(panel.select([symbol]))[0])
    chosen = between(panel, at, first, last)
    if not len(chosen):
        ends = [str(panel.times[column].astype("datetime64[D]")) for column in (at[0], at[-1])]
        params: dict[str, Any] = {"dataset": str(dataset), "symbol": symbol, "first": ends[0], "last": ends[1]}
        raise Refusal("no_bars_in_span", OUTSIDE, field="start", start=start or "…", end=end or "…", **params)
    names = _fields(dataset, fields)
    columns = {name: np.asarray(panel.fields[name][row])[chosen] for name in names}
    return pd.DataFrame({"time": panel.times[chosen], **columns})


def _fields(dataset: Dataset, wanted: Sequence[str]) -> list[str]:
    known: list[str] = dataset.columns
    wrong = next((name for name in wanted if name not in known), None)
    if wrong is not None:
        params: dict[str, Any] = {"dataset": str(dataset), "name": wrong[:40], "known": ", ".join(known)}
        raise Refusal("unknown_field", UNKNOWN_FIELD, field="fields", **params)
    return list(dict.fromkeys(wanted)) or known
