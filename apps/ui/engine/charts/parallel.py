"""Parallel coordinates: an upright axis a quantity, a line a run across all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from apps.ui.engine.charts import svg as s
from apps.ui.engine.charts.model import FULL, LINES, Chart
from apps.ui.engine.numbers import compact

Value = float | str | None
SIDE_ROOM, TOP, FOOT = 40, 46, 18
#: Least px between two axes; where they do not fit the middle ones are left out.
ROOM = 64
GAP = 8


@dataclass(frozen=True)
class Dimension:
    """One axis: its title and a value for each run. Numbers share a scale; where one is a word all are words."""

    title: str
    values: Sequence[Value]
    percent: bool = False

    @property
    def numeric(self) -> bool:
        return all(value is None or (not isinstance(value, str) and math.isfinite(value)) for value in self.values)

    def text(self, value: Value) -> str:
        if value is None:
            return "–"
        if isinstance(value, str):
            return value
        return f"{compact(value * 100, 3)}%" if self.percent else compact(value)

    def places(self) -> dict[str, float]:
        """Return each written value with its height: 0 at the foot, 1 at the top."""
        known = [value for value in self.values if value is not None]
        if not self.numeric:
            words = sorted({self.text(value) for value in known})
            return {word: (at + 0.5) / len(words) for at, word in enumerate(words)}
        numbers = [float(value) for value in known]
        low, high = min(numbers, default=0.0), max(numbers, default=0.0)
        return {self.text(one): (one - low) / (high - low) if high > low else 0.5 for one in numbers}


def parallel_chart(
    dimensions: Sequence[Dimension], names: Sequence[str], *, label: str, width: int = FULL, height: int = 244
) -> Chart:
    """Return a line a name through ``dimensions``, in the colours of ``LINES``; at most as many names as colours.

    A value that is absent breaks the line. On a narrow drawing the first axes and the last two stay.
    """

    def draw(wide: int, language: str) -> str:
        shown = _fitting(dimensions, wide)
        xs = [SIDE_ROOM + (wide - 2 * SIDE_ROOM) * at / max(1, len(shown) - 1) for at in range(len(shown))]
        room = (wide - 2 * SIDE_ROOM) / max(1, len(shown) - 1) - GAP
        parts = [part for x, one in zip(xs, shown, strict=True) for part in _axis(x, one, height, room)]
        places = [one.places() for one in shown]
        for number, name in enumerate(names):
            values = [one.values[number] for one in shown]
            points = [
                None if value is None else (x, _y(place[one.text(value)], height))
                for x, value, place, one in zip(xs, values, places, shown, strict=True)
            ]
            said = ", ".join(f"{one.title} {one.text(value)}" for one, value in zip(shown, values, strict=True))
            parts.append(_line(number, f"{name}: {said}", points))
        return s.svg(wide, height, label, parts)

    return Chart(draw, width)


def _fitting(dimensions: Sequence[Dimension], wide: int) -> list[Dimension]:
    most = max(2, (wide - 2 * SIDE_ROOM) // ROOM + 1)
    return list(dimensions) if len(dimensions) <= most else [*dimensions[: max(0, most - 2)], *dimensions[-2:]]


def _y(place: float, height: int) -> float:
    return height - FOOT - place * (height - FOOT - TOP)


def _axis(x: float, one: Dimension, height: int, room: float) -> list[str]:
    titles = [s.text(x, 12 + 13 * row, line, "lb", "middle") for row, line in enumerate(_two_lines(one.title, room))]
    parts = [s.path("g0", f"M{s.c(x)} {TOP}V{height - FOOT}"), *titles]
    places = one.places()
    ends = sorted(places, key=places.__getitem__)
    written = ends if not one.numeric else list(dict.fromkeys([*ends[:1], *ends[-1:]]))
    for word in written if len(written) <= 8 else [written[0], written[-1]]:
        y = _y(places[word], height)
        over = one.numeric and places[word] in {0.0, 1.0}
        at = y - 6 if over and places[word] == 1.0 else y + 14 if over else y - 7
        parts.append(s.text(x, at, _short(word, room), "tk", "middle"))
    return parts


def _two_lines(words: str, room: float) -> list[str]:
    """Return a title in at most two lines, broken between words where it has any."""
    if s.text_width(words) <= room or " " not in words:
        return [_short(words, room)]
    first, *rest = words.split(" ")
    while rest and s.text_width(f"{first} {rest[0]}") <= room:
        first = f"{first} {rest.pop(0)}"
    return [_short(first, room), *([_short(" ".join(rest), room)] if rest else [])]


def _short(words: str, room: float) -> str:
    """Return ``words`` as far as they fit into ``room`` px, so that neighbours never run into each other."""
    if s.text_width(words) <= room:
        return words
    while words and s.text_width(words + "…") > room:
        words = words[:-1]
    return words.rstrip() + "…"


def _line(number: int, said: str, points: Sequence[tuple[float, float] | None]) -> str:
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    css = LINES[number % len(LINES)]
    lines = "".join(s.path(f"ln {css}", s.polyline(run)) for run in runs if len(run) > 1)
    dots = "".join(f'<circle class="d-{css}" cx="{s.c(x)}" cy="{s.c(y)}" r="3"/>' for run in runs for x, y in run)
    return f'<g data-line="{number}"><title>{escape(said)}</title>{lines}{dots}</g>'
