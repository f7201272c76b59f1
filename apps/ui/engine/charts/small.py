"""Charts of a word's size, bars and distributions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from apps.ui.engine.charts import svg as s
from apps.ui.engine.charts.downsample import lttb
from apps.ui.engine.charts.model import LINE_CLASS, SIDE, Chart, Style
from apps.ui.engine.charts.scale import Axis, nice_step, nice_ticks, tick_text, value_axis


def sparkline(
    values: Sequence[float | None], *, width: int = 72, height: int = 18, style: Style = "own", label: str = ""
) -> str:
    """Return a line of a word's size with a dot at its end; decoration unless it has a label."""
    known = [(float(i), float(v)) for i, v in enumerate(values) if v is not None and math.isfinite(v)]
    if not known:
        return s.svg(width, height, label, ())
    known = [known[i] for i in lttb([x for x, _ in known], [y for _, y in known], width)]
    xs = Axis(0.0, max(1.0, float(len(values) - 1)), 2, width - 2)
    ys = value_axis([y for _, y in known], height - 2, 2, log=False, include=None)
    points = [(xs(x), ys(y)) for x, y in known]
    css = LINE_CLASS[style]
    x, y = points[-1]
    dot = f'<circle class="d-{css}" cx="{s.c(x)}" cy="{s.c(y)}" r="1.8"/>'
    drawn = s.svg(width, height, label, (s.path(f"ln {css}", s.polyline(points)), dot))
    return drawn.replace("<svg ", '<svg class="spark" ', 1)


def dot_line(value: float | None, baseline: float | None, low: float, high: float, *, width: int = 136) -> str:
    """Return a dot (the result) joined to a tick (its baseline) on the scale of a whole table.

    ``low`` and ``high`` are the table's extremes; the grey line is zero.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    xs = Axis(low, high if high > low else low + 1.0, 6, width - 6)
    parts = [s.path("g0", f"M{s.c(xs(0.0))} 1V15")]
    if value is not None and baseline is not None:
        css = "su" if value >= baseline else "sdn"
        parts.append(s.path(f"ln {css}", f"M{s.c(xs(baseline))} 8H{s.c(xs(value))}"))
    if baseline is not None:
        parts.append(s.path("bt", f"M{s.c(xs(baseline))} 3V13"))
    if value is not None:
        parts.append(f'<circle class="d1" cx="{s.c(xs(value))}" cy="8" r="3.5"/>')
    return s.svg(width, 16, "", parts)


def bar_chart(
    names: Sequence[str], values: Sequence[float | None], *, label: str, text: Callable[[float], str], width: int = SIDE
) -> Chart:
    """Return horizontal bars from zero, one a name, with the value at its end in words."""

    def draw(wide: int, language: str) -> str:
        known = [v for v in values if v is not None and math.isfinite(v)]
        left = min(wide * 0.4, max((s.text_width(n) for n in names), default=0.0) + 12)
        room = max((s.text_width(text(v)) for v in known), default=0.0) + 10
        low, high = min([0.0, *known]), max([0.0, *known])
        start = left + (room if low < 0 else 0.0)
        xs = Axis(low, high if high > low else low + 1.0, start, wide - room)
        parts = []
        for row, (name, value) in enumerate(zip(names, values, strict=True)):
            y = 4 + row * 22
            parts.append(s.text(0, y + 13, name, "tk"))
            if value is None or not math.isfinite(value):
                continue
            a, b = sorted((xs(0.0), xs(value)))
            parts.append(s.path("m-buy" if value >= 0 else "m-sell", f"M{s.c(a)} {y + 3}H{s.c(b)}V{y + 15}H{s.c(a)}Z"))
            at, anchor = (b + 5, "start") if value >= 0 else (a - 5, "end")
            parts.append(s.text(at, y + 13, text(value), "nh", anchor))
        parts.append(s.path("g0", f"M{s.c(xs(0.0))} 2V{4 + len(names) * 22}"))
        return s.svg(wide, 8 + 22 * len(names), label, parts)

    return Chart(draw, width)


def distribution(
    values: Sequence[float], *, label: str, mark: float | None = None, mark_text: str = "", bins: int = 24,
    text: Callable[[float], str] | None = None, width: int = SIDE, height: int = 144,
) -> Chart:  # fmt: skip
    """Return a histogram of ``values``; ``mark`` is a dotted line for the one that matters."""
    known = sorted(float(v) for v in values if math.isfinite(v))

    def draw(wide: int, language: str) -> str:
        parts: list[str] = []
        if not known:
            return s.svg(wide, height, label, parts)
        every = [*known, mark] if mark is not None else known
        axis = value_axis(every, 8, wide - 8, log=False, include=None)
        count = min(bins, max(4, int(math.sqrt(len(known)) * 2)))
        size = (axis.high - axis.low) / count
        tallies = [0] * count
        for value in known:
            tallies[min(count - 1, int((value - axis.low) / size))] += 1
        foot, top = height - 24.5, 22.0
        for i, tally in enumerate(tallies):
            if tally:
                x0, x1 = axis(axis.low + i * size), axis(axis.low + (i + 1) * size)
                y = foot - (foot - top) * tally / max(tallies)
                parts.append(s.path("vol", f"M{s.c(x0 + 0.5)} {s.c(foot)}V{s.c(y)}H{s.c(x1 - 0.5)}V{s.c(foot)}Z"))
        parts.append(s.path("gb", f"M8 {foot}H{wide - 8}"))
        words = text or tick_text(nice_step(axis.high - axis.low, 5))
        for tick in nice_ticks(axis.low, axis.high, 5):
            parts.append(s.text(axis(tick), foot + 16, words(tick), "tk", "middle"))
        if mark is not None:
            x = axis(mark)
            anchor = "end" if x > wide / 2 else "start"
            parts.append(s.path("an", f"M{s.c(x)} 4V{foot}"))
            parts.append(s.text(x + (-5 if anchor == "end" else 5), 12, mark_text, "l1", anchor))
        return s.svg(wide, height, label, parts)

    return Chart(draw, width)
