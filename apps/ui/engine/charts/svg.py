"""Small helpers that write SVG: escaped, with one decimal, the same bytes for the same input."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from html import escape

WIDE = 0x2E80


def c(value: float) -> str:
    """Return a coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0").replace("-0.0", "0")


def text_width(text: str) -> float:
    """Return about how wide ``text`` is at 11 px: 6 px a letter, 11 px a Chinese character."""
    return sum(11.0 if ord(letter) >= WIDE else 6.0 for letter in text)


def wrap(words: str, room: float) -> list[str]:
    """Return ``words`` in lines no wider than ``room`` px, broken at blanks and between Chinese characters.

    What has no place to break stays whole, wider than the room. Letters count 5.4 px, what they
    are on average: ``text_width`` errs on the wide side.
    """
    lines = [""]
    for piece in re.findall(r"\s*(?:[\u2e80-\uffff]|[^\s\u2e80-\uffff]+)", words):
        width = sum(11.0 if ord(letter) >= WIDE else 5.4 for letter in lines[-1] + piece)
        if lines[-1] and width > room:
            lines.append(piece.lstrip())
        else:
            lines[-1] += piece
    return lines


def text(x: float, y: float, words: str, css: str, anchor: str = "start") -> str:
    return f'<text class="{css}" x="{c(x)}" y="{c(y)}" text-anchor="{anchor}">{escape(words)}</text>'


def path(css: str, d: str) -> str:
    return f'<path class="{css}" d="{d}"/>'


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """Return the ``d`` of a line through ``points``, each coordinate as ``c`` writes it."""
    # One format of all numbers: lines of a thousand points are most of a page of charts.
    written = "L%.1f %.1f" * len(points) % tuple(itertools.chain.from_iterable(points)) + "L"
    return "M" + written.replace(".0 ", " ").replace(".0L", "L")[1:-1]


def area(points: Sequence[tuple[float, float]], back: Sequence[tuple[float, float]]) -> str:
    """Return the ``d`` of the space between two lines."""
    return polyline([*points, *reversed(back)]) + "Z"


def svg(width: int, height: int, label: str, parts: Iterable[str]) -> str:
    """Return the element; without a label it is decoration and hidden from screen readers."""
    role = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    body = "".join(parts)
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" {role}>{body}</svg>'


def spread(ys: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions near ``ys`` at least ``gap`` apart within [low, high], in the same order."""
    order = sorted(range(len(ys)), key=lambda i: ys[i])
    placed = [min(max(y, low), high) for y in ys]
    for before, after in itertools.pairwise(order):
        placed[after] = max(placed[after], placed[before] + gap)
    if order and placed[order[-1]] > high:
        placed[order[-1]] = high
        for after, before in itertools.pairwise(reversed(order)):
            placed[before] = min(placed[before], placed[after] - gap)
    return placed
