"""Is a run that was repeated the same run? Compares curves and results, bit by bit or within a tolerance."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from apps.sessions.engine.capsule import leaves

#: (metric, seed or None) → its points as (step, value), in the order of the steps.
Points = Mapping[tuple[str, int | None], Sequence[tuple[float, float]]]
IDENTICAL, WITHIN_TOLERANCE, DIFFERENT = "identical", "within_tolerance", "different"
#: Columns of a backtest by bar, the ones that explain the others first.
BY_BAR = ("cash", "equity", "benchmark")


@dataclass(frozen=True)
class Tolerance:
    """Two numbers are near when |a − b| ≤ max(absolute, relative × max(|a|, |b|))."""

    relative: float
    absolute: float

    def near(self, one: float, other: float) -> bool:
        return math.isclose(one, other, rel_tol=self.relative, abs_tol=self.absolute)


#: On a GPU the order of sums is not fixed, so the same run drifts.
GPU = Tolerance(relative=1e-3, absolute=1e-6)


@dataclass(frozen=True)
class FirstDifference:
    """Where two runs part: the metric (or the place in the result), the step or bar, both values.

    ``step`` is None where a result has no steps; ``when`` is the bar's time of a backtest; a value that
    one of the runs does not have is None.
    """

    metric: str
    step: float | None
    seed: int | None
    when: str
    original: Any
    again: Any

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """``first`` is the first value that differs at all, ``beyond`` the first that no tolerance covers."""

    compared: int
    first: FirstDifference | None
    beyond: FirstDifference | None

    def verdict(self, *, exact: bool) -> str:
        """Return the verdict; ``exact`` where nothing but the same bits will do."""
        if self.first is None:
            return IDENTICAL
        return DIFFERENT if exact or self.beyond is not None else WITHIN_TOLERANCE


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same to the bit; 1 and 1.0 are, 0.0 and −0.0 are not."""
    if _number(one) and _number(other):
        return struct.pack("<d", one) == struct.pack("<d", other)
    return type(one) is type(other) and bool(one == other)


def near(one: Any, other: Any, tolerance: Tolerance) -> bool:
    return tolerance.near(one, other) if _number(one) and _number(other) else same(one, other)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def compare_points(original: Points, again: Points, tolerance: Tolerance = GPU) -> Comparison:
    """Compare every point of every curve; the first difference is the one at the smallest step."""
    count = 0
    first: list[FirstDifference] = []
    beyond: list[FirstDifference] = []
    for key in sorted(original.keys() | again.keys(), key=lambda item: (item[0], -1 if item[1] is None else item[1])):
        one, other = original.get(key, ()), again.get(key, ())
        count += max(len(one), len(other))
        first += _first_of(key, one, other, None)
        beyond += _first_of(key, one, other, tolerance)
    return Comparison(count, _earliest(first), _earliest(beyond))


def _first_of(
    key: tuple[str, int | None],
    one: Sequence[tuple[float, float]],
    other: Sequence[tuple[float, float]],
    tolerance: Tolerance | None,
) -> list[FirstDifference]:
    """Return the first point of one curve that differs, as a list of one or none."""
    for place in range(max(len(one), len(other))):
        left = one[place] if place < len(one) else None
        right = other[place] if place < len(other) else None
        if left and right and left[0] == right[0]:
            if same(left[1], right[1]) or (tolerance is not None and tolerance.near(left[1], right[1])):
                continue
            return [FirstDifference(key[0], left[0], key[1], "", left[1], right[1])]
        step = min(point[0] for point in (left, right) if point)
        values = [point[1] if point and point[0] == step else None for point in (left, right)]
        return [FirstDifference(key[0], step, key[1], "", *values)]
    return []


def _earliest(found: Iterable[FirstDifference]) -> FirstDifference | None:
    return min(found, key=lambda one: math.inf if one.step is None else one.step, default=None)


def compare_results(
    original: Mapping[str, Any],
    again: Mapping[str, Any],
    *,
    skipped: Sequence[str] = (),
    hashes: Sequence[str] = (),
    tolerance: Tolerance = GPU,
) -> Comparison:
    """Compare two result documents leaf by leaf; a leaf's name is its dotted path.

    The ``series`` of a backtest come first, bar by bar. ``skipped`` are paths that say nothing about the
    run; ``hashes`` are paths that no tolerance applies to, so that they only count for the same bits.
    """
    count = 0
    first: FirstDifference | None = None
    beyond: FirstDifference | None = None
    for name, step, when, one, other in _pairs(original, again):
        if name.startswith(tuple(skipped)):
            continue
        count += 1
        if same(one, other):
            continue
        found = FirstDifference(name, step, None, when, one, other)
        first = first or found
        if name not in hashes and not near(one, other, tolerance):
            beyond = beyond or found
    return Comparison(count, first, beyond)


def _pairs(original: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[tuple[str, float | None, str, Any, Any]]:
    """Yield (name, bar, time, original value, repeated value) of everything there is to compare."""
    yield from _bars(original.get("series") or {}, again.get("series") or {})
    one, other = (
        dict(_deep({name: part for name, part in document.items() if name != "series"}))
        for document in (original, again)
    )
    for name in dict.fromkeys([*one, *other]):
        yield name, None, "", one.get(name), other.get(name)


def _bars(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, float | None, str, Any, Any]]:
    times, others = one.get("times", []), other.get("times", [])
    for bar in range(max(len(times), len(others))):
        when = str(times[bar] if bar < len(times) else others[bar])
        yield "time", float(bar), when, *(_at(column, bar) for column in (times, others))
        for name in BY_BAR:
            yield name, float(bar), when, *(_at(part.get(name, []), bar) for part in (one, other))


def _at(column: Sequence[Any], place: int) -> Any:
    return column[place] if place < len(column) else None


def _deep(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a result, lists of plain values by position as well."""
    for name, value in leaves(document):
        if isinstance(value, list) and value:
            for place, one in enumerate(value):
                yield f"{name}.{place}", one
        else:
            yield name, value


def together(*parts: Comparison) -> Comparison:
    """Return several comparisons as one; the first difference of the earliest part counts."""
    return Comparison(
        sum(part.compared for part in parts),
        next((part.first for part in parts if part.first), None),
        next((part.beyond for part in parts if part.beyond), None),
    )
