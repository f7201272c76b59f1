"""Axes: x as numbers, nice ticks for values, calendar ticks for time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from apps.ui.engine.charts.model import X
from apps.ui.engine.numbers import MONTHS, compact, number

DAY, EPOCH = 86_400.0, date(1970, 1, 1).toordinal()
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


def x_number(x: Any) -> float:
    """Return ``x`` as a number: moments and days as seconds since 1970 (UTC), numbers as they are."""
    if isinstance(x, datetime):
        return (x if x.tzinfo else x.replace(tzinfo=UTC)).timestamp()
    if isinstance(x, date):
        return (x.toordinal() - EPOCH) * DAY
    return float(x)


def x_numbers(xs: Sequence[X]) -> list[float]:
    """Return ``x_number`` of each; days, of which a chart has thousands, at once."""
    if set(map(type, xs)) == {date}:
        return [(ordinal - EPOCH) * DAY for ordinal in map(date.toordinal, xs)]  # type: ignore[arg-type]
    return [x_number(x) for x in xs]


def is_time(xs: Sequence[X]) -> bool:
    """Tell whether these are moments or days rather than numbers."""
    return bool(xs) and isinstance(xs[0], date)


def nice_step(span: float, most: int) -> float:
    """Return the smallest of 1, 2, 2.5, 5 × 10ⁿ that cuts ``span`` into at most ``most`` parts."""
    if span <= 0 or not math.isfinite(span):
        return 1.0
    raw = span / max(1, most)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(f * power for f in NICE if f * power >= raw * 0.999999)


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return between 3 and about ``most`` round values within [low, high]."""
    step = nice_step(high - low, most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return 1, 2, 5 × 10ⁿ within [low, high], thinned to powers of ten when there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [f * 10.0**p for p in powers for f in factors if low * 0.999 <= f * 10.0**p <= high * 1.001]
        if len(found) <= most + 1:
            return found
    return found[:: math.ceil(len(found) / most)]


@dataclass(frozen=True)
class Axis:
    """Maps [low, high] to pixels [start, stop], linearly or by logarithm."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def pixels(self, values: Sequence[float]) -> list[float]:
        """Return the pixel of each value."""
        if self.log:
            return [self(value) for value in values]
        low, span, start, width = self.low, self.high - self.low, self.start, self.stop - self.start
        return [start + (value - low) / span * width for value in values]

    def __call__(self, value: float) -> float:
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            part = (math.log(max(value, self.low)) - low) / (high - low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.stop - self.start)


def value_axis(values: Sequence[float], start: float, stop: float, *, log: bool, include: float | None) -> Axis:
    """Return the axis that shows all ``values`` with a little air; a flat line gets some height."""
    known = [*values, include] if include is not None else list(values)
    if log:
        known = [v for v in known if v > 0] or [1.0]
        low, high = min(known), max(known)
        return Axis(low / 1.15, high * 1.15, start, stop, log=True)
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        pad = abs(high) * 0.05 or 1.0
        return Axis(low - pad, high + pad, start, stop)
    pad = (high - low) * 0.04
    return Axis(low if low == include else low - pad, high if high == include else high + pad, start, stop)


def tick_text(step: float) -> Callable[[float], str]:
    """Return how values of an axis with this step are written: as many places as needed, k above 10,000."""
    if step >= 1000:
        return lambda v: number(v / 1000, 0 if step % 1000 == 0 else 1) + "k" if v else "0"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    if step > 0 and abs(step * 10**decimals - round(step * 10**decimals)) > 1e-9:
        decimals += 1
    return lambda v: number(v, decimals)


def log_text(value: float) -> str:
    return compact(value, 3)


def _month_text(moment: datetime, *, year: bool, zh: bool) -> str:
    if zh:
        return f"{moment.year}-{moment.month:02}" if year else f"{moment.month}月"
    return f"{MONTHS[moment.month - 1]} {moment.year}" if year else MONTHS[moment.month - 1]


def _day_text(moment: datetime, *, zh: bool) -> str:
    return f"{moment.month}-{moment.day:02}" if zh else f"{moment.day} {MONTHS[moment.month - 1]}"


def _months(low: float, high: float, step: int) -> list[float]:
    first = datetime.fromtimestamp(low, UTC)
    index = -(-(first.year * 12 + first.month - 1 + (first.day > 1)) // step) * step
    found = []
    while (x := datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC).timestamp()) <= high:
        found.append(x)
        index += step
    return found


def time_ticks(low: float, high: float, most: int, language: str) -> list[tuple[float, str]]:
    """Return up to about ``most`` calendar ticks (seconds, words) within [low, high]."""
    zh = language.startswith("zh")
    days = (high - low) / DAY
    if days > 60:
        months = next((m for m in (1, 2, 3, 6, 12, 24, 36, 48, 60, 120) if days / (30.44 * m) <= most), 240)
        made = []
        for n, x in enumerate(_months(low, high, months)):
            moment = datetime.fromtimestamp(x, UTC)
            text = str(moment.year) if months >= 12 else _month_text(moment, year=n == 0 or moment.month == 1, zh=zh)
            made.append((x, text))
        return made
    for seconds in (60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, DAY, 2 * DAY, 7 * DAY, 14 * DAY):
        if (high - low) / seconds <= most:
            break
    first = math.ceil(low / seconds)
    xs = [n * seconds for n in range(first, math.floor(high / seconds) + 1)]
    moments = [datetime.fromtimestamp(x, UTC) for x in xs]
    if seconds >= DAY:
        return [(x, _day_text(m, zh=zh)) for x, m in zip(xs, moments, strict=True)]
    return [(x, f"{m:%H:%M}" if m.hour or m.minute else _day_text(m, zh=zh)) for x, m in zip(xs, moments, strict=True)]
