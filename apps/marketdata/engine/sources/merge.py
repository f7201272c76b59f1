"""New bars laid over those held: what is added, what is revised, what stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import Imported, frequency_of, is_daily
from apps.marketdata.engine.bars import FIELDS, BarPanel
from apps.marketdata.engine.corporate import CorporateAction, in_order
from apps.marketdata.engine.derive import events_from_factor, events_from_reference
from apps.marketdata.engine.universe import Membership
from apps.marketdata.engine.universe import in_order as spans_in_order
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

MIXED = N_("The dataset has %(held)s bars and the source brings %(new)s ones. Sync them into a dataset of their own.")
#: Sources of events that follow from the bars, and are found again in the merged ones.
DERIVED = frozenset({"factor", "adj_close", "prev_close"})
#: A history that was rewritten stands off by one ratio; less than this is the rounding of vendors.
RESTATED = 1e-4


@dataclass(frozen=True)
class Merged:
    """The whole, and the number of bars added, revised and brought again unchanged."""

    imported: Imported
    added: int
    changed: int
    same: int


def merged(held: BarPanel, events: Sequence[CorporateAction], spans: Sequence[Membership], new: Imported) -> Merged:
    """Lay ``new`` over ``held``: where both know a value, the new one counts; nothing held is lost.

    Events the source states are joined; those that follow from factors and reference closes are derived
    again from the whole. Raises ``Refusal`` ``mixed_frequency``.
    """
    after = new.panel
    if is_daily(held) != is_daily(after):
        raise Refusal("mixed_frequency", MIXED, field="file", held=held.frequency, new=after.frequency)
    symbols = tuple(sorted({*held.symbols, *after.symbols}))
    times = np.union1d(held.times, after.times)
    old_at, new_at = _places(held, symbols, times), _places(after, symbols, times)
    fields, revised = {}, np.zeros((len(symbols), len(times)), dtype=bool)
    before, now = np.zeros_like(revised), np.zeros_like(revised)
    for name in dict.fromkeys((*FIELDS, *held.fields, *after.fields)):
        array, fresh = np.full(revised.shape, np.nan), np.full(revised.shape, np.nan)
        if name in held.fields:
            array[old_at] = held.fields[name]
            before |= np.isfinite(array)
        if name in after.fields:
            fresh[new_at] = after.fields[name]
            known = np.isfinite(fresh)
            now |= known
            revised |= known & (array != fresh)
            array[known] = fresh[known]
        fields[name] = array
    panel = replace(after, symbols=symbols, times=times, fields=fields, meta={})
    panel = replace(panel, frequency=frequency_of(panel, daily=is_daily(held)))
    lines = np.zeros(revised.shape, dtype=np.int64)
    if new.lines is not None:
        lines[new_at] = new.lines
    whole = replace(
        new, panel=panel, lines=lines, events=_events(panel, events, new.events),
        membership=spans_in_order({*spans, *new.membership}),
    )  # fmt: skip
    return Merged(whole, int((now & ~before).sum()), int((now & before & revised).sum()), int((now & ~revised).sum()))


def _places(panel: BarPanel, symbols: Sequence[str], times: NDArray[np.datetime64]) -> tuple[NDArray[np.intp], ...]:
    rows = {symbol: row for row, symbol in enumerate(symbols)}
    places = np.array([rows[symbol] for symbol in panel.symbols], dtype=np.intp)
    return np.ix_(places, np.searchsorted(times, panel.times))


def _events(
    panel: BarPanel, held: Sequence[CorporateAction], new: Sequence[CorporateAction]
) -> tuple[CorporateAction, ...]:
    stated = {(e.symbol, e.day, e.kind): e for e in (*held, *new) if e.source not in DERIVED}
    if stated:
        return in_order(stated.values())
    return events_from_factor(panel) or events_from_reference(panel)


def restated(held: BarPanel, new: BarPanel) -> list[str]:
    """Return the symbols whose bars in common all differ by one ratio: their history was rewritten."""
    common = np.intersect1d(held.times, new.times)
    found = []
    rows = {symbol: row for row, symbol in enumerate(held.symbols)}
    old_at, new_at = np.searchsorted(held.times, common), np.searchsorted(new.times, common)
    for row, symbol in enumerate(new.symbols):
        if symbol not in rows or not len(common):
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.asarray(new.close[row])[new_at] / np.asarray(held.close[rows[symbol]])[old_at]
        ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
        if len(ratio) and (np.abs(ratio - 1) > RESTATED).all() and np.ptp(ratio) < RESTATED * 10 * ratio[0]:
            found.append(symbol)
    return found
