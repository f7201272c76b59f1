"""Numbers and times as people read them: U+2212 for minus, thousands commas, no unit lost.

Undefined values (None, NaN, infinities) are shown as an en dash, never as 0.
"""

from __future__ import annotations

import math
from datetime import date

MINUS = "\u2212"
NONE = "–"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def defined(value: float | None) -> bool:
    """Tell whether ``value`` is a number that can be shown."""
    return value is not None and math.isfinite(value)


def number(value: float | None, decimals: int = 0, *, sign: bool = False) -> str:
    """Return ``value`` with ``decimals`` places, e.g. −1,234.5; ``sign`` adds + to what is above zero.

    A value that rounds to zero has no sign.
    """
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{abs(value):,.{decimals}f}"
    if not text.strip("0.,"):
        return text
    return (MINUS if value < 0 else "+" if sign else "") + text


def percent(value: float | None, decimals: int = 1, *, sign: bool = False) -> str:
    """Return a fraction as a percentage: 0.123 → 12.3%."""
    if value is None or not math.isfinite(value):
        return NONE
    return number(value * 100, decimals, sign=sign) + "%"


def compact(value: float | None, digits: int = 4) -> str:
    """Return ``value`` with about ``digits`` significant digits, for parameters: 0.0003, 9.5e−5."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == int(value) and abs(value) < 1e15:
        return number(value)
    text = f"{value:.{digits}g}" if abs(value) < 1e4 else f"{value:,.2f}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", MINUS)


def size(count: float | None) -> str:
    """Return bytes in the largest unit that leaves at least one: 1.8 MB (decimal units)."""
    if count is None or not math.isfinite(count):
        return NONE
    for unit, power in (("TB", 4), ("GB", 3), ("MB", 2), ("kB", 1)):
        if abs(count) >= 1000**power:
            return f"{number(count / 1000**power, 1)} {unit}"
    return f"{number(count)} B"


def clock(seconds: float | None) -> str:
    """Return seconds as m:ss or h:mm:ss."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def day_text(day: date, language: str) -> str:
    """Return a date as its readers write it: 3 Jan 2011, or 2011-01-03 in Chinese."""
    if language.startswith("zh"):
        return f"{day.year:04}-{day.month:02}-{day.day:02}"
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"
