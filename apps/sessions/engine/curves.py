"""The curves of a run, built from its log: one series per metric and seed."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from apps.sessions.engine.downsample import Floats, lttb
from apps.sessions.engine.events import EventPayload, Flag, Point
from apps.sessions.engine.usage import UsageHistory

Key = tuple[str, int | None]


@dataclass
class Series:
    """Columns of one metric of one seed, by rising step; ``epoch`` is −1 where it is unknown."""

    step: array[float] = field(default_factory=lambda: array("d"))
    value: array[float] = field(default_factory=lambda: array("d"))
    epoch: array[int] = field(default_factory=lambda: array("q"))
    time: array[float] = field(default_factory=lambda: array("d"))

    def append(self, step: float, value: float, epoch: int, time: float) -> None:
        self.step.append(step)
        self.value.append(value)
        self.epoch.append(epoch)
        self.time.append(time)

    def rewind(self, step: float) -> None:
        keep = bisect_right(self.step, step)
        for column in (self.step, self.value, self.epoch, self.time):
            del column[keep:]

    def xy(self) -> tuple[Floats, Floats]:
        return np.array(self.step), np.array(self.value)

    def sampled(self, points: int) -> tuple[Floats, Floats]:
        """Return at most ``points`` of (step, value)."""
        x, y = self.xy()
        kept = lttb(x, y, points)
        return x[kept], y[kept]

    def thinned(self, points: int) -> Series:
        """Return a series of at most ``points`` of the points, with all their columns."""
        kept = lttb(*self.xy(), points).tolist()
        columns = (self.step, self.value, self.epoch, self.time)
        return Series(*(array(column.typecode, [column[at] for at in kept]) for column in columns))

    def __len__(self) -> int:
        return len(self.step)


@dataclass
class Curves:
    """All series of a session up to ``seq`` of its log; values that are not finite are left out.

    A rewind drops points, which come again; what the processes used and what was flagged stays,
    because it did happen.
    """

    seq: int = 0
    series: dict[Key, Series] = field(default_factory=dict)
    usage: UsageHistory = field(default_factory=UsageHistory)
    flags: list[Flag] = field(default_factory=list)

    def feed(self, seq: int, payload: EventPayload, time: float) -> None:
        """Apply one event: its rewind first, then its points; ``time`` in seconds since 1970."""
        if "rewind" in payload:
            for one in self.series.values():
                one.rewind(payload["rewind"])
        for point in payload.get("points", ()):
            self._point(point, time)
        for sample in payload.get("resources", ()):
            self.usage.add(sample)
        self.flags.extend(payload.get("flags", ()))
        self.seq = seq

    def _point(self, point: Point, time: float) -> None:
        step, seed, epoch, time = point["step"], point.get("seed"), point.get("epoch", -1), point.get("at", time)
        for name, value in point["values"].items():
            if value is not None and isfinite(value):
                self.series.setdefault((name, seed), Series()).append(step, value, -1 if epoch is None else epoch, time)

    def names(self) -> list[str]:
        return sorted({name for (name, _), series in self.series.items() if len(series)})

    def of(self, name: str) -> dict[int | None, Series]:
        """Return the series of one metric by seed."""
        return {seed: series for (known, seed), series in self.series.items() if known == name and len(series)}

    def last(self, name: str) -> float | None:
        """Return the newest value: the median over seeds."""
        values = [series.value[-1] for series in self.of(name).values()]
        return float(np.median(values)) if values else None

    def worst(self, name: str, good: str) -> int | None:
        """Return the seed whose newest value is furthest on the bad side; None of fewer than three seeds.

        ``good`` is the direction in which the metric gets better, "up" or "down".
        """
        ends = {seed: series.value[-1] for seed, series in self.of(name).items() if seed is not None}
        if len(ends) < 3 or len(set(ends.values())) == 1:
            return None
        return (min if good == "up" else max)(ends, key=ends.__getitem__)

    def median(self, name: str) -> tuple[Floats, Floats]:
        """Return (step, median over seeds), each seed holding its last value; empty without points."""
        members = list(self.of(name).values())
        if not members:
            return np.empty(0), np.empty(0)
        if len(members) == 1:
            return members[0].xy()
        steps = np.unique(np.concatenate([np.array(series.step) for series in members]))
        table = np.vstack([_held(series, steps) for series in members])
        steps, table = steps[~np.isnan(table).all(axis=0)], table[:, ~np.isnan(table).all(axis=0)]
        return steps, np.nanmedian(table, axis=0)

    def sampled(self, name: str, points: int) -> list[dict[str, object]]:
        """Return the series of one metric as ``{"seed", "x", "y"}`` with at most ``points`` each."""
        result: list[dict[str, object]] = []
        for seed, series in sorted(self.of(name).items(), key=lambda item: -1 if item[0] is None else item[0]):
            x, y = series.sampled(points)
            result.append({"seed": seed, "x": x.tolist(), "y": y.tolist()})
        return result


def _held(series: Series, steps: Floats) -> Floats:
    """Return the value each step sees: the last one said, NaN before the first."""
    x, y = series.xy()
    at = np.searchsorted(x, steps, side="right") - 1
    values: Floats = np.where(at >= 0, y[np.maximum(at, 0)], np.nan)
    return values


def rows(series: Series, after: float | None, limit: int) -> Iterator[tuple[float, float, int, float]]:
    """Yield at most ``limit`` of (step, value, epoch, time) behind step ``after``."""
    start = 0 if after is None else bisect_right(series.step, after)
    for at in range(start, min(len(series), start + limit)):
        yield series.step[at], series.value[at], series.epoch[at], series.time[at]


def merged(payloads: Iterable[EventPayload]) -> EventPayload:
    """Return one payload that says what several said in turn.

    A rewind drops the earlier points behind its step; the newest progress, status and result win.
    """
    whole: EventPayload = {}
    for payload in payloads:
        if "rewind" in payload:
            step = payload["rewind"]
            whole["points"] = [point for point in whole.get("points", []) if point["step"] <= step]
            whole["rewind"] = min(step, whole.get("rewind", step))
        whole.setdefault("points", []).extend(payload.get("points", ()))
        for name in ("logs", "resources", "flags"):
            whole.setdefault(name, []).extend(payload.get(name, ()))  # type: ignore[misc]
        for key in ("progress", "checkpoint", "status", "reason", "result"):
            if key in payload:
                whole[key] = payload[key]  # type: ignore[literal-required]
    return {key: value for key, value in whole.items() if value not in ([], None)}  # type: ignore[return-value]
