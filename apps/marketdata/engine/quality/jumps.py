"""Jumps: a split that was not applied against a true move.

Evidence is asked in this order: an adjusted close or a factor in the data itself; a price
limit that makes the move impossible (A-shares); then the shape of the day. A true crash
comes with many times the usual money traded and opens anywhere; a split opens at the old
close divided by a small ratio, with the usual money.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.corporate import CorporateAction
from apps.marketdata.engine.findings import Severity
from apps.marketdata.engine.quality.series import Collector, Series, number, percent

LARGE = 0.30
MOVE_WITHOUT_TRADE = 0.01
RELISTED_AFTER = 20
PAYOUT = 0.05
# Shares after for one share before; the text names them as people do.
RATIOS = {
    1.1: "11:10", 1.2: "6:5", 1.25: "5:4", 1.3: "13:10", 4 / 3: "4:3", 1.4: "7:5", 1.5: "3:2", 1.6: "8:5", 1.7: "17:10",
    1.8: "9:5", 1.9: "19:10", 2.0: "2:1", 2.5: "5:2", 3.0: "3:1", 4.0: "4:1", 5.0: "5:1", 6.0: "6:1", 7.0: "7:1",
    8.0: "8:1", 10.0: "10:1", 15.0: "15:1", 20.0: "20:1", 25.0: "25:1", 30.0: "30:1", 50.0: "50:1", 100.0: "100:1",
}  # fmt: skip
# Without evidence only these are believed: usual forward splits, and reverse splits from 2 up.
USUAL_FORWARD = (1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0)
USUAL_REVERSE = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0)
OPENING_ROOM, CLOSING_ROOM, UNTRADED_ROOM, FAR_ROOM = 0.08, 0.15, 0.03, 0.3
PENNY = 2.0
MONEY_ROOM = 2.5
A_SHARE = re.compile(r"(?:(?:SH|SZ|BJ)\.?)?(\d{6})(?:\.(?:SH|SZ|BJ|XSHG|XSHE|SS))?", re.IGNORECASE)
WIDE_GROWTH_BOARD = np.datetime64("2020-08-24", "ns")


@dataclass(frozen=True)
class Jump:
    """One step of the closes: ``move`` as it stands, ``true`` where the data tells, the limit and the days idle."""

    before: int
    at: int
    move: float
    true: float | None
    limit: float
    idle: int
    stated: bool = False
    told: bool = False

    @property
    def rest(self) -> float:
        """The move as far as no event in the data explains it."""
        return self.move if self.true is None else self.true


def events_by_symbol(events: Sequence[CorporateAction]) -> dict[str, list[CorporateAction]]:
    """Return the events the source states, by symbol; steps of an adjusted close are evidence, not statements."""
    stated: dict[str, list[CorporateAction]] = {}
    for event in events:
        if event.source != "adj_close":
            stated.setdefault(event.symbol, []).append(event)
    return stated


def check_jumps(series: Series, found: Collector, *, daily: bool, events: Sequence[CorporateAction] = ()) -> None:
    """Report splits and payouts that the prices lack, moves beyond what can be, and moves without trade."""
    good = np.flatnonzero((series.close > 0) & (series.open > 0))
    if len(good) < 2:
        return
    before, after = good[:-1], good[1:]
    move = series.close[after] / series.close[before]
    stated = _stated(series, after, events)
    true = _true_move(series, before, after)
    told = true is not None
    if true is None and (stated != 1).any():
        true = move / stated
    _without_trade(series, found, move if true is None else true, after)
    limit = price_limits(series)[after] if daily else np.full(len(after), np.inf)
    idle = _idle_before(series)[after]
    for step in np.flatnonzero(_worth_a_look(move, true, limit)):
        known = None if true is None else float(true[step])
        numbers = float(move[step]), known, float(limit[step]), int(idle[step])
        known_event = abs(np.log(stated[step])) > 1e-6
        _judge(series, found, Jump(int(before[step]), int(after[step]), *numbers, known_event, told))


def _stated(series: Series, after: NDArray[np.int64], events: Sequence[CorporateAction]) -> NDArray[np.float64]:
    """Return per step of the closes the product of the factors of the events that fall on it."""
    factors = np.ones(len(after))
    times = series.time[after]
    for event in events:
        at = int(np.searchsorted(times, event.day.astype("datetime64[ns]")))
        if at < len(factors):
            factors[at] *= event.factor
    return factors


def _worth_a_look(
    move: NDArray[np.float64], true: NDArray[np.float64] | None, limit: NDArray[np.float64]
) -> NDArray[np.bool_]:
    rest = move if true is None else true
    interesting = (np.abs(rest - 1) > LARGE) | (np.abs(rest - 1) > limit) | (np.abs(move - 1) > LARGE)
    return interesting if true is None else interesting | (np.abs(move / true - 1) > PAYOUT)


def _true_move(series: Series, before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return close / close with splits and payouts taken out, where the data itself tells; else None."""
    if "adj_close" in series.fields and (series.adj_close > 0).any():
        adjusted = series.adj_close
    elif "factor" in series.fields and (series.factor > 0).any():
        adjusted = series.close * series.factor
    else:
        return None
    true = adjusted[after] / adjusted[before]
    return np.where(np.isfinite(true) & (true > 0), true, series.close[after] / series.close[before])


def _judge(series: Series, found: Collector, jump: Jump) -> None:
    at, move, true, rest = jump.at, jump.move, jump.true, jump.rest
    # What the dataset states as an event is known to the back-test: say it, do not block.
    severity: Severity = "note" if jump.stated else "error"
    prices = {"before": number(series.close[jump.before]), "after": number(series.close[at])}
    if jump.idle >= RELISTED_AFTER and abs(rest - 1) > LARGE:
        found.add("relisting", "note", series, at, move=percent(rest - 1), days=jump.idle)
    elif true is not None and abs(np.log(move / true)) > np.log(1.2):
        found.add("split_like_jump", severity, series, at, **_split(true / move, true), **prices)
    elif true is not None and move / true < 1 - PAYOUT:
        share = 1 - move / true
        amount = f"{share * float(series.close[jump.before]):.2f}"
        found.add("dividend_not_applied", severity, series, at, amount=amount, share=f"{share:.1%}", **prices)
    elif abs(rest - 1) > jump.limit and jump.idle < RELISTED_AFTER:
        _beyond_limit(series, found, jump, prices)
    elif not jump.told and not jump.stated and (ratio := split_ratio(series, jump.before, at)):
        found.add("split_like_jump", "error", series, at, **_split(ratio, move * ratio), **prices)
    elif abs(rest - 1) > LARGE:
        money = _money(series, jump.before, at)
        found.add("large_move", "warning", series, at, move=percent(rest - 1), times=f"{money:.1f}" if money else "?")


def _split(ratio: float, true: float) -> dict[str, str]:
    return {"ratio": _words(ratio), "true": percent(true - 1)}


def _beyond_limit(series: Series, found: Collector, jump: Jump, prices: dict[str, str]) -> None:
    """A fall no rule allows is an event left out; a rise may be one of the days without a limit."""
    move, limit = jump.rest, jump.limit
    ratio = min((r for r in RATIOS if abs(move * r - 1) <= limit), key=lambda r: abs(move * r - 1), default=None)
    # A vendor's factor that steps where the price does not is wrong itself: no split to apply.
    contradicted = jump.true is not None and abs(np.log(jump.move / jump.true)) > 0.02
    if move < 1 and ratio and not contradicted:
        found.add("split_like_jump", "error", series, jump.at, **_split(ratio, move * ratio), **prices)
    else:
        words = {"move": percent(move - 1), "limit": f"{limit - LIMIT_ROOM:.0%}"}
        found.add("impossible_move", "warning", series, jump.at, **words, **prices)


def split_ratio(series: Series, before: int, at: int) -> float | None:
    """Return the ratio of a split that the day's shape tells of, or None for a true move.

    The open must lie within 8 % of the old close divided by a usual ratio, the close within
    15 %, the money traded within 2.5 times of the usual; where no volume is known, the open
    alone decides within 3 %. Nobody splits a share down to the price of a penny stock. Five
    times up at the open is a reverse split whatever was traded.
    """
    jump = float(series.close[before] / series.open[at])
    usual = USUAL_FORWARD if jump > 1 else tuple(1 / ratio for ratio in USUAL_REVERSE)
    ratio = min(usual, key=lambda candidate: abs(np.log(jump / candidate)))
    off = abs(np.log(jump / ratio))
    if ratio <= 0.2:
        return ratio if off <= FAR_ROOM else None
    money = _money(series, before, at)
    room = UNTRADED_ROOM if money is None else OPENING_ROOM
    day = abs(np.log(ratio * series.close[at] / series.close[before]))
    penny = ratio > 1 and series.close[at] < PENNY
    quiet = money is None or money <= MONEY_ROOM
    return ratio if off <= room and day <= CLOSING_ROOM and quiet and not penny else None


def _money(series: Series, before: int, at: int) -> float | None:
    """Return the money traded as a multiple of the median of the 20 bars before, None where unknown."""
    first = max(0, before - 19)
    past = series.close[first : before + 1] * series.volume[first : before + 1]
    past = past[past > 0]
    today = float(series.close[at] * series.volume[at])
    return today / float(np.median(past)) if len(past) and today > 0 else None


def _words(ratio: float) -> str:
    """Name a ratio: 2:1 for one share made two, 1:20 for twenty made one."""
    size = ratio if ratio >= 1 else 1 / ratio
    nearest = min(RATIOS, key=lambda known: abs(np.log(size / known)))
    text = RATIOS[nearest] if abs(size / nearest - 1) < 0.03 else f"{size:.3g}:1"
    return text if ratio >= 1 else ":".join(reversed(text.split(":")))


def _without_trade(series: Series, found: Collector, move: NDArray[np.float64], after: NDArray[np.int64]) -> None:
    if not (series.volume > 0).any():
        return
    for step in np.flatnonzero((np.abs(move - 1) > MOVE_WITHOUT_TRADE) & (series.volume[after] == 0)):
        found.add("price_move_without_volume", "warning", series, int(after[step]), move=percent(move[step] - 1))


def _idle_before(series: Series) -> NDArray[np.int64]:
    """Return for each bar how many steps of the time axis lie between it and the trade (or the start) before."""
    traded = np.where(series.traded, series.at, -1)
    last = np.maximum.accumulate(np.concatenate([[-1], traded[:-1]]))
    return np.where(last >= 0, series.at - last - 1, series.at - series.at[0])


# Limits are rounded to the cent, and a bar may touch them: one percent of room.
LIMIT_ROOM = 0.012


def price_limits(series: Series) -> NDArray[np.float64]:
    """Return the largest possible daily move of an A-share per bar, infinite in its first five and for others."""
    found = A_SHARE.fullmatch(series.symbol)
    if not found:
        return np.full(len(series), np.inf)
    code = found.group(1)
    limit = np.full(len(series), 0.10 + LIMIT_ROOM)
    if code.startswith(("688", "689")):
        limit[:] = 0.20 + LIMIT_ROOM
    elif code.startswith("30"):
        limit[series.time >= WIDE_GROWTH_BOARD] = 0.20 + LIMIT_ROOM
    elif code.startswith(("8", "4", "92")):
        limit[:] = 0.30 + LIMIT_ROOM
    limit[:5] = np.inf
    return limit
