"""Bars out of trades: by time, by volume, by money or by number of trades; streamed, one bar's state at a time.

A time bar holds the trades of [start, end) and is stamped with its end, as every bar here. A bar by volume, money or
number ends with the trade that fills it; the next trade opens the next bar, and the last unfinished one is left out.
Where a book tells of no trade, time bars are made of its midpoint, with the quote at the bar's end beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import STEPS, TOO_LARGE, Imported
from apps.marketdata.engine.bars import FIELDS, BarPanel
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.store import release
from apps.marketdata.engine.tape.model import Columns, Tape, trades_in
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Rule = Literal["time", "volume", "dollar", "trades"]
RULES: tuple[Rule, ...] = ("time", "volume", "dollar", "trades")
DAY = 86_400
SIZES = {"1s": 1, "5s": 5, "10s": 10, "30s": 30, **STEPS, "1d": DAY}
MOST_BARS, CELLS = 2_000_000, 50_000_000
BAD_RULE = N_("%(rule)s is no way to make bars. Choose time, volume, dollar or trades.")
BAD_STEP = N_("%(size)s is no length of a bar. Choose %(known)s.")
BAD_SIZE = N_("%(size)s is not a size. Write a number above zero: the volume, the money or the trades of one bar.")
MANY = N_("Bars of %(size)s would be more than %(most)s. Choose a larger size.")
NO_TRADES = N_("%(dataset)s tells of no trades, so only bars by time can be made, out of the midpoint of its book.")
NO_BARS = N_("%(dataset)s has too few trades for one bar of %(size)s. Choose a smaller size.")
SUMS = ("volume", "amount", "buy_volume", "trades")


@dataclass(frozen=True)
class BarRule:
    """How bars are cut: ``step`` in seconds for time, ``size`` for the others; ``text`` is what was asked for."""

    kind: Rule
    step: int = 0
    size: float = 0.0
    text: str = ""

    @property
    def frequency(self) -> str:
        """The frequency of the bars in the catalogue's words."""
        known = {seconds: name for name, seconds in STEPS.items()} | {DAY: "1d"}
        return known.get(self.step, "other") if self.kind == "time" else "other"


def bar_rule(kind: str, size: str) -> BarRule:
    """Return the rule of ``kind`` (time, volume, dollar, trades) and ``size`` (5min, or a number); refuse others."""
    chosen = next((rule for rule in RULES if rule == kind), None)
    if chosen is None:
        raise Refusal("bad_rule", BAD_RULE, field="rule", rule=kind[:20])
    text = size.strip()
    if chosen == "time":
        if text not in SIZES:
            raise Refusal("bad_size", BAD_STEP, field="size", size=text[:20] or "–", known=", ".join(SIZES))
        return BarRule(chosen, step=SIZES[text], text=text)
    try:
        value = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        value = 0.0
    if not (0 < value < 1e18) or (chosen == "trades" and value != int(value)):
        raise Refusal("bad_size", BAD_SIZE, field="size", size=text[:20] or "–")
    return BarRule(chosen, size=value, text=f"{value:g}")


def derive_bars(
    tape: Tape, rule: BarRule, *, time_zone: str = "UTC", on_progress: Callable[[float], None] | None = None
) -> Imported:
    """Return the bars of every symbol; ``time_zone`` is where the day of daily bars begins.

    Raises ``Refusal``: ``no_trades``, ``no_bars``, ``too_many_bars``, ``too_sparse``; ``on_progress`` may raise.
    """
    middle = not _has_trades(tape)
    if middle and (rule.kind != "time" or not tape.levels):
        raise Refusal("no_trades", NO_TRADES, status=409, field="rule", dataset=tape.name or "-")
    made: dict[str, Columns] = {}
    done = left = 0
    for name in tape.symbols:
        first, end = tape.bounds(name)
        bars = _Bars(rule, time_zone)
        for start, columns in tape.chunks(name):
            bars.take(_quotes(columns) if middle else _trades(columns))
            release(tape.columns.values())
            if on_progress:
                on_progress((done + start) / max(1, tape.rows))
        done += end - first
        found, unfinished = bars.finish()
        left += unfinished
        if len(found["time"]):
            made[name] = found
    if not made:
        raise Refusal("no_bars", NO_BARS, status=409, field="size", dataset=tape.name or "-", size=rule.text)
    notes = (Finding("unfinished_bars", "note", params={"count": left}),) if left else ()
    return Imported(_panel(made, rule, tape), findings=notes)


def _has_trades(tape: Tape) -> bool:
    for name in tape.symbols:
        for _first, columns in tape.chunks(name):
            if trades_in(columns).any():
                return True
    return False


def _trades(columns: Columns) -> Columns:
    """Return the trades as time, price, volume, amount, bought volume."""
    keep = trades_in(columns)
    price, size = columns["price"][keep], columns["size"][keep]
    amount = price * size
    if "amount" in columns:
        told = columns["amount"][keep]
        amount = np.where(np.isfinite(told), told, amount)
    bought = np.where(columns["side"][keep] > 0, size, 0.0)
    return {"time": columns["time"][keep], "price": price, "volume": size, "amount": amount, "buy_volume": bought,
            "trades": np.ones(len(price))}  # fmt: skip


def _quotes(columns: Columns) -> Columns:
    """Return the midpoints of a book without trades, with the quote."""
    bid, ask = columns["bid_price"][:, 0], columns["ask_price"][:, 0]
    keep = np.isfinite(bid) & np.isfinite(ask)
    nothing = np.full(int(keep.sum()), np.nan)
    return {
        "time": columns["time"][keep], "price": (bid[keep] + ask[keep]) / 2,
        **dict.fromkeys(("volume", "amount", "buy_volume", "trades"), nothing),
        "bid": bid[keep], "ask": ask[keep], "bid_size": columns["bid_size"][keep, 0],
        "ask_size": columns["ask_size"][keep, 0],
    }  # fmt: skip


@dataclass
class _Bars:
    """Bars of one symbol while its events pass; ``open_bar`` is the state of the one that is not finished."""

    rule: BarRule
    zone: str
    parts: list[Columns] = field(default_factory=list)
    open_bar: dict[str, float] | None = None
    key: int = 0
    count: int = 0

    def take(self, events: Columns) -> None:
        """Add events in their order."""
        if not len(events["time"]):
            return
        keys = self._time_keys(events["time"]) if self.rule.kind == "time" else None
        starts, closed = self._cuts_by_key(keys) if keys is not None else self._cuts_by_size(events)
        table = self._aggregate(events, starts, keys)
        if self.open_bar is not None and not (keys is not None and keys[0] != self.key):
            self._join(table)
        elif self.open_bar is not None:
            self._emit(self.open_bar)
        rows = len(starts)
        last = rows if closed else rows - 1
        self._keep({name: values[:last] for name, values in table.items()})
        self.open_bar = None if closed else {name: float(values[-1]) for name, values in table.items()}
        self._end = None if closed else table["time"][-1]
        if keys is not None:
            self.key = int(keys[-1])

    _end: np.int64 | None = None

    def finish(self) -> tuple[Columns, int]:
        """Return the bars and whether one was left unfinished; a time bar is whole when its time is over."""
        unfinished = int(self.open_bar is not None)
        if self.open_bar is not None and self.rule.kind == "time":
            self._emit(self.open_bar)
            unfinished = 0
        names = self.parts[0] if self.parts else {"time": None}
        return {name: np.concatenate([p[name] for p in self.parts]) if self.parts else np.array([], np.int64)
                for name in names}, unfinished  # fmt: skip

    def _time_keys(self, time: NDArray[np.int64]) -> NDArray[np.int64]:
        import pandas as pd

        if self.rule.step < DAY:
            return np.asarray(time // (self.rule.step * 10**9))
        local = pd.DatetimeIndex(time.astype("datetime64[ns]")).tz_localize("UTC").tz_convert(self.zone)
        return np.asarray(local.tz_localize(None).to_numpy().astype("datetime64[D]").astype(np.int64))

    def _cuts_by_key(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], bool]:
        return np.concatenate([[0], np.flatnonzero(np.diff(keys)) + 1]).astype(np.int64), False

    def _cuts_by_size(self, events: Columns) -> tuple[NDArray[np.int64], bool]:
        """Return where bars begin in the chunk, and whether the last one is full."""
        name = {"volume": "volume", "dollar": "amount", "trades": "trades"}[self.rule.kind]
        total = np.cumsum(events[name])
        had = self.open_bar[name] if self.open_bar is not None else 0.0
        starts, at, base = [0], 0, -had
        while True:
            # A hair of rounding must not put one more trade into a bar that is full.
            target = base + self.rule.size * (1 - 1e-12)
            at = max(at, int(np.searchsorted(total, target, side="left"))) + 1
            if at > len(total):
                return np.array(starts, dtype=np.int64), False
            if at == len(total):
                return np.array(starts, dtype=np.int64), True
            starts.append(at)
            base = float(total[at - 1])
            self._refuse_many(len(starts))

    def _aggregate(self, events: Columns, starts: NDArray[np.int64], keys: NDArray[np.int64] | None) -> Columns:
        ends = np.append(starts[1:], len(events["time"])) - 1
        price = events["price"]
        table: Columns = {
            "time": events["time"][ends] if keys is None else self._stamps(keys[starts]),
            "open": price[starts], "high": np.maximum.reduceat(price, starts),
            "low": np.minimum.reduceat(price, starts), "close": price[ends],
        }  # fmt: skip
        table |= {name: np.add.reduceat(events[name], starts) for name in SUMS}
        table |= {name: events[name][ends] for name in ("bid", "ask", "bid_size", "ask_size") if name in events}
        return table

    def _stamps(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        return keys * DAY * 10**9 if self.rule.step >= DAY else (keys + 1) * self.rule.step * 10**9

    def _join(self, table: Columns) -> None:
        """Put the unfinished bar in front of the first one of the chunk."""
        bar = self.open_bar or {}
        table["open"][0] = bar["open"]
        table["high"][0] = max(bar["high"], table["high"][0])
        table["low"][0] = min(bar["low"], table["low"][0])
        for name in SUMS:
            table[name][0] += bar[name]

    def _emit(self, bar: dict[str, float]) -> None:
        end = self._end
        self._keep({name: np.array([value if name != "time" else end]) for name, value in bar.items()})

    def _keep(self, part: Columns) -> None:
        if len(part["time"]):
            self.count += len(part["time"])
            self._refuse_many(self.count)
            self.parts.append({**part, "time": part["time"].astype(np.int64)})

    def _refuse_many(self, count: int) -> None:
        if count > MOST_BARS:
            raise Refusal("too_many_bars", MANY, field="size", size=self.rule.text, most=f"{MOST_BARS:,}")


def _apart(time: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return strictly rising times: bars that end at one instant are set a nanosecond apart."""
    order = np.arange(len(time))
    return np.asarray(np.maximum.accumulate(time - order) + order)


def _series(made: dict[str, Columns]) -> Iterator[tuple[int, Columns]]:
    for row, name in enumerate(made):
        bars = made[name]
        yield row, {**bars, "time": _apart(bars["time"])}


def _panel(made: dict[str, Columns], rule: BarRule, tape: Tape) -> BarPanel:
    times = np.unique(np.concatenate([bars["time"] for _row, bars in _series(made)]))
    shape = (len(made), len(times))
    rows = sum(len(bars["time"]) for bars in made.values())
    if shape[0] * shape[1] > max(CELLS, 20 * rows):
        raise Refusal("too_sparse", TOO_LARGE, field="size", symbols=shape[0], times=shape[1], rows=rows)
    names = [name for name in next(iter(made.values())) if name != "time"]
    fields = {name: np.full(shape, np.nan) for name in dict.fromkeys((*FIELDS, *names))}
    for row, bars in _series(made):
        at = np.searchsorted(times, bars["time"])
        for name in names:
            fields[name][row, at] = bars[name]
    with np.errstate(invalid="ignore", divide="ignore"):
        fields["vwap"] = fields["amount"] / fields["volume"]
    for name in ("amount", "vwap", "buy_volume", "trades"):
        if np.isnan(fields[name]).all():
            del fields[name]
    return BarPanel(tuple(made), times.astype("datetime64[ns]"), fields, frequency=rule.frequency)
