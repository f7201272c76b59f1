"""Bars by symbol and dates, as the chart's endpoint and the API give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from apps.marketdata.engine import store
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import Mode, adjusted
from apps.marketdata.engine.store import bar_mask
from apps.marketdata.engine.window import Window, between, known_bars, window
from apps.marketdata.models import Dataset, Frequency
from apps.marketdata.selectors import dataset_events, dataset_folder, dataset_panel
from apps.marketdata.times import as_datetime64
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

CHART_BARS = 2000
#: What adjusted prices leave out, because they say it themselves.
DROPPED = frozenset({"adj_close", "factor"})
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


@lru_cache(maxsize=32)
def _opened(folder: Path, written: int) -> BarPanel:
    """Return a stored panel, kept open: its content never changes. ``written`` is when its files were."""
    return store.load_panel(folder)


def _panel(dataset: Dataset) -> BarPanel:
    """Return the dataset's bars for reading; raises ``Refusal`` ``dataset_missing`` as ``dataset_panel`` does."""
    folder = dataset_folder(dataset)
    try:
        return _opened(folder, (folder / "meta.json").stat().st_mtime_ns)
    except OSError:
        return dataset_panel(dataset)


def history(
    dataset: Dataset, symbols: Sequence[str], start: str, end: str, fields: Sequence[str], mode: Mode = "raw"
) -> pa.Table:
    """Return the bars of the symbols: ``symbol``, ``time`` (days, or instants in UTC) and the fields asked for.

    All fields where none are named; symbols in the order given, no row where a symbol has no bar.
    Raises ``Refusal``: ``unknown_symbol`` (404), ``unknown_field``, ``bad_date``, ``no_bars_in_span``.
    """
    panel = _panel(dataset)
    dropped = DROPPED if mode != "raw" else frozenset()
    names = _fields(dataset, [name for name in dataset.columns if name not in dropped], fields)
    rows = _rows(dataset, panel, symbols)
    first, last = _span(start, end)
    low = 0 if first is None else int(np.searchsorted(panel.times, first, "left"))
    high = len(panel.times) if last is None else int(np.searchsorted(panel.times, last, "right"))
    # Rows that follow each other are read where they lie, others are brought together.
    chosen = slice(rows[0], rows[-1] + 1) if rows == list(range(rows[0], rows[0] + len(rows))) else rows
    part = {name: np.asarray(values)[chosen, low:high] for name, values in panel.fields.items()}
    present = np.logical_or.reduce([values == values for values in part.values()])  # noqa: PLR0124 - not NaN
    at = np.flatnonzero(present)
    if not len(at):
        raise _outside(dataset, panel, symbols, start, end)
    if mode != "raw":
        part = _adjusted(dataset, panel.select(symbols), mode, low, high)
    whole = len(at) == present.size
    position = np.repeat(np.arange(len(rows), dtype=np.int32), np.count_nonzero(present, axis=1))
    named = pa.DictionaryArray.from_arrays(pa.array(position), pa.array(list(symbols), pa.string()))
    arrays = {"symbol": named, "time": _times(dataset, panel.times[low:high], at % (high - low))}
    for name in names:
        values = part[name].reshape(-1)
        arrays[name] = pa.array(values if whole else values.take(at), from_pandas=True)
    return pa.table(arrays)


def _rows(dataset: Dataset, panel: BarPanel, symbols: Sequence[str]) -> list[int]:
    """Return the rows of the symbols, 404 for one that is not there."""
    if len(symbols) == 1:
        return [symbol_row(replace(panel, name=str(dataset)), symbols[0])]
    known = {symbol: row for row, symbol in enumerate(panel.symbols)}
    missing = next((symbol for symbol in symbols if symbol not in known), None)
    if missing is not None:
        symbol_row(replace(panel, name=str(dataset)), missing)
    return [known[symbol] for symbol in symbols]


def _adjusted(
    dataset: Dataset, panel: BarPanel, mode: Mode, low: int, high: int
) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """Return the fields of some columns, adjusted by the events of all."""
    wanted = set(panel.symbols)
    events = [event for event in dataset_events(dataset) if event.symbol in wanted]
    return {name: np.asarray(values)[:, low:high] for name, values in adjusted(panel, events, mode).fields.items()}


def _times(dataset: Dataset, times: np.ndarray[Any, np.dtype[Any]], at: np.ndarray[Any, np.dtype[Any]]) -> pa.Array:
    """Return ``times[at]`` as days, or as instants in UTC."""
    if dataset.frequency in (Frequency.DAY, Frequency.WEEK):
        return pa.array(times.astype("datetime64[D]").astype(np.int32).take(at)).view(pa.date32())
    return pa.array(times.astype(np.int64).take(at)).view(pa.timestamp("ns", tz="UTC"))


def _outside(dataset: Dataset, panel: BarPanel, symbols: Sequence[str], start: str, end: str) -> Refusal:
    at = np.flatnonzero(np.logical_or.reduce(bar_mask(panel.select(symbols))))
    ends = [str(panel.times[column].astype("datetime64[D]")) for column in (at[0], at[-1])]
    params: dict[str, Any] = {
        "dataset": str(dataset),
        "symbol": ", ".join(symbols)[:80],
        "first": ends[0],
        "last": ends[1],
    }
    return Refusal("no_bars_in_span", OUTSIDE, field="start", start=start or "…", end=end or "…", **params)


def _fields(dataset: Dataset, known: list[str], wanted: Sequence[str]) -> list[str]:
    wrong = next((name for name in wanted if name not in known), None)
    if wrong is not None:
        params: dict[str, Any] = {"dataset": str(dataset), "name": wrong[:40], "known": ", ".join(known)}
        raise Refusal("unknown_field", UNKNOWN_FIELD, field="fields", **params)
    return list(dict.fromkeys(wanted)) or known
