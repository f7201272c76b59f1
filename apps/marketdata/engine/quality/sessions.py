"""Which days should have a bar: an exchange's calendar, or what the other symbols show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.calendars import custom
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.quality.series import Collector, Presence
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

UNKNOWN = N_("There is no calendar %(calendar)s. Use an exchange's code like %(known)s, or leave it empty.")
KNOWN = ("XNYS", "XSHG", "XHKG", "XLON", "24/7")
GUESSES = ("XNYS", "XSHG", "24/7")
AGREEMENT = 0.995
ENOUGH_DAYS = 60
DAY = np.timedelta64(1, "D")
ALWAYS = "24/7"
PEERS = "peers"
# A time of day counts as usual where nearly every of at least so many days has a bar then.
USUAL_DAYS, USUAL_SHARE = 10, 0.95


@dataclass(frozen=True)
class Sessions:
    """Days an exchange was open, of those between ``first`` and ``last`` that its calendar knows."""

    name: str
    first: np.datetime64
    last: np.datetime64
    days: NDArray[np.datetime64]


def sessions(calendar: str, start: np.datetime64, end: np.datetime64) -> Sessions:
    """Return the sessions of ``calendar`` from ``start`` to ``end`` (days); nothing is extrapolated.

    Raises ``Refusal`` ``unknown_calendar``.
    """
    if calendar == ALWAYS:
        return Sessions(calendar, start, end, np.arange(start, end + DAY))
    own = custom(calendar)
    if own is None:
        return _of_library(calendar, start, end)
    first, last = max(start, np.datetime64(own.first, "D")), min(end, np.datetime64(own.last, "D"))
    return Sessions(calendar, first, last, own.days(start, end) if first <= last else np.array([], "datetime64[D]"))


@lru_cache(maxsize=16)
def _of_library(calendar: str, start: np.datetime64, end: np.datetime64) -> Sessions:
    import exchange_calendars as xcals
    import pandas as pd

    if calendar not in xcals.get_calendar_names():
        raise Refusal("unknown_calendar", UNKNOWN, field="calendar", calendar=calendar[:20], known=", ".join(KNOWN))
    kind = type(xcals.get_calendar(calendar))
    first = max(pd.Timestamp(start), kind.bound_min() or pd.Timestamp(start))
    last = min(pd.Timestamp(end), kind.bound_max() or pd.Timestamp(end), pd.Timestamp(kind.default_end()))
    limits = np.datetime64(first, "D"), np.datetime64(last, "D")
    if last < first:
        return Sessions(calendar, *limits, np.array([], dtype="datetime64[D]"))
    # The library wants a span that holds sessions: read two weeks more, keep what was asked for.
    early = max(first - pd.Timedelta(days=14), kind.bound_min() or pd.Timestamp.min)
    opened = kind(start=early, end=last).sessions.to_numpy().astype("datetime64[D]")
    return Sessions(calendar, *limits, opened[opened >= limits[0]])


def guess_calendar(panel: BarPanel) -> str:
    """Return the calendar that the days of a daily panel agree with to 99.5 % both ways, or an empty name."""
    days = np.unique(panel.times.astype("datetime64[D]"))
    if panel.frequency != "1d" or len(days) < ENOUGH_DAYS:
        return ""
    for name in GUESSES:
        opened = sessions(name, days[0], days[-1])
        inside = days[(days >= opened.first) & (days <= opened.last)]
        common = len(np.intersect1d(inside, opened.days, assume_unique=True))
        if len(inside) >= ENOUGH_DAYS and common >= AGREEMENT * max(len(inside), len(opened.days)):
            return name
    return ""


def with_more(opened: Sessions, more_days: Mapping[np.datetime64, bool]) -> Sessions:
    """Return the sessions with what an administrator added (True) or took (False); the end moves with the last one."""
    if not more_days:
        return opened
    added = np.array([day for day, is_open in more_days.items() if is_open], dtype="datetime64[D]")
    taken = np.array([day for day, is_open in more_days.items() if not is_open], dtype="datetime64[D]")
    days = np.setdiff1d(np.union1d(opened.days, added), taken)
    last = max([opened.last, *more_days])
    return Sessions(opened.name, opened.first, last, days)


def check_sessions(
    panel: BarPanel,
    all_series: Sequence[Presence],
    found: Collector,
    *,
    calendar: str,
    more_days: Mapping[np.datetime64, bool] | None = None,
) -> dict[str, int]:
    """Compare each symbol's days with the calendar (or with its peers); returns the gaps per symbol."""
    if panel.frequency != "1d":
        return _check_steps(panel, all_series, found) if panel.frequency != "1w" else {}
    days = panel.times.astype("datetime64[D]")
    if calendar:
        opened = with_more(sessions(calendar, days[0], days[-1]), more_days or {})
        _beyond_the_calendar(days, opened, found)
        expected, name = opened.days, calendar
        _extra(days, all_series, opened, found)
    else:
        expected, name = _days_of_peers(days, all_series), PEERS
    return _missing(days, all_series, expected, name, found)


def _beyond_the_calendar(days: NDArray[np.datetime64], opened: Sessions, found: Collector) -> None:
    outside = int(((days < opened.first) | (days > opened.last)).sum())
    if outside:
        first, last = str(opened.first), str(opened.last)
        found.add("calendar_end", "warning", calendar=opened.name, count=outside, first=first, last=last)


def _days_of_peers(days: NDArray[np.datetime64], all_series: Sequence[Presence]) -> NDArray[np.datetime64]:
    """Return the days on which at least half of the symbols alive (three or more) have a bar."""
    alive, present = np.zeros(len(days)), np.zeros(len(days))
    for series in all_series:
        alive[series.at[0] : series.at[-1] + 1] += 1
        present[series.at] += 1
    return days[(alive >= 3) & (present * 2 >= alive)]


def _missing(
    days: NDArray[np.datetime64],
    all_series: Sequence[Presence],
    expected: NDArray[np.datetime64],
    name: str,
    found: Collector,
) -> dict[str, int]:
    gaps = {}
    nobody = np.setdiff1d(expected, days) if len(all_series) > 1 else np.array([], dtype="datetime64[D]")
    for day in nobody:
        found.put(Finding("missing_session", "warning", time=day.astype("datetime64[ns]"), params={"calendar": name}))
    for series in all_series:
        own = series.time.astype("datetime64[D]")
        due = expected[(expected >= own[0]) & (expected <= own[-1])]
        absent = np.setdiff1d(due, own, assume_unique=True)
        gaps[series.symbol] = len(absent)
        for day in np.setdiff1d(absent, nobody, assume_unique=True):
            place = day.astype("datetime64[ns]")
            found.put(Finding("missing_session", "warning", series.symbol, place, params={"calendar": name}))
    return gaps


def _extra(days: NDArray[np.datetime64], all_series: Sequence[Presence], opened: Sessions, found: Collector) -> None:
    inside = days[(days >= opened.first) & (days <= opened.last)]
    closed = np.setdiff1d(inside, opened.days)
    if not len(closed):
        return
    for series in all_series:
        for at in np.flatnonzero(np.isin(series.time.astype("datetime64[D]"), closed)):
            found.add("extra_session", "warning", series, int(at), calendar=opened.name)


def _check_steps(panel: BarPanel, all_series: Sequence[Presence], found: Collector) -> dict[str, int]:
    """Find holes in the bars of a market that never closes; others pause too often to tell."""
    gaps: dict[str, int] = {}
    for series in all_series:
        steps = np.diff(series.time)
        if len(steps) < ENOUGH_DAYS:
            continue
        if not _never_closes(series):
            gaps[series.symbol] = _check_usual_minutes(series, found)
            continue
        usual = np.median(steps.astype(np.int64)).astype("timedelta64[ns]")
        holes = np.flatnonzero(steps > usual)
        gaps[series.symbol] = int(sum(steps[hole] // usual - 1 for hole in holes))
        for hole in holes:
            before = str(series.time[hole].astype("datetime64[m]"))
            count = int(steps[hole] // usual - 1)
            found.add("missing_bars", "warning", series, int(hole) + 1, count=count, before=before)
    return gaps


def _check_usual_minutes(series: Presence, found: Collector) -> int:
    """Find holes within a day: times of day at which nearly every day has a bar, and this one has none."""
    days = series.time.astype("datetime64[D]")
    minutes = (series.time - days).astype("timedelta64[m]").astype(np.int64)
    first = np.flatnonzero(np.concatenate([[True], days[1:] != days[:-1]]))
    every = days[first]
    if len(every) < USUAL_DAYS:
        return 0
    usual = np.flatnonzero(np.bincount(minutes) >= USUAL_SHARE * len(every))
    missing = 0
    for day, start, stop in zip(every, first, [*first[1:], len(days)], strict=True):
        present = minutes[start:stop]
        due = usual[np.searchsorted(usual, present[0], "right") : np.searchsorted(usual, present[-1], "left")]
        if np.array_equal(due, present[1:-1]):
            continue
        for minute in _first_of_runs(np.setdiff1d(due, present), due):
            after = int(start) + int(np.searchsorted(present, minute[0]))
            missing += minute[1]
            before = str((day + np.timedelta64(int(present[after - start - 1]), "m")).astype("datetime64[m]"))
            found.add("missing_bars", "warning", series, after, count=minute[1], before=before)
    return missing


def _first_of_runs(missing: NDArray[np.int64], due: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return (first, length) of each run of neighbours of ``due`` that are missing."""
    places = np.searchsorted(due, missing)
    runs = np.split(missing, np.flatnonzero(np.diff(places) > 1) + 1) if len(missing) else []
    return [(int(run[0]), len(run)) for run in runs]


def _never_closes(series: Presence) -> bool:
    """Bars on all seven weekdays and in at least 23 hours of the day."""
    days = series.time.astype("datetime64[D]").astype(np.int64)
    hours = (series.time.astype("datetime64[h]").astype(np.int64)) % 24
    return len(np.unique(days % 7)) == 7 and len(np.unique(hours)) >= 23
