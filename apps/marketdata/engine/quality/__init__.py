"""Quality of a dataset: every check once, the findings in order, one verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import Imported
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.corporate import CorporateAction
from apps.marketdata.engine.findings import Finding, Verdict, verdict_of
from apps.marketdata.engine.quality.bars import check_bars
from apps.marketdata.engine.quality.jumps import check_jumps, events_by_symbol
from apps.marketdata.engine.quality.oddities import check_oddities
from apps.marketdata.engine.quality.series import Collector, Presence, series_of
from apps.marketdata.engine.quality.sessions import check_sessions, guess_calendar
from apps.marketdata.engine.quality.universe import check_universe
from apps.marketdata.engine.universe import Membership

__all__ = ["CHECKS", "Report", "check_imported", "check_panel", "guess_calendar"]

# What is looked for; a check without a finding has passed.
CHECKS = (
    "refused_file", "truncated_file", "missing_value", "duplicate_bar",
    "unsorted_time", "ohlc_inconsistent", "non_positive_price",
    "negative_volume", "missing_session", "extra_session", "missing_bars", "split_like_jump", "dividend_not_applied",
    "impossible_move", "large_move", "price_move_without_volume", "constant_volume", "flat_bars", "stale_price",
    "outlier", "volume_unit_change", "amount_mismatch", "mixed_time_zones", "survivorship",
)  # fmt: skip
HARMLESS = "note"


@dataclass(frozen=True)
class Report:
    """Findings (errors first), the verdict, how many checks found nothing, gaps per symbol."""

    findings: tuple[Finding, ...]
    verdict: Verdict
    checks_passed: int
    gaps: Mapping[str, int]


def check_imported(imported: Imported, *, calendar: str = "", everything: bool = False) -> Report:
    """Check what a reader returned; an empty ``calendar`` is recognised from the days where it can be."""
    return check_panel(
        imported.panel, lines=imported.lines, calendar=calendar or guess_calendar(imported.panel),
        reader_findings=imported.findings, events=imported.events, membership=imported.membership,
        everything=everything,
    )  # fmt: skip


def check_panel(
    panel: BarPanel,
    *,
    lines: NDArray[np.int64] | None = None,
    calendar: str = "",
    reader_findings: Sequence[Finding] = (),
    events: Sequence[CorporateAction] = (),
    membership: Sequence[Membership] = (),
    more_days: Mapping[np.datetime64, bool] | None = None,
    everything: bool = False,
    on_progress: Callable[[float], None] | None = None,
) -> Report:
    """Check all bars. ``reader_findings`` are what the import saw in the file itself.

    Without ``calendar`` the days of a daily panel are compared with those of its other symbols.
    ``more_days`` are sessions that an administrator added to the calendar (or took, False).
    ``events`` explain jumps, ``membership`` tells who is missing. ``everything`` cuts no list.
    """
    found = Collector(everything=everything)
    for finding in reader_findings:
        found.put(finding)
    seen: list[Presence] = []
    gaps: dict[str, int] = {}
    intraday = panel.frequency not in ("1d", "1w")
    rows = {symbol: row for row, symbol in enumerate(panel.symbols)}
    stated = events_by_symbol(events)
    with np.errstate(invalid="ignore", divide="ignore"):
        for series in series_of(panel, lines):
            check_bars(series, found, frequency=panel.frequency)
            check_jumps(series, found, daily=panel.frequency == "1d", events=stated.get(series.symbol, ()))
            check_oddities(series, found, daily=panel.frequency in ("1d", "1w"))
            present = Presence(
                series.symbol,
                series.at.astype(np.int32),
                panel.times,
                None if lines is None else lines[rows[series.symbol]],
            )
            if intraday:
                # Years of minutes would fill the memory: look at them now, keep the two ends.
                gaps |= check_sessions(panel, [present], found, calendar=calendar)
                present = replace(present, at=present.at[[0, -1]])
            seen.append(present)
            if on_progress:
                on_progress(len(seen) / len(panel.symbols))
        if not intraday:
            gaps = check_sessions(panel, seen, found, calendar=calendar, more_days=more_days or {})
    check_universe(panel, seen, membership, found)
    findings = tuple(found.findings())
    failed = {finding.check for finding in findings if finding.severity != HARMLESS}
    return Report(findings, verdict_of(findings), len(set(CHECKS) - failed), gaps)
