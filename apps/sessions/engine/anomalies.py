"""The watch over a run: says when something looks wrong, from its points and its use of the machine.

Each detector is fed what arrives and returns a flag or None; ``Watch`` joins them and raises each
code once. Levels are robust medians of short windows, so that one wild batch is never a verdict.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from itertools import pairwise
from statistics import fmean, median, variance
from typing import Any

from apps.sessions.engine.events import Flag, Point, Usage

ERRORS = frozenset({"not_finite", "divergence", "memory_growth"})
GRADIENTS = frozenset({"gradient_norm", "grad_norm"})
#: Series watched at most, so that a batch of a thousand seeds costs no more than a few.
MOST_SERIES = 64
Finding = dict[str, Any]


class Divergence:
    """A loss that keeps growing: its level (median of ``WINDOW`` points) is 100 times the best level
    and 10 times the first one, and grew over the last three windows."""

    WINDOW, OVER_BEST, OVER_FIRST, FLOOR = 20, 100.0, 10.0, 1e-8

    def __init__(self) -> None:
        self._part: list[float] = []
        self._levels: list[float] = []
        self._best = math.inf

    def feed(self, value: float) -> Finding | None:
        self._part.append(abs(value))
        if len(self._part) < self.WINDOW:
            return None
        level, self._part = median(self._part), []
        self._levels = [*self._levels[:1], *self._levels[1:][-3:], level]
        self._best = min(self._best, level)
        last = self._levels[-4:]
        growing = len(last) == 4 and all(before < after for before, after in pairwise(last))
        if (
            growing
            and level > self.OVER_BEST * max(self._best, self.FLOOR)
            and level > self.OVER_FIRST * self._levels[0]
        ):
            return {"level": level, "best": self._best}
        return None


class ExplodingGradient:
    """A gradient norm whose level over 10 points is above 10 and 50 times that of the 200 before."""

    SHORT, LONG, RATIO, FLOOR = 10, 200, 50.0, 10.0

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=self.SHORT + self.LONG)
        self._fed = 0

    def feed(self, value: float) -> Finding | None:
        self._values.append(abs(value))
        self._fed += 1
        if self._fed % self.SHORT or len(self._values) < 5 * self.SHORT:
            return None
        values = list(self._values)
        level, usual = median(values[-self.SHORT :]), median(values[: -self.SHORT])
        return {"level": level, "usual": usual} if level > self.FLOOR and level > self.RATIO * usual else None


class Plateau:
    """A loss that was as good 40 % of the planned run ago: between the two halves of that stretch it
    gained less than 1 % and lost less than 5 %, both by two standard errors, so that a noisy curve
    is given the benefit of the doubt. Needs 200 points; the last tenth of a run is left alone."""

    STRETCH, POINTS, GAIN, LOSS, END = 0.4, 200, 0.01, 0.05, 0.9
    #: Medians of so many points are kept, not the points.
    BLOCK = 10

    def __init__(self) -> None:
        self._part: list[float] = []
        self._blocks: deque[tuple[float, float]] = deque(maxlen=20_000)

    def feed(self, value: float, done: float) -> Finding | None:
        """``done`` is the share of the planned work, 0 to 1."""
        self._part.append(value)
        if len(self._part) < self.BLOCK:
            return None
        self._blocks.append((done, median(self._part)))
        self._part = []
        if done > self.END or done < self.STRETCH or len(self._blocks) % 10:
            return None
        inside = [level for at, level in self._blocks if at >= done - self.STRETCH]
        if len(inside) * self.BLOCK < self.POINTS or self._blocks[0][0] > done - self.STRETCH:
            return None
        half = len(inside) // 2
        before, after = fmean(inside[:half]), fmean(inside[half:])
        doubt = 2 * math.sqrt(variance(inside[:half]) / half + variance(inside[half:]) / (len(inside) - half))
        gain, size = before - after, abs(before)
        flat = gain + doubt < self.GAIN * size and gain - doubt > -self.LOSS * size
        return {"share": round(100 * self.STRETCH), "value": after} if flat else None


class DeadPolicy:
    """Entropy that stays below 2 % of where it began for 60 points: the policy has stopped choosing.
    Differential entropy (continuous actions) passes zero on its way; it is dead at −4 times its start."""

    WINDOW, SHARE, DEPTH = 60, 0.02, -4.0

    def __init__(self) -> None:
        self._first: list[float] = []
        self._low = self._deep = 0

    def feed(self, value: float) -> Finding | None:
        if len(self._first) < 10:
            self._first.append(value)
            return None
        start = median(self._first)
        if start <= 0:
            return None
        self._low = self._low + 1 if abs(value) < self.SHARE * start else 0
        self._deep = self._deep + 1 if value < self.DEPTH * start else 0
        return {"entropy": value, "start": start} if max(self._low, self._deep) >= self.WINDOW else None


class Stall:
    """Silence: no step for 30 s and for 5 times the longest pause among the last 50; or a pace over
    30 s below a tenth of what was usual, for a run that says several steps a second."""

    SILENCE, FACTOR, SLOW = 30.0, 5.0, 0.1

    def __init__(self) -> None:
        self._gaps: deque[float] = deque(maxlen=50)
        self._last: float | None = None
        self._marks: deque[tuple[float, int]] = deque(maxlen=240)

    def feed(self, step: int, at: float) -> None:
        if self._last is not None and at > self._last:
            self._gaps.append(at - self._last)
        self._last = max(at, self._last or at)
        if not self._marks or at - self._marks[-1][0] >= 1.0:
            self._marks.append((at, step))

    def look(self, now: float) -> Finding | None:
        """Judge at ``now``, on the clock of the points."""
        if self._last is None or len(self._gaps) < 10:
            return None
        silent = now - self._last
        if silent > max(self.SILENCE, self.FACTOR * max(self._gaps)):
            return {"seconds": round(silent)}
        return self._slower(now)

    def _slower(self, now: float) -> Finding | None:
        if median(self._gaps) > 1.0 or now - self._marks[0][0] < 3 * self.SILENCE:
            return None
        recent = [mark for mark in self._marks if mark[0] >= now - self.SILENCE]
        earlier = [mark for mark in self._marks if mark[0] < now - self.SILENCE]
        if len(recent) < 2 or len(earlier) < 2:
            return None
        pace, usual = _pace(recent[0], recent[-1]), _pace(earlier[0], earlier[-1])
        return {"pace": pace, "usual": usual, "seconds": round(self.SILENCE)} if pace < self.SLOW * usual else None


def _pace(first: tuple[float, int], last: tuple[float, int]) -> float:
    return (last[1] - first[1]) / max(last[0] - first[0], 1e-9)


class MemoryGrowth:
    """Memory that grows in a straight line (R² above 0.9 over a minute) and meets its limit within 10 minutes."""

    SAMPLES, WINDOW, STRAIGHT, AHEAD = 30, 60, 0.9, 600.0

    def __init__(self, limit_bytes: float) -> None:
        self._limit = limit_bytes
        self._seen: deque[tuple[float, float]] = deque(maxlen=self.WINDOW)

    def feed(self, at: float, rss_bytes: float) -> Finding | None:
        self._seen.append((at, rss_bytes))
        if len(self._seen) < self.SAMPLES or not self._limit:
            return None
        slope, straight = _line(self._seen)
        if slope <= 0 or straight < self.STRAIGHT:
            return None
        left = (self._limit - rss_bytes) / slope
        if left > self.AHEAD:
            return None
        return {
            "seconds": max(0, round(left)),
            "used_mb": round(rss_bytes / 2**20),
            "limit_mb": round(self._limit / 2**20),
        }


def _line(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Return the slope of the least-squares line and its R²; (0, 0) where either axis does not move."""
    xs, ys = zip(*points, strict=True)
    mx, my = fmean(xs), fmean(ys)
    sxx, syy = sum((x - mx) ** 2 for x in xs), sum((y - my) ** 2 for y in ys)
    sxy = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    return (sxy / sxx, sxy * sxy / (sxx * syy)) if sxx and syy else (0.0, 0.0)


class Watch:
    """Every detector over one attempt. Not thread-safe: one thread feeds it."""

    def __init__(self, memory_limit_bytes: float = 0.0) -> None:
        self._series: dict[tuple[str, int | None], list[Callable[[float], Finding | None]]] = {}
        self._raised: set[str] = set()
        self._stall, self._memory = Stall(), MemoryGrowth(memory_limit_bytes)
        self._step, self._done, self._rewarded = 0, 0.0, False

    def points(self, points: Iterable[Point], done: float = 0.0) -> list[Flag]:
        """Look at new points; ``done`` is the share of the planned work."""
        found: list[Flag] = []
        self._done = done
        for point in points:
            self._step, at = point["step"], point["at"]
            self._stall.feed(self._step, at)
            self._rewarded = self._rewarded or "reward" in point["values"]
            for name, value in point["values"].items():
                if value is None or not math.isfinite(value):
                    found += self.raise_flag("not_finite", at, {"name": name, "value": str(value)})
                    continue
                for code, finding in self._look(name, point.get("seed"), value):
                    found += self.raise_flag(code, at, {"name": name, **finding})
        return found

    def usage(self, usage: Usage) -> list[Flag]:
        finding = self._memory.feed(usage["at"], usage["rss_bytes"])
        return self.raise_flag("memory_growth", usage["at"], finding) if finding else []

    def tick(self, now: float) -> list[Flag]:
        """Look for silence; call about once a second with the clock of the points."""
        finding = self._stall.look(now)
        return self.raise_flag("stalled", now, finding) if finding else []

    def raise_flag(self, code: str, at: float, params: Finding, step: int | None = None) -> list[Flag]:
        """Return the flag in a list, or nothing when this attempt has raised it before."""
        if code in self._raised:
            return []
        self._raised.add(code)
        level = "error" if code in ERRORS else "warning"
        return [
            {"code": code, "level": level, "step": self._step if step is None else step, "at": at, "params": params}
        ]

    def _look(self, name: str, seed: int | None, value: float) -> Iterable[tuple[str, Finding]]:
        key = (name, seed)
        if key not in self._series:
            self._series[key] = self._detectors(name) if len(self._series) < MOST_SERIES else []
        for feed in self._series[key]:
            finding = feed(value)
            if finding:
                yield finding.pop("code"), finding

    def _detectors(self, name: str) -> list[Callable[[float], Finding | None]]:
        if name in GRADIENTS:
            return [_named("exploding_gradient", ExplodingGradient().feed)]
        if name == "entropy":
            return [_named("dead_policy", DeadPolicy().feed)]
        if name.endswith("loss"):
            plateau = Plateau()
            # A reinforcement learner's loss is no measure of how well it does, so its rest is no plateau.
            rest = _named("plateau", lambda value: None if self._rewarded else plateau.feed(value, self._done))
            return [_named("divergence", Divergence().feed), rest]
        return []


def _named(code: str, feed: Callable[[float], Finding | None]) -> Callable[[float], Finding | None]:
    def look(value: float) -> Finding | None:
        finding = feed(value)
        return {**finding, "code": code} if finding else None

    return look
