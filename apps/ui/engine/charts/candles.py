"""Candles and volume: hollow up, filled down; one slot a bar, so that closed days leave no gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from apps.ui.engine.charts import svg as s
from apps.ui.engine.charts.model import FULL, PHONE, Chart, Event
from apps.ui.engine.charts.scale import Axis, nice_step, nice_ticks, tick_text, time_ticks, value_axis, x_number

LEFT, TOP, FOOT, VOLUME = 44, 10, 24, 28
SLOT, MARGIN = 4, 112


@dataclass(frozen=True)
class Bar:
    """One bar; ``time`` is its day or start."""

    time: date
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0


def merge(bars: Sequence[Bar], most: int) -> list[Bar]:
    """Return at most ``most`` bars by joining neighbours: first open, extremes, last close, volume summed."""
    size = max(1, math.ceil(len(bars) / max(1, most)))
    groups = [bars[i : i + size] for i in range(0, len(bars), size)]
    return [
        Bar(g[0].time, g[0].open, max(b.high for b in g), min(b.low for b in g), g[-1].close, sum(b.volume for b in g))
        for g in groups
    ]


def _clean(bars: Sequence[Bar]) -> list[Bar]:
    return [b for b in bars if all(math.isfinite(v) for v in (b.open, b.high, b.low, b.close))]


def _price(bar: Bar, x: float, half: float, ys: Axis) -> str:
    top, bottom = ys(max(bar.open, bar.close)), ys(min(bar.open, bar.close))
    css = "ku" if bar.close >= bar.open else "kd"
    box = f"M{s.c(x - half)} {s.c(top)}h{s.c(2 * half)}V{s.c(max(bottom, top + 1))}h-{s.c(2 * half)}Z"
    wick = f"M{s.c(x)} {s.c(ys(bar.high))}V{s.c(top)}M{s.c(x)} {s.c(bottom)}V{s.c(ys(bar.low))}"
    return s.path(css, wick + box)


@dataclass
class Plot:
    """One drawing in the making: which bars fit, where they stand, the parts drawn so far."""

    bars: list[Bar]
    width: int
    height: int
    right: float
    parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.foot = self.height - FOOT
        self.slot = (self.right - LEFT) / len(self.bars)
        self.half = max(1.0, min(5.0, self.slot * 0.32))
        prices = [v for b in self.bars for v in (b.high, b.low)]
        self.ys = value_axis(prices, self.foot - VOLUME - 12, TOP, log=False, include=None)

    def at(self, index: int) -> float:
        return LEFT + (index + 0.5) * self.slot

    def place(self, time: Any) -> float:
        """Return where a moment is: the slot of the last bar at or before it."""
        wanted = x_number(time)
        return self.at(max((i for i, b in enumerate(self.bars) if x_number(b.time) <= wanted), default=0))


def _axis(plot: Plot) -> None:
    ys = plot.ys
    most = max(3, min(6, int((ys.start - ys.stop) // 36)))
    words = tick_text(nice_step(ys.high - ys.low, most))
    for tick in nice_ticks(ys.low, ys.high, most):
        y = round(ys(tick)) + 0.5
        plot.parts.append(s.path("g", f"M{LEFT} {s.c(y)}H{s.c(plot.right)}"))
        plot.parts.append(s.text(LEFT - 6, y + 4, words(tick), "tk", "end"))
    plot.parts.append(s.path("gb", f"M{LEFT} {s.c(plot.foot + 0.5)}H{s.c(plot.right)}"))


def _volume(plot: Plot) -> None:
    peak = max((b.volume for b in plot.bars if math.isfinite(b.volume)), default=0.0)
    for i, bar in enumerate(plot.bars):
        tall = VOLUME * bar.volume / peak if peak > 0 and math.isfinite(bar.volume) else 0.0
        if tall > 0:
            start, wide = s.c(plot.at(i) - plot.half), s.c(2 * plot.half)
            plot.parts.append(s.path("vol", f"M{start} {plot.foot}v-{s.c(tall)}h{wide}v{s.c(tall)}Z"))


def _time_axis(plot: Plot, language: str) -> None:
    low, high = x_number(plot.bars[0].time), x_number(plot.bars[-1].time)
    last = -math.inf
    for seconds, words in time_ticks(low, high, max(2, plot.width // 110), language):
        x, half = plot.place(datetime.fromtimestamp(seconds, UTC)), s.text_width(words) / 2
        if x - half > last + 8 and x + half <= plot.width:
            last = x + half
            plot.parts.append(s.path("gx", f"M{s.c(x)} {plot.foot + 0.5}v4"))
            plot.parts.append(s.text(x, plot.foot + 16.5, words, "tk", "middle"))


def _events(plot: Plot, events: Sequence[Event]) -> None:
    for event in events:
        x = plot.place(event.x)
        plot.parts.append(s.path("anw", f"M{s.c(x)} {TOP}V{plot.foot}"))
        over = x + 6 + s.text_width(event.text) > plot.width
        at, anchor = (x - 6, "end") if over else (x + 6, "start")
        plot.parts.append(s.text(at, TOP + 10, event.text, "lw", anchor))
        if event.note:
            plot.parts.append(s.text(at, TOP + 23, event.note, "lb", anchor))


def _margin(plot: Plot, price_text: str, volume_text: str) -> None:
    """Last price and the panels' names, right of the plot."""
    last = plot.bars[-1].close
    y = plot.ys(last)
    plot.parts.append(s.text(plot.right + 8, y + 4, f"{last:,.2f}", "lk"))
    plot.parts.append(s.text(plot.right + 8, TOP + 4 if abs(y - TOP) > 14 else TOP + 24, price_text, "lb"))
    plot.parts.append(s.text(plot.right + 8, plot.foot - VOLUME + 4, volume_text, "lb"))


def candles(
    bars: Sequence[Bar],
    *,
    label: str,
    events: Sequence[Event] = (),
    price_text: str = "",
    volume_text: str = "",
    width: int = FULL,
    height: int = 304,
) -> Chart:
    """Return candles with volume below: close at or above open is hollow, below is filled.

    Bars with an undefined price are left out. More bars than fit (one per 4 px) are joined;
    say so in the caption. ``price_text`` and ``volume_text`` name the two panels with their unit.
    """
    known = _clean(bars)

    def draw(wide: int, language: str) -> str:
        right = wide - (12 if wide <= PHONE else MARGIN)
        shown = merge(known, int((right - LEFT) // SLOT))
        if not shown:
            return s.svg(wide, height, label, ())
        plot = Plot(shown, wide, height, right)
        _axis(plot)
        _volume(plot)
        plot.parts += [_price(bar, plot.at(i), plot.half, plot.ys) for i, bar in enumerate(shown)]
        _time_axis(plot, language)
        _events(plot, events)
        if wide > PHONE:
            _margin(plot, price_text, volume_text)
        return s.svg(wide, height, label, plot.parts)

    return Chart(draw, width)
