"""The watch over a run: says when something looks wrong, from its points and its use of the machine.

Each detector is fed what arrives and returns a flag or None; ``Watch`` joins them and raises each
code once. Levels are robust medians of short windows, so that one wild batch is never a verdict.

A finding says its numbers: ``measured`` against ``threshold`` (both in the detector's own unit), what
they were worked out from, and ``since_step`` and ``since_at``, where what it found began.
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
#: A place of the run: its step, and its time in seconds since 1970.
Mark = tuple[int, float]
Feed = Callable[[float, Mark], Finding | None]


def _finding(measured: float | str, threshold: float | None, since: Mark, **more: Any) -> Finding:
    return {"measured": measured, "threshold": threshold, "since_step": since[0], "since_at": since[1], **more}


class Divergence:
    """A loss that keeps growing: its level (median of ``WINDOW`` points) is 100 times the best level
    and 10 times the first one, and grew over the last three windows."""

    WINDOW, OVER_BEST, OVER_FIRST, FLOOR = 20, 100.0, 10.0, 1e-8

    def __init__(self) -> None:
        self._part: list[float] = []
        self._began: Mark = (0, 0.0)
        self._levels: list[float] = []
        self._best = math.inf
        self._rising: Mark | None = None

    def feed(self, value: float, mark: Mark) -> Finding | None:
        if not self._part:
            self._began = mark
        self._part.append(abs(value))
        if len(self._part) < self.WINDOW:
            return None
        level, self._part = median(self._part), []
        if not self._levels or level <= self._levels[-1]:
            self._rising = None
        elif self._rising is None:
            self._rising = self._began
        self._levels = [*self._levels[:1], *self._levels[1:][-3:], level]
        self._best = min(self._best, level)
        last = self._levels[-4:]
        growing = len(last) == 4 and all(before < after for before, after in pairwise(last))
        allowed = max(self.OVER_BEST * max(self._best, self.FLOOR), self.OVER_FIRST * self._levels[0])
        if growing and level > allowed:
            first = self._levels[0]
            return _finding(level, allowed, self._rising or mark, level=level, best=self._best, first=first)
        return None


class ExplodingGradient:
    """A gradient norm whose level over 10 points is above 10 and 50 times that of the 200 before."""

    SHORT, LONG, RATIO, FLOOR = 10, 200, 50.0, 10.0

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=self.SHORT + self.LONG)
        self._marks: deque[Mark] = deque(maxlen=self.SHORT)
        self._fed = 0

    def feed(self, value: float, mark: Mark) -> Finding | None:
        self._values.append(abs(value))
        self._marks.append(mark)
        self._fed += 1
        if self._fed % self.SHORT or len(self._values) < 5 * self.SHORT:
            return None
        values = list(self._values)
        level, usual = median(values[-self.SHORT :]), median(values[: -self.SHORT])
        allowed = max(self.FLOOR, self.RATIO * usual)
        return _finding(level, allowed, self._marks[0], level=level, usual=usual) if level > allowed else None


class Plateau:
    """A loss that was as good 40 % of the planned run ago: between the two halves of that stretch it
    gained less than 1 % and lost less than 5 %, both by two standard errors, so that a noisy curve
    is given the benefit of the doubt. Needs 200 points; the last tenth of a run is left alone."""

    STRETCH, POINTS, GAIN, LOSS, END = 0.4, 200, 0.01, 0.05, 0.9
    #: Medians of so many points are kept, not the points.
    BLOCK = 10

    def __init__(self) -> None:
        self._part: list[float] = []
        self._blocks: deque[tuple[float, float, Mark]] = deque(maxlen=20_000)

    def feed(self, value: float, mark: Mark, done: float) -> Finding | None:
        """``done`` is the share of the planned work, 0 to 1."""
        self._part.append(value)
        if len(self._part) < self.BLOCK:
            return None
        self._blocks.append((done, median(self._part), mark))
        self._part = []
        if done > self.END or done < self.STRETCH or len(self._blocks) % 10:
            return None
        stretch = [(level, at) for share, level, at in self._blocks if share >= done - self.STRETCH]
        inside = [level for level, _ in stretch]
        if len(inside) * self.BLOCK < self.POINTS or self._blocks[0][0] > done - self.STRETCH:
            return None
        half = len(inside) // 2
        before, after = fmean(inside[:half]), fmean(inside[half:])
        doubt = 2 * math.sqrt(variance(inside[:half]) / half + variance(inside[half:]) / (len(inside) - half))
        gain, size = before - after, abs(before)
        flat = gain + doubt < self.GAIN * size and gain - doubt > -self.LOSS * size
        if not flat:
            return None
        measured = 100 * gain / size if size else 0.0
        more = {"share": round(100 * self.STRETCH), "value": after, "before": before}
        return _finding(measured, 100 * self.GAIN, stretch[0][1], **more)


class DeadPolicy:
    """Entropy that stays below 2 % of where it began for 60 points: the policy has stopped choosing.
    Differential entropy (continuous actions) passes zero on its way; it is dead at −4 times its start."""

    WINDOW, SHARE, DEPTH = 60, 0.02, -4.0

    def __init__(self) -> None:
        self._first: list[float] = []
        self._low: tuple[Mark, int] = ((0, 0.0), 0)
        self._deep: tuple[Mark, int] = ((0, 0.0), 0)

    def feed(self, value: float, mark: Mark) -> Finding | None:
        if len(self._first) < 10:
            self._first.append(value)
            return None
        start = median(self._first)
        if start <= 0:
            return None
        # Where each streak began and how long it is.
        self._low = _streak(self._low, mark, going=abs(value) < self.SHARE * start)
        self._deep = _streak(self._deep, mark, going=value < self.DEPTH * start)
        for (since, points), threshold in ((self._low, self.SHARE * start), (self._deep, self.DEPTH * start)):
            if points >= self.WINDOW:
                return _finding(value, threshold, since, entropy=value, start=start, points=points)
        return None


def _streak(before: tuple[Mark, int], mark: Mark, *, going: bool) -> tuple[Mark, int]:
    """Return where a streak began and its length after one more point that belongs to it or ends it."""
    if not going:
        return mark, 0
    return (before[0], before[1] + 1) if before[1] else (mark, 1)


class Stall:
    """Silence: no step for 30 s and for 5 times the longest pause among the last 50; or a pace over
    30 s below a tenth of what was usual, for a run that says several steps a second."""

    SILENCE, FACTOR, SLOW = 30.0, 5.0, 0.1

    def __init__(self) -> None:
        self._gaps: deque[float] = deque(maxlen=50)
        self._last: float | None = None
        self._step = 0
        self._marks: deque[tuple[float, int]] = deque(maxlen=240)

    def feed(self, step: int, at: float) -> None:
        if self._last is not None and at > self._last:
            self._gaps.append(at - self._last)
        self._last, self._step = max(at, self._last or at), step
        if not self._marks or at - self._marks[-1][0] >= 1.0:
            self._marks.append((at, step))

    def look(self, now: float) -> Finding | None:
        """Judge at ``now``, on the clock of the points."""
        if self._last is None or len(self._gaps) < 10:
            return None
        silent = now - self._last
        longest = max(self._gaps)
        allowed = max(self.SILENCE, self.FACTOR * longest)
        if silent > allowed:
            since = (self._step, self._last)
            return _finding(
                round(silent, 1), round(allowed, 1), since, seconds=round(silent), longest=round(longest, 2)
            )
        return self._slower(now)

    def _slower(self, now: float) -> Finding | None:
        if median(self._gaps) > 1.0 or now - self._marks[0][0] < 3 * self.SILENCE:
            return None
        recent = [mark for mark in self._marks if mark[0] >= now - self.SILENCE]
        earlier = [mark for mark in self._marks if mark[0] < now - self.SILENCE]
        if len(recent) < 2 or len(earlier) < 2:
            return None
        pace, usual = _pace(recent[0], recent[-1]), _pace(earlier[0], earlier[-1])
        if pace >= self.SLOW * usual:
            return None
        since, more = (recent[0][1], recent[0][0]), {"pace": pace, "usual": usual, "seconds": round(self.SILENCE)}
        return _finding(pace, self.SLOW * usual, since, **more)


def _pace(first: tuple[float, int], last: tuple[float, int]) -> float:
    return (last[1] - first[1]) / max(last[0] - first[0], 1e-9)


class MemoryGrowth:
    """Memory that grows in a straight line (R² above 0.9 over a minute) and meets its limit within 10 minutes."""

    SAMPLES, WINDOW, STRAIGHT, AHEAD = 30, 60, 0.9, 600.0

    def __init__(self, limit_bytes: float) -> None:
        self._limit = limit_bytes
        self._seen: deque[tuple[float, float]] = deque(maxlen=self.WINDOW)

    def feed(self, at: float, rss_bytes: float) -> Finding | None:
        """``measured`` and ``threshold`` are the seconds until the limit is met."""
        self._seen.append((at, rss_bytes))
        if len(self._seen) < self.SAMPLES or not self._limit:
            return None
        slope, straight = _line(self._seen)
        if slope <= 0 or straight < self.STRAIGHT:
            return None
        left = (self._limit - rss_bytes) / slope
        if left > self.AHEAD:
            return None
        seconds, mb = max(0, round(left)), 2**20
        more = {"used_mb": round(rss_bytes / mb), "limit_mb": round(self._limit / mb), "mb_a_minute": 60 * slope / mb}
        finding = _finding(seconds, self.AHEAD, (0, self._seen[0][0]), seconds=seconds, **more)
        del finding["since_step"]  # Memory is seen by the second, not by the step.
        return finding


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
        self._series: dict[tuple[str, int | None], list[Feed]] = {}
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
                    words = _finding(str(value), None, (self._step, at), name=name, value=str(value))
                    found += self.raise_flag("not_finite", at, words)
                    continue
                for code, finding in self._look(name, point.get("seed"), value, (self._step, at)):
                    found += self.raise_flag(code, at, {"name": name, **finding})
        return found

    def usage(self, usage: Usage) -> list[Flag]:
        finding = self._memory.feed(usage["at"], usage["rss_bytes"])
        return self.raise_flag("memory_growth", usage["at"], finding) if finding else []

    def tick(self, now: float, done: float = 0.0) -> list[Flag]:
        """Look for silence; call about once a second with the clock of the points and the share of the planned work.

        Once all of it is done the run works out its result, and no step is to be expected.
        """
        finding = self._stall.look(now) if max(done, self._done) < 1.0 else None
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

    def _look(self, name: str, seed: int | None, value: float, mark: Mark) -> Iterable[tuple[str, Finding]]:
        key = (name, seed)
        if key not in self._series:
            self._series[key] = self._detectors(name) if len(self._series) < MOST_SERIES else []
        for feed in self._series[key]:
            finding = feed(value, mark)
            if finding:
                yield finding.pop("code"), finding

    def _detectors(self, name: str) -> list[Feed]:
        if name in GRADIENTS:
            return [_named("exploding_gradient", ExplodingGradient().feed)]
        if name == "entropy":
            return [_named("dead_policy", DeadPolicy().feed)]
        if name.endswith("loss"):
            plateau = Plateau()
            # A reinforcement learner's loss is no measure of how well it does, so its rest is no plateau.
            rest = _named("plateau", lambda *at: None if self._rewarded else plateau.feed(at[0], at[1], self._done))
            return [_named("divergence", Divergence().feed), rest]
        return []


def _named(code: str, feed: Feed) -> Feed:
    def look(value: float, mark: Mark) -> Finding | None:
        finding = feed(value, mark)
        return {**finding, "code": code} if finding else None

    return look
