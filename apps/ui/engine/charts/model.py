"""What a chart is: a drawing for any width, made the same way every time.

``Chart.html`` gives a desktop and a phone drawing, each at its true width (text never
scales); the classes ``only-d`` and ``only-p`` show one of them. Colours come from classes of
``static/css/app.css`` only, so themes and market colours apply without a new drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

#: Widths of the page's columns in px: whole main column, half of it, side column, phone.
FULL, HALF, SIDE, PHONE = 824, 396, 352, 358
#: The same on a page without a side column: all of it and half of it.
WHOLE, PAIR = 1208, 588

#: own: accent; bench: grey; dash, dot: further baselines; thread: one seed; up, down: direction; k1 … k8: equals
#: beside each other, told apart by hue, dash and the name at their end.
Style = Literal["own", "bench", "dash", "dot", "thread", "up", "down", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"]
LINES: tuple[Style, ...] = ("k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8")
X = float | date
LINE_CLASS: dict[str, str] = {
    "own": "s1", "bench": "s2", "dash": "s3", "dot": "s4", "thread": "sd", "up": "su", "down": "sdn",
} | {name: name for name in LINES}  # fmt: skip
LABEL_CLASS: dict[str, str] = {"own": "l1"} | {name: f"l-{name}" for name in LINES}


@dataclass(frozen=True)
class Series:
    """One line. ``ys`` may hold None or NaN: the line is broken there.

    ``name`` stands at the line's end in its colour with the last value (``value`` replaces
    that text); ``short`` is the name on the phone. An empty name draws no label. ``area``
    fills the space between the line and ``base`` of the chart (0 without one).
    """

    name: str
    xs: Sequence[X]
    ys: Sequence[float | None]
    style: Style = "own"
    value: str | None = None
    short: str = ""
    area: bool = False


@dataclass(frozen=True)
class Band:
    """The space between two lines, such as the middle half of the seeds."""

    xs: Sequence[X]
    lows: Sequence[float]
    highs: Sequence[float]


@dataclass(frozen=True)
class Marker:
    """A point on the chart: ``buy`` ▲ below it, ``sell`` ▼ above it, or a ``dot`` with words."""

    x: X
    y: float
    kind: Literal["buy", "sell", "dot"]
    text: str = ""


@dataclass(frozen=True)
class Shade:
    """A span of x on a grey ground, with one or two lines of words."""

    start: X
    end: X
    text: str = ""
    note: str = ""


@dataclass(frozen=True)
class Event:
    """A moment that explains the curve: a 1-px line in the warning colour and its words."""

    x: X
    text: str
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A drawing by width and language; ``label`` is what a screen reader says."""

    draw: Callable[[int, str], str]
    width: int = FULL

    def svg(self, width: int, language: str = "en") -> str:
        """Return one SVG element of exactly ``width`` px."""
        return self.draw(width, language)

    def html(self, language: str = "en") -> str:
        """Return the desktop and the phone drawing, each shown by its class."""
        desktop = f'<div class="only-d">{self.draw(self.width, language)}</div>'
        return f'{desktop}<div class="only-p">{self.draw(PHONE, language)}</div>'
