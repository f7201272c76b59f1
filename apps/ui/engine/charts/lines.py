"""Line charts: equity, drawdown, training curves with seeds, anything over time or steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from operator import itemgetter

from apps.ui.engine.charts import svg as s
from apps.ui.engine.charts.downsample import lttb
from apps.ui.engine.charts.model import (
    FULL,
    LABEL_CLASS,
    LINE_CLASS,
    LINES,
    PHONE,
    Band,
    Chart,
    Event,
    Marker,
    Series,
    Shade,
    X,
)  # fmt: skip
from apps.ui.engine.charts.scale import (
    Axis,
    is_time,
    log_text,
    log_ticks,
    nice_step,
    nice_ticks,
    tick_text,
    time_ticks,
    value_axis,
    x_number,
    x_numbers,
)  # fmt: skip
from apps.ui.engine.numbers import percent

Point = tuple[float, float]
TextOf = Callable[[float], str]
LEFT, TOP, FOOT = 44, 10, 24
LINE = 13


@dataclass(frozen=True)
class LineSpec:
    """Everything ``line_chart`` was asked for."""

    series: Sequence[Series]
    label: str
    height: int
    phone_height: int
    right: int
    phone_right: int
    y_text: TextOf | None
    value_text: TextOf | None
    log: bool
    base: float | None
    bands: Sequence[Band]
    markers: Sequence[Marker]
    shades: Sequence[Shade]
    events: Sequence[Event]
    now: X | None
    now_text: str
    x_start: X | None
    x_end: X | None
    x_labels: bool

    @cached_property
    def x_numbers(self) -> list[list[float]]:
        """The x of each series as numbers, worked out once for every width."""
        made: dict[int, list[float]] = {}  # Lines beside each other mostly share their days.
        for one in self.series:
            if id(one.xs) not in made:
                made[id(one.xs)] = x_numbers(one.xs)
        return [made[id(one.xs)] for one in self.series]

    @cached_property
    def values(self) -> list[float]:
        """Every value that is drawn."""
        found = [float(y) for one in self.series for y in one.ys if y is not None and math.isfinite(y)]
        for band in self.bands:
            found += [y for y in (*band.lows, *band.highs) if _finite(y)]
        return found

    @cached_property
    def stretches(self) -> list[list[tuple[list[float], list[float]]]]:
        """The x and y of each series, cut where a value is missing."""
        found = []
        for numbers, one in zip(self.x_numbers, self.series, strict=True):
            if len(numbers) != len(one.ys):
                raise ValueError(f"{len(numbers)} x and {len(one.ys)} y of {one.name!r}")
            found.append(_cut(numbers, one.ys, log=self.log))
        return found


@dataclass
class Canvas:
    """One drawing in the making: the axes of this width and the parts drawn so far."""

    spec: LineSpec
    width: int
    language: str
    phone: bool
    height: int = 0
    xs: Axis = field(init=False)
    ys: Axis = field(init=False)
    time: bool = False
    parts: list[str] = field(default_factory=list)
    #: Position of the series -> its points in pixels.
    runs: dict[int, list[list[Point]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec = self.spec
        self.height = spec.phone_height if self.phone else spec.height
        right = spec.phone_right if self.phone else spec.right
        self.time = is_time(next((one.xs for one in spec.series if len(one.xs)), ()))
        numbers = [numbers for numbers in spec.x_numbers if numbers] or [[0.0]]
        low = x_number(spec.x_start) if spec.x_start is not None else min(map(min, numbers))
        high = x_number(spec.x_end) if spec.x_end is not None else max(map(max, numbers))
        self.xs = Axis(low, high if high > low else low + 1.0, LEFT, self.width - right)
        foot = FOOT if spec.x_labels else 8
        self.ys = value_axis(spec.values, self.height - foot, TOP, log=spec.log, include=spec.base)

    @property
    def y_text(self) -> TextOf:
        if self.spec.y_text:
            return self.spec.y_text
        return log_text if self.spec.log else tick_text(nice_step(self.ys.high - self.ys.low, self.most_y))

    @property
    def last_text(self) -> TextOf:
        """How the last value is written without ``value_text``: one place more than the ticks."""
        if self.spec.y_text or self.spec.log:
            return self.spec.y_text or log_text
        return tick_text(nice_step(self.ys.high - self.ys.low, self.most_y) / 10)

    @property
    def most_y(self) -> int:
        return max(3, min(6, int((self.ys.start - self.ys.stop) // 32)))


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _cut(xs: list[float], ys: Sequence[float | None], *, log: bool) -> list[tuple[list[float], list[float]]]:
    drawn = [y is not None and math.isfinite(y) and (not log or y > 0) for y in ys]
    if all(drawn):
        return [(xs, [float(y) for y in ys if y is not None])] if xs else []
    found: list[tuple[list[float], list[float]]] = []
    for good, part in itertools.groupby(zip(drawn, xs, ys, strict=True), key=itemgetter(0)):
        if good:
            points = [(x, float(y)) for _, x, y in part if y is not None]
            found.append(([x for x, _ in points], [y for _, y in points]))
    return found


def _grid(canvas: Canvas) -> None:
    spec, xs, ys = canvas.spec, canvas.xs, canvas.ys
    ticks = log_ticks(ys.low, ys.high, canvas.most_y) if spec.log else nice_ticks(ys.low, ys.high, canvas.most_y)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    if spec.base is not None and not any(abs(t - spec.base) < step * 0.01 for t in ticks):
        ticks = [t for t in ticks if abs(t - spec.base) > step * 0.4] + [spec.base]
    for tick in sorted(ticks):
        y = round(ys(tick)) + 0.5
        strong = spec.base is not None and abs(tick - spec.base) < 1e-9
        canvas.parts.append(s.path("g0" if strong else "g", f"M{s.c(xs.start)} {s.c(y)}H{s.c(xs.stop)}"))
        canvas.parts.append(s.text(xs.start - 6, y + 4, canvas.y_text(tick), "tk", "end"))


def _x_axis(canvas: Canvas) -> None:
    spec, xs, bottom = canvas.spec, canvas.xs, round(canvas.ys.start) + 0.5
    canvas.parts.append(s.path("gb", f"M{s.c(xs.start)} {s.c(bottom)}H{s.c(xs.stop)}"))
    if not spec.x_labels:
        return
    room = (xs.stop - xs.start) / (72 if canvas.time else 60)
    ticks = x_ticks(xs, canvas.time, max(2, int(room)), canvas.language)
    last = -math.inf
    for value, words in ticks:
        x, half = xs(value), s.text_width(words) / 2
        if x - half < last + 8 or x + half > canvas.width:
            continue
        last = x + half
        canvas.parts.append(s.path("gx", f"M{s.c(x)} {s.c(bottom)}v4"))
        canvas.parts.append(s.text(x, bottom + 16, words, "tk", "middle"))


def x_ticks(xs: Axis, time: bool, most: int, language: str) -> list[tuple[float, str]]:
    """Return the ticks of a horizontal axis: calendar ticks for time, round numbers otherwise."""
    if time:
        return time_ticks(xs.low, xs.high, most, language)
    words = tick_text(nice_step(xs.high - xs.low, most))
    return [(value, words(value)) for value in nice_ticks(xs.low, xs.high, most)]


def _runs(canvas: Canvas, place: int) -> list[list[Point]]:
    """The points of the line at ``place`` in pixels, cut where a value is missing and thinned to the width."""
    if place in canvas.runs:
        return canvas.runs[place]
    most = max(50, int(canvas.xs.stop - canvas.xs.start))
    runs = []
    for x_values, y_values in canvas.spec.stretches[place]:
        xs, ys = canvas.xs.pixels(x_values), canvas.ys.pixels(y_values)
        run = list(zip(xs, ys, strict=True))
        runs.append(run if len(run) <= most else [run[i] for i in lttb(xs, ys, most).tolist()])
    canvas.runs[place] = runs
    return runs


def _line(canvas: Canvas, place: int) -> None:
    one = canvas.spec.series[place]
    css = LINE_CLASS[one.style]
    floor = canvas.ys(canvas.spec.base if canvas.spec.base is not None else canvas.ys.low)
    for run in _runs(canvas, place):
        if one.area:
            canvas.parts.append(
                s.path("bd" if one.style == "own" else "bd2", s.area(run, [(x, floor) for x, _ in run]))
            )
        if len(run) == 1:
            canvas.parts.append(f'<circle class="d-{css}" cx="{s.c(run[0][0])}" cy="{s.c(run[0][1])}" r="1.5"/>')
        else:
            canvas.parts.append(s.path(f"ln {css}", s.polyline(run)))


def _band(canvas: Canvas, band: Band) -> None:
    xs = canvas.xs.pixels(x_numbers(band.xs))
    pairs = zip(xs, band.highs, band.lows, strict=True)
    good = [(x, canvas.ys(high), canvas.ys(low)) for x, high, low in pairs if _finite(high) and _finite(low)]
    if len(good) > 1:
        top, bottom = [(x, h) for x, h, _ in good], [(x, low) for x, _, low in good]
        canvas.parts.append(s.path("bd", s.area(top, bottom)))


def _shade(canvas: Canvas, shade: Shade) -> None:
    x0, x1 = canvas.xs(x_number(shade.start)), canvas.xs(x_number(shade.end))
    top, bottom = canvas.ys.stop, canvas.ys.start
    canvas.parts.append(s.path("sh", f"M{s.c(x0)} {s.c(top)}H{s.c(x1)}V{s.c(bottom)}H{s.c(x0)}Z"))
    middle = (x0 + x1) / 2
    if shade.text:
        canvas.parts.append(s.text(middle, top + 11, shade.text, "lk", "middle"))
    if shade.note and not canvas.phone:
        canvas.parts.append(s.text(middle, top + 11 + LINE, shade.note, "lb", "middle"))


def _event(canvas: Canvas, event: Event) -> None:
    x, top = canvas.xs(x_number(event.x)), canvas.ys.stop
    canvas.parts.append(s.path("anw", f"M{s.c(x)} {s.c(top)}V{s.c(canvas.ys.start)}"))
    left = x + 6 + s.text_width(event.text) > canvas.width
    at, anchor = (x - 6, "end") if left else (x + 6, "start")
    canvas.parts.append(s.text(at, top + 10, event.text, "lw", anchor))
    if event.note:
        canvas.parts.append(s.text(at, top + 10 + LINE, event.note, "lb", anchor))


def _marker(canvas: Canvas, mark: Marker) -> None:
    x, y = canvas.xs(x_number(mark.x)), canvas.ys(mark.y)
    if mark.kind == "dot":
        canvas.parts.append(f'<circle class="dw" cx="{s.c(x)}" cy="{s.c(y)}" r="3"/>')
        if mark.text:
            left = x - s.text_width(mark.text) - 6 > canvas.xs.start
            at, anchor = (x - 7, "end") if left else (x + 7, "start")
            canvas.parts.append(s.text(at, y + 3, mark.text, "lw", anchor))
        return
    tip, css = (y + 6, "m-buy") if mark.kind == "buy" else (y - 6, "m-sell")
    foot = 7 if mark.kind == "buy" else -7
    title = f"<title>{escape(mark.text)}</title>" if mark.text else ""
    canvas.parts.append(f'<path class="{css}" d="M{s.c(x)} {s.c(tip)}l4.5 {foot}h-9z">{title}</path>')


def _now(canvas: Canvas) -> None:
    if canvas.spec.now is None:
        return
    x, top = canvas.xs(x_number(canvas.spec.now)), canvas.ys.stop
    canvas.parts.append(s.path("an", f"M{s.c(x)} {s.c(top)}V{s.c(canvas.ys.start)}"))
    if canvas.spec.now_text:
        room = x + 5 + s.text_width(canvas.spec.now_text) < canvas.width
        at, anchor = (x + 5, "start") if room else (x - 5, "end")
        canvas.parts.append(s.text(at, top + 8, canvas.spec.now_text, "lb", anchor))


def _labels(canvas: Canvas) -> None:
    """Name and last value at each line's end, pushed apart where they would meet."""
    ends: list[tuple[Series, Point, list[str]]] = []
    for number, one in enumerate(canvas.spec.series):
        runs = _runs(canvas, number)
        if one.name and runs:
            end = runs[-1][-1]
            name = s.wrap(one.short or one.name if canvas.phone else one.name, canvas.width - end[0] - 6)
            ends.append((one, end, [w for w in (*name, _last_text(canvas, one)) if w]))
    gap = float(LINE * max((len(words) for *_, words in ends), default=1))
    top = canvas.ys.stop + (2 * LINE if canvas.spec.now_text else 4)
    places = spread_labels(ends, gap, top, canvas.ys.start - 2)
    for (one, (x, y), words), place in zip(ends, places, strict=True):
        css = LABEL_CLASS.get(one.style, "l2")
        if one.style == "own":
            canvas.parts.append(f'<circle class="d1" cx="{s.c(x)}" cy="{s.c(y)}" r="3"/>')
        over = x + 8 + max(s.text_width(w) for w in words) > canvas.width + 12
        at, anchor = (x - 8, "end") if over else (x + 8, "start")
        for row, word in enumerate(words):
            canvas.parts.append(s.text(at, place + 4 + row * LINE - (8 if over else 0), word, css, anchor))


def spread_labels(ends: Sequence[tuple[Series, Point, list[str]]], gap: float, low: float, high: float) -> list[float]:
    """Return the first baseline of each label."""
    return s.spread([point[1] for _, point, _ in ends], gap, low, high - gap + LINE)


def _last_text(canvas: Canvas, one: Series) -> str:
    if one.value is not None:
        return one.value
    last = next((float(y) for y in reversed(one.ys) if y is not None and math.isfinite(y)), None)
    return "" if last is None else (canvas.spec.value_text or canvas.last_text)(last)


ORDER = {"thread": 0, "dot": 1, "dash": 1, "bench": 2, "up": 3, "down": 3, "own": 4} | dict.fromkeys(LINES, 4)


def _draw(spec: LineSpec, width: int, language: str) -> str:
    canvas = Canvas(spec, width, language, phone=width <= PHONE and spec.phone_height > 0)
    for shade in spec.shades:
        _shade(canvas, shade)
    _grid(canvas)
    _x_axis(canvas)
    for band in spec.bands:
        _band(canvas, band)
    for place in sorted(range(len(spec.series)), key=lambda at: ORDER[spec.series[at].style]):
        _line(canvas, place)
    _now(canvas)
    for mark in spec.markers:
        _marker(canvas, mark)
    for event in spec.events:
        _event(canvas, event)
    _labels(canvas)
    return s.svg(width, canvas.height, spec.label, canvas.parts)


def line_chart(
    series: Sequence[Series],
    *,
    label: str,
    width: int = FULL,
    height: int = 208,
    phone_height: int = 168,
    right: int = 112,
    phone_right: int = 64,
    y_text: TextOf | None = None,
    value_text: TextOf | None = None,
    log: bool = False,
    base: float | None = None,
    bands: Sequence[Band] = (),
    markers: Sequence[Marker] = (),
    shades: Sequence[Shade] = (),
    events: Sequence[Event] = (),
    now: X | None = None,
    now_text: str = "",
    x_start: X | None = None,
    x_end: X | None = None,
    x_labels: bool = True,
) -> Chart:
    """Return a line chart of ``series`` over time (dates, datetimes) or numbers such as steps.

    ``label`` is what a screen reader says: the finding. ``base`` is a line drawn darker and
    always in sight (0, or the start at 100). ``y_text`` writes the ticks, ``value_text`` the last
    value at each line's end (as ``y_text`` without it). ``log`` needs values above zero; others
    are left out. ``x_end`` is the planned end: the space up to it stays empty, ``now`` a dotted
    line. Panels one above the other share their scale by the same ``x_start``, ``x_end`` and
    ``right``. Lines are thinned to about one point a pixel (LTTB).
    """
    spec = LineSpec(
        series, label, height, phone_height, right, phone_right, y_text, value_text, log, base,
        bands, markers, shades, events, now, now_text, x_start, x_end, x_labels,
    )  # fmt: skip
    return Chart(lambda w, language: _draw(spec, w, language), width)


def drawdown_chart(series: Sequence[Series], *, label: str, height: int = 96, **options: object) -> Chart:
    """Return an underwater chart: fractions at or below zero (−0.23 is 23% under the peak).

    The own series is filled down from zero and its lowest point is marked.
    """
    drawn = [
        Series(o.name, o.xs, o.ys, o.style, o.value, o.short, area=True) if o.style == "own" else o for o in series
    ]
    texts = {"y_text": lambda v: percent(v, 0), "value_text": lambda v: percent(v, 1)}
    options = {"phone_height": height, "base": 0.0, **texts, **options}
    return line_chart(drawn, label=label, height=height, **options)  # type: ignore[arg-type]
