"""What bars tell of, symbol by symbol over mapped arrays: vwap, events; the same as ``derive`` says of the whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction, in_order
from apps.marketdata.engine.derive import (
    EVENT_FIELDS,
    SAMPLE,
    events_from_columns,
    events_from_factor,
    events_from_reference,
    last_digit,
    vwap_means_something,
    vwap_parts,
)
from apps.marketdata.engine.store import walk


def derived(folder: Path, panel: BarPanel) -> tuple[BarPanel, tuple[CorporateAction, ...]]:
    """Return the panel with vwap where amounts are known, and the events; a new array goes into ``folder``."""
    events = _events(panel)
    fields = {name: values for name, values in panel.fields.items() if name not in EVENT_FIELDS}
    if {"amount", "volume"} <= set(fields) and "vwap" not in fields and (vwap := _vwap(folder, fields)) is not None:
        fields["vwap"] = vwap
    return replace(panel, fields=fields), events


def _events(panel: BarPanel) -> tuple[CorporateAction, ...]:
    columns, factor, reference = list[CorporateAction](), list[CorporateAction](), list[CorporateAction]()
    told = bool(EVENT_FIELDS & set(panel.fields))
    units = None
    if "adj_close" in panel.fields and "factor" not in panel.fields and not told:
        units = (last_digit(_sample(panel.fields["adj_close"])), last_digit(_sample(panel.fields["close"])))
    for row in walk(list(panel.fields.values())):
        fields = {name: np.asarray(values[row : row + 1]) for name, values in panel.fields.items()}
        one = replace(panel, symbols=panel.symbols[row : row + 1], fields=fields)
        if told:
            columns += events_from_columns(one)
            continue
        factor += events_from_factor(one, units)
        reference += events_from_reference(one)
    return in_order(columns if told else factor or reference)


def _sample(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first values known, as many as ``last_digit`` looks at."""
    found, count = list[NDArray[np.float64]](), 0
    for row in walk([values]):
        if count < SAMPLE:
            found.append(values[row][np.isfinite(values[row])])
            count += len(found[-1])
    return np.concatenate(found) if found else np.array([])


def _vwap(folder: Path, fields: dict[str, NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """Return (S, T) vwap as a mapped array, None where the money traded is unknown or means nothing."""
    inside = known = told = 0
    parts = {name: fields[name] for name in ("amount", "volume", "low", "high")}
    for row in walk(list(parts.values())):
        one = {name: np.asarray(values[row]) for name, values in parts.items()}
        price, within = vwap_parts(one)
        told += int((~np.isnan(one["amount"])).sum())
        inside, known = inside + int(within.sum()), known + int(np.isfinite(price).sum())
    if not told or not vwap_means_something(inside, known):
        return None
    path = folder / "vwap.npy"
    target = np.lib.format.open_memmap(path, "w+", dtype="<f8", shape=fields["close"].shape)
    for row in walk([*parts.values(), target]):
        price, within = vwap_parts({name: np.asarray(values[row]) for name, values in parts.items()})
        target[row] = np.where(within, price, np.nan)
    target.flush()
    mapped: NDArray[np.float64] = np.load(path, mmap_mode="r")
    return mapped
