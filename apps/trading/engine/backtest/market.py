"""What a market allows and takes, bar by bar: one object for all doors of the backtester."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.costs import Costs
from apps.trading.engine.rules import schedule
from apps.trading.engine.rules.boards import Board

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: A price this part away from a limit is the limit: prices divided by a factor are not exact.
SAME = 1e-6
#: Days of a year as lenders of shares count.
YEAR = 360.0
#: Where no board is known: any quantity, the same day, nothing charged.
FREE_LOT = (1.0, 1.0)


class Rules(NamedTuple):
    """``Market`` as the compiled loops take it; arrays as there, ``board`` (S,) into ``charges`` (B, T, 4)."""

    up: Floats
    down: Floats
    day: Integers
    missed: Integers
    minimum: Floats
    step: Floats
    settle: Integers
    board: Integers
    charges: Floats
    maxima: Floats
    least_value: Floats
    refuse: bool
    owes: bool
    borrow: Floats
    funding: Floats
    event_bar: Integers
    event_symbol: Integers
    event_ratio: Floats
    event_payout: Floats


@dataclass(frozen=True)
class Event:
    """A corporate action as an account feels it: ``ratio`` shares for one, ``payout`` money for each held before.

    ``bar`` is the first at which the instrument trades without the right.
    """

    bar: int
    symbol: int
    ratio: float = 1.0
    payout: float = 0.0


@dataclass(frozen=True)
class Market:
    """Rules over (S, T): ``up`` and ``down`` price limits (NaN: none), ``day`` (T,) the session of a bar.

    ``minimum`` and ``step`` are shares by instrument; ``settle`` 1: shares bought in a session are sold in a
    later one. ``charges`` (B, T, 4) is what the market takes beside the commission (``schedule.charges``),
    ``board`` (S,) which of them. ``missed`` (T,) counts the bars left out before each bar. An instrument
    without an open and a close is suspended. ``events`` come in the order of their bars. ``maxima`` (B, T, 2) are
    the most shares of one order, ``cage`` (B, T, 2) how far a limit order may lie through the market
    (``schedule.maxima``, ``schedule.cages``; None: no rule), ``least_value`` (S,) the least money of one order that
    does not close a holding (None: any). What a perpetual position pays is counted from the
    first bar on: ``stamps`` (T,) funding times up to the start of each bar, ``funded`` (S, T) rates that the data
    tells, added up to the start of each bar (NaN: of an instrument of which it tells none); None: unknown.
    """

    up: Floats
    down: Floats
    day: Integers
    minimum: Floats
    step: Floats
    settle: Integers
    board: Integers
    charges: Floats
    events: tuple[Event, ...] = field(default=())
    missed: Integers | None = None
    maxima: Floats | None = None
    cage: Floats | None = None
    stamps: Integers | None = None
    funded: Floats | None = None
    least_value: Floats | None = None

    @classmethod
    def of(
        cls, market: str, boards: Sequence[str], days: Sequence[date], close: Floats, *,
        st: NDArray[np.bool_] | None = None, age: Integers | None = None, events: Sequence[Event] = (),
    ) -> Market:  # fmt: skip
        """Build daily rules from raw closes (S, T), the board of each instrument, its ST flags and its age (S, T)."""
        every = [(market, board) for board in boards]
        days_ = np.array(days, "datetime64[D]")
        return cls.build(every, days_, _reference(close, events), st=st, age=age, events=events)

    @classmethod
    def build(
        cls, boards: Sequence[Board | None], days: NDArray[np.datetime64], reference: Floats, *,
        st: NDArray[np.bool_] | None = None, age: Integers | None = None, events: Sequence[Event] = (),
        limited: bool = True, lots: bool = True, charged: bool = True,
    ) -> Market:  # fmt: skip
        """Build the rules of instruments whose ``boards`` are known (None: no rule) on ``days`` (T,).

        ``reference`` (S, T) is the price today's limits refer to, as traded; ``age`` (S, T) the session since
        listing, 0 long ago. Prices that are not as traded have no ``limited`` price and no ``lots``.
        """
        kinds = list(dict.fromkeys(boards))
        up, down = np.full(reference.shape, math.nan), np.full(reference.shape, math.nan)
        charges = np.zeros((len(kinds), len(days), 4))
        charges[:, :, schedule.MOST_SOLD] = math.inf
        maxima, cage = (np.full((len(kinds), len(days), 2), nothing) for nothing in (math.inf, math.nan))
        lot, settle, least_value = [FREE_LOT] * len(boards), [0] * len(boards), np.zeros(len(boards))
        for number, board in enumerate(kinds):
            if board is None:
                continue
            rows = [s for s, own in enumerate(boards) if own == board]
            if limited:
                up[rows], down[rows] = schedule.limits(
                    board, days, reference[rows], st=None if st is None else st[rows],
                    age=None if age is None else age[rows],
                )  # fmt: skip
                cage[number] = schedule.cages(board, days)
            if lots:
                maxima[number] = schedule.maxima(board, days)
            if charged:
                charges[number] = schedule.charges(board, days)
            for s in rows:
                lot[s] = schedule.latest(board, "lot", days, FREE_LOT) if lots else FREE_LOT
                settle[s] = int(schedule.latest(board, "settle", days, 0))
                least_value[s] = schedule.latest(board, "min_notional", days, 0.0) if lots else 0.0
        return cls(
            up, down, days.astype(np.int64), np.array([float(least) for least, _ in lot]),
            np.array([float(step) for _, step in lot]), np.array(settle, np.int64),
            np.array([kinds.index(board) for board in boards], np.int64), charges,
            tuple(sorted(events, key=lambda event: (event.bar, event.symbol))), None, maxima, cage,
            least_value=least_value,
        )  # fmt: skip

    def row(self, s: int) -> Market:
        """Return the rules of one instrument, (1, T)."""
        one = slice(s, s + 1)
        return replace(
            self, up=self.up[one], down=self.down[one], minimum=self.minimum[one], step=self.step[one],
            settle=self.settle[one], board=self.board[one], funded=None if self.funded is None else self.funded[one],
            least_value=None if self.least_value is None else self.least_value[one],
            events=tuple(replace(event, symbol=0) for event in self.events if event.symbol == s),
        )  # fmt: skip

    def rows(self, chosen: Sequence[int]) -> Market:
        """Return the rules of instruments in the order of ``chosen``, (len(chosen), T)."""
        places = {s: place for place, s in enumerate(chosen)}
        kept = [replace(event, symbol=places[event.symbol]) for event in self.events if event.symbol in places]
        index = list(chosen)
        return replace(
            self, up=self.up[index], down=self.down[index], minimum=self.minimum[index], step=self.step[index],
            settle=self.settle[index], board=self.board[index],
            funded=None if self.funded is None else self.funded[index],
            least_value=None if self.least_value is None else self.least_value[index],
            events=tuple(sorted(kept, key=lambda event: (event.bar, event.symbol))),
        )  # fmt: skip

    def at(self, index: Integers, first: int = 0) -> Market:
        """Return the rules over the bars ``index[first:]`` alone; an event between two bars falls on the later one.

        What happened before the first of them is gone: nothing was held.
        """
        kept = index[first:]
        start = int(kept[0]) if len(kept) else 0
        moved = [
            replace(event, bar=int(np.searchsorted(kept, event.bar)))
            for event in self.events
            if event.bar >= start and (len(kept) and event.bar <= kept[-1])
        ]
        missed = np.diff(kept, prepend=kept[:1] - 1) - 1 if len(kept) else np.empty(0, np.int64)
        return replace(
            self, up=self.up[:, kept], down=self.down[:, kept], day=self.day[kept],
            maxima=None if self.maxima is None else np.ascontiguousarray(self.maxima[:, kept]),
            cage=None if self.cage is None else self.cage[:, kept],
            stamps=None if self.stamps is None else self.stamps[kept],
            funded=None if self.funded is None else self.funded[:, kept],
            charges=np.ascontiguousarray(self.charges[:, kept]), events=tuple(moved), missed=missed,
        )  # fmt: skip

    def when_traded(self, open_: Floats, close: Floats) -> Market:
        """Return the rules with each event on the first bar at or after its own that traded; ``open_`` is (S, T).

        What never trades again leaves no event.
        """
        traded = (open_ > 0) & (close > 0)
        moved = []
        for event in self.events:
            later = np.flatnonzero(traded[event.symbol, event.bar :])
            if len(later):
                moved.append(replace(event, bar=event.bar + int(later[0])))
        return replace(self, events=tuple(sorted(moved, key=lambda event: (event.bar, event.symbol))))

    def levied(self, part: float) -> Market:
        """Return the rules with ``part`` of the charges and told rates: 0 is none, 2 twice as much."""
        if part == 1.0:
            return self
        funded = None if self.funded is None else self.funded * part
        charges = self.charges.copy()
        charges[:, :, : schedule.MOST_SOLD] *= part
        if part > 0.0:
            charges[:, :, schedule.MOST_SOLD] *= part
        return replace(self, charges=charges, funded=funded)

    def most(self, s: int, kind: int) -> Floats:
        """Return the most shares of one order of instrument ``s`` at each bar, (T,)."""
        if self.maxima is None:
            return np.full(len(self.day), math.inf)
        return self.maxima[self.board[s], :, kind]

    def owed(self, costs: Costs) -> tuple[Floats, Floats] | None:
        """Return what is owed at the start of each bar for holding over it, or None where nothing is.

        The borrow fee (T,) of the value of a short, a 360th of a year for each night; funding (S, T) of the value
        of any position: the rates that the data tells, else ``costs.funding`` for each funding time.
        """
        nights = np.diff(self.day, prepend=self.day[:1]).astype(np.float64)
        funding = np.zeros((len(self.board), len(self.day)))
        if self.stamps is not None:
            funding += np.diff(self.stamps, prepend=self.stamps[:1]) * costs.funding
        if self.funded is not None:
            told = np.diff(self.funded, axis=1, prepend=self.funded[:, :1])
            funding = np.where(np.isnan(told), funding, told)
        borrow = nights * (costs.borrow / YEAR)
        return (borrow, funding) if borrow.any() or funding.any() else None

    def rules(self, costs: Costs, *, refuse: bool = False) -> Rules:
        """Return the arrays as the compiled loops take them, with the part of charges and what ``costs`` owe.

        ``refuse`` what is above a maximum, else split it.
        """
        if costs.levies != 1.0:
            return self.levied(costs.levies).rules(replace(costs, levies=1.0), refuse=refuse)
        owed = self.owed(costs)
        borrow, funding = owed if owed is not None else (np.zeros(1), np.zeros((1, 1)))
        maxima = np.full((*self.charges.shape[:2], 2), math.inf) if self.maxima is None else self.maxima
        missed = np.zeros(len(self.day), np.int64) if self.missed is None else self.missed
        least_value = np.zeros(len(self.board)) if self.least_value is None else self.least_value
        return Rules(
            np.ascontiguousarray(self.up), np.ascontiguousarray(self.down), np.ascontiguousarray(self.day),
            np.ascontiguousarray(missed), self.minimum, self.step, self.settle, self.board,
            np.ascontiguousarray(self.charges), np.ascontiguousarray(maxima),
            np.ascontiguousarray(least_value, np.float64), refuse,
            owed is not None, borrow, funding,
            np.array([event.bar for event in self.events], np.int64),
            np.array([event.symbol for event in self.events], np.int64),
            np.array([event.ratio for event in self.events], np.float64),
            np.array([event.payout for event in self.events], np.float64),
        )  # fmt: skip


def _reference(close: Floats, events: Sequence[Event]) -> Floats:
    """Return the newest close before each bar, without the rights that have gone since; NaN before the first."""
    at = np.where(close > 0, np.arange(close.shape[1]), -1)
    newest = np.maximum.accumulate(at, axis=1)
    earlier = np.concatenate([np.full((len(close), 1), -1), newest[:, :-1]], axis=1)
    found = np.where(earlier >= 0, np.take_along_axis(close, np.maximum(earlier, 0), axis=1), math.nan)
    for event in events:
        until = event.bar + 1
        while until < close.shape[1] and not close[event.symbol, until - 1] > 0:
            until += 1
        span = (event.symbol, slice(event.bar, until))
        found[span] = (found[span] - event.payout) / event.ratio
    return found
