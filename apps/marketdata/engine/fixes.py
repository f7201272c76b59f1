"""Mending what a check found: drop, fill, clip, adjust, mark as suspension. A new panel each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import PRICE_FIELDS, BarPanel
from apps.marketdata.engine.corporate import PRICES, SHARES, CorporateAction
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.store import row_mask
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

FixKind = Literal["drop", "fill", "clip", "adjust", "suspend", "rescale", "blank"]
# What can be done about a finding, the usual remedy first.
REMEDIES: Mapping[str, tuple[FixKind, ...]] = {
    "ohlc_inconsistent": ("clip", "drop"),
    "non_positive_price": ("suspend", "drop"),
    "missing_value": ("drop", "suspend", "fill"),
    "missing_session": ("suspend", "fill"),
    "extra_session": ("drop",),
    "missing_bars": ("fill",),
    "negative_volume": ("drop", "blank"),
    "split_like_jump": ("adjust",),
    "dividend_not_applied": ("adjust",),
    "impossible_move": ("drop",),
    "stale_price": ("suspend", "drop"),
    "amount_mismatch": ("blank",),
    "outlier": ("drop",),
    "outlier_wick": ("clip", "drop"),
    "price_move_without_volume": ("suspend", "drop"),
    "volume_unit_change": ("rescale",),
}
CANNOT = N_("Nothing mends a finding of the kind %(check)s by itself. Correct it in the source and import again.")
NO_PLACE = N_("The finding is not about one bar of a symbol, so there is nothing to mend.")
UNEVEN = N_("%(symbol)s %(date)s: the missing bars do not lie evenly between the bars around them.")
NO_FACTOR = N_("%(symbol)s %(date)s: nothing in the data tells by how much to adjust.")


@dataclass(frozen=True)
class Fix:
    """One remedy at one place; ``factor`` multiplies the prices (adjust) or the volumes (rescale) before it."""

    kind: FixKind
    symbol: str
    time: np.datetime64
    factor: float = 1.0
    check: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The fix as it is kept in the lineage."""
        text = str(self.time.astype("datetime64[s]")).removesuffix("T00:00:00")
        document: dict[str, Any] = {"fix": self.kind, "symbol": self.symbol, "time": text, "check": self.check}
        return {**document, "factor": self.factor} if self.kind in ("adjust", "rescale") else document


def remedies(check: str) -> tuple[FixKind, ...]:
    """Return what can be done about a finding of this kind, the usual remedy first."""
    return REMEDIES.get(check, ())


def fixes_for(finding: Finding, panel: BarPanel, kind: str = "") -> list[Fix]:
    """Return the remedy ``kind`` (empty: the usual one) for every bar a finding is about: all of a run, all of a hole.

    Raises ``Refusal`` ``cannot_fix`` as ``fix_for`` does, and where the bars of a hole cannot be placed.
    """
    fix = fix_for(finding, panel, kind)
    if finding.check == "stale_price":
        return [replace(fix, time=time) for time in _repeats(finding, panel, fix.time)]
    if finding.check == "missing_bars":
        return [replace(fix, time=time) for time in _hole(finding, panel, fix.time)]
    return [fix]


def _repeats(finding: Finding, panel: BarPanel, first: np.datetime64) -> NDArray[np.datetime64]:
    """Return the times of the bars that repeat the close of the first one of a run, as the check counts them."""
    row = panel.index_of(finding.symbol)
    fields = {name: np.asarray(values[row]) for name, values in panel.fields.items()}
    at = int(np.searchsorted(panel.times, first))
    same = fields["close"] == fields["close"][at]
    if (fields["volume"] > 0).any():
        same &= fields["volume"] != 0
    if "suspended" in fields:
        same &= fields["suspended"] != 1
    return panel.times[np.flatnonzero(same[at + 1 :])[: int(finding.params["count"]) - 1] + at + 1]


def _hole(finding: Finding, panel: BarPanel, after: np.datetime64) -> NDArray[np.datetime64]:
    """Return the times of the bars that are missing before the one at ``after``."""
    known = panel.times[row_mask(panel, panel.index_of(finding.symbol))]
    place, count = int(np.searchsorted(known, after)), int(finding.params["count"])
    before = known[place - 1] if place else after
    step, rest = divmod(int((after - before) / np.timedelta64(1, "ns")), count + 1)
    if rest or step <= 0:
        raise Refusal("cannot_fix", UNEVEN, field="fix", symbol=finding.symbol, date=finding.date)
    return np.asarray(before + np.arange(1, count + 1) * np.timedelta64(step, "ns"))


def fix_for(finding: Finding, panel: BarPanel, kind: str = "") -> Fix:
    """Return the remedy ``kind`` (empty: the usual one) for a finding.

    Raises ``Refusal`` ``cannot_fix`` where none of the kind exists or its factor is unknown.
    """
    known = remedies(finding.check)
    if not known or (kind and kind not in known):
        raise Refusal("cannot_fix", CANNOT, field="fix", check=finding.check)
    if not finding.symbol or finding.time is None:
        raise Refusal("cannot_fix", NO_PLACE, field="fix")
    chosen: FixKind = next(name for name in known if name == (kind or known[0]))
    factor = _factor(finding, panel) if chosen == "adjust" else 1.0
    if chosen == "rescale":
        times = float(finding.params["times"])
        factor = times if finding.params["way"] == "×" else 1 / times
    return Fix(chosen, finding.symbol, finding.time, factor, finding.check)


def _factor(finding: Finding, panel: BarPanel) -> float:
    """Return what prices before the finding are multiplied with: by the ratio it names, else by the data itself."""
    if finding.check == "split_like_jump" and ":" in str(finding.params.get("ratio", "")):
        after, before = (float(part) for part in finding.params["ratio"].split(":"))
        return before / after
    row = panel.index_of(finding.symbol)
    close = np.asarray(panel.fields["close"][row])
    at = np.flatnonzero(close > 0)
    moment = finding.time if finding.time is not None else panel.times[0]
    place = int(np.searchsorted(panel.times[at], moment))
    if 0 < place < len(at):
        now, past = at[place], at[place - 1]
        for name in ("adj_close", "factor"):
            if name in panel.fields:
                told = np.asarray(panel.fields[name][row])
                ratio = told / close if name == "adj_close" else told
                if ratio[past] > 0 and ratio[now] > 0:
                    return float(ratio[past] / ratio[now])
    if finding.check == "dividend_not_applied":
        return 1 - float(finding.params["amount"]) / float(finding.params["before"])
    raise Refusal("cannot_fix", NO_FACTOR, field="fix", symbol=finding.symbol, date=finding.date)


def apply_fixes(
    panel: BarPanel, fixes: Sequence[Fix], events: Sequence[CorporateAction] = ()
) -> tuple[BarPanel, tuple[CorporateAction, ...]]:
    """Return the mended panel and the events that still apply: what was put into the prices is no event any more."""
    if any(fix.kind == "suspend" for fix in fixes) and "suspended" not in panel.fields:
        nothing = np.full((len(panel.symbols), len(panel.times)), np.nan)
        panel = replace(panel, fields={**panel.fields, "suspended": nothing})
    times = np.union1d(
        panel.times, np.array([fix.time for fix in fixes if fix.kind in ("fill", "suspend")], panel.times.dtype)
    )
    fields = _on_times(panel, times)
    # Oldest first, so that a filled bar copies one that was mended.
    for fix in sorted(fixes, key=lambda fix: (fix.symbol, fix.time)):
        row, at = panel.index_of(fix.symbol), int(np.searchsorted(times, fix.time))
        if at < len(times) and (times[at] == fix.time or fix.kind in ("adjust", "rescale")):
            _ACTIONS[fix.kind](fields, row, at, fix)
    gone = {(fix.symbol, str(fix.time.astype("datetime64[D]"))) for fix in fixes if fix.kind == "adjust"}
    left = tuple(event for event in events if (event.symbol, str(event.day)) not in gone)
    return replace(panel, times=times, fields=fields, content_hash=""), left


def _on_times(panel: BarPanel, times: NDArray[np.datetime64]) -> dict[str, NDArray[np.float64]]:
    """Return writable copies of the fields on a time axis that contains the panel's."""
    at = np.searchsorted(times, panel.times)
    fields = {}
    for name, values in panel.fields.items():
        fields[name] = np.full((len(panel.symbols), len(times)), np.nan)
        fields[name][:, at] = values
    return fields


Fields = dict[str, NDArray[np.float64]]


def _drop(fields: Fields, row: int, at: int, fix: Fix) -> None:
    for values in fields.values():
        values[row, at] = np.nan


def _clip(fields: Fields, row: int, at: int, fix: Fix) -> None:
    """High and low become the extremes of open and close; a wick found wild is cut off, a broken one pulled out."""
    body = fields["open"][row, at], fields["close"][row, at]
    wild = fix.check == "outlier_wick"
    high, low = fields["high"][row, at], fields["low"][row, at]
    fields["high"][row, at] = np.nanmax(body) if wild else np.nanmax([*body, high])
    fields["low"][row, at] = np.nanmin(body) if wild else np.nanmin([*body, low])


def _flat(fields: Fields, row: int, at: int) -> None:
    before = np.flatnonzero(fields["close"][row, :at] > 0)
    last = fields["close"][row, before[-1]] if len(before) else np.nan
    for name in PRICE_FIELDS:
        fields[name][row, at] = last


def _fill(fields: Fields, row: int, at: int, fix: Fix) -> None:
    """What is missing of the bar is taken from the close before (all of it, where there was no bar)."""
    whole = all(np.isnan(fields[name][row, at]) for name in PRICE_FIELDS)
    if whole:
        _flat(fields, row, at)
    else:
        known = [fields[name][row, at] for name in PRICE_FIELDS if fields[name][row, at] > 0]
        for name in PRICE_FIELDS:
            if not fields[name][row, at] > 0:
                close = fields["close"][row, at]
                fields[name][row, at] = {"high": max(known), "low": min(known)}.get(
                    name, close if close > 0 else known[0]
                )
    if "volume" in fields and np.isnan(fields["volume"][row, at]):
        fields["volume"][row, at] = 0.0


def _suspend(fields: Fields, row: int, at: int, fix: Fix) -> None:
    """The close before stands, nothing is traded, and the bar says so."""
    _flat(fields, row, at)
    for name in ("volume", "amount"):
        if name in fields:
            fields[name][row, at] = 0.0
    fields["suspended"][row, at] = 1.0


def _adjust(fields: Fields, row: int, at: int, fix: Fix) -> None:
    for name in set(PRICES) & set(fields):
        if name != "prev_close":
            fields[name][row, :at] *= fix.factor
    for name in set(SHARES) & set(fields):
        fields[name][row, :at] /= fix.factor
    if "factor" in fields:
        fields["factor"][row, :at] /= fix.factor


def _rescale(fields: Fields, row: int, at: int, fix: Fix) -> None:
    """The volumes before are counted in another unit; the money traded is not."""
    for name in set(SHARES) & set(fields):
        fields[name][row, :at] *= fix.factor


def _blank(fields: Fields, row: int, at: int, fix: Fix) -> None:
    """The bar stays, what is wrong in it is unknown: the volume below zero, or the money that does not fit."""
    for name in ("volume",) if fix.check == "negative_volume" else ("amount", "vwap"):
        if name in fields:
            fields[name][row, at] = np.nan


_ACTIONS = {
    "drop": _drop, "clip": _clip, "fill": _fill, "suspend": _suspend, "adjust": _adjust, "rescale": _rescale,
    "blank": _blank,
}  # fmt: skip
