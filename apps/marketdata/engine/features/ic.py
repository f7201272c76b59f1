"""Information coefficients: how well a score orders what follows.

``scores`` and ``labels`` are (T, S), NaN where unknown; a day counts the symbols that have
both. IC is Pearson's correlation across the symbols of a day, Rank IC Spearman's (average
ranks), ICIR mean over standard deviation (ddof 1) of the days, not annualised, as in Qlib.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.compiled import compiled, summed

Floats = NDArray[np.float64]
#: Values worked on at a time, so that what lies between the steps stays in the processor's cache.
CACHED = 20_000


@summed
def _pearson(x: Floats, y: Floats, n: int) -> float:
    mx, my = 0.0, 0.0
    for i in range(n):
        mx += x[i]
        my += y[i]
    mx /= n
    my /= n
    sxx, syy, sxy = 0.0, 0.0, 0.0
    for i in range(n):
        a, b = x[i] - mx, y[i] - my
        sxx += a * a
        syy += b * b
        sxy += a * b
    if sxx <= 0.0 or syy <= 0.0:
        return math.nan
    return sxy / math.sqrt(sxx * syy)


@compiled
def _pack(x: Floats, low: int, keys: NDArray[np.uint32]) -> None:
    """Write one sortable number a value: its place between the least and the greatest of its row, then its column.

    The column takes the ``low`` lowest bits. What is not finite goes to the end.
    """
    rows, width = x.shape
    top = float((1 << (32 - low)) - 2)
    for t in range(rows):
        least, most = math.inf, -math.inf
        for s in range(width):
            v = x[t, s]
            if v - v == 0.0:
                least, most = min(least, v), max(most, v)
        scale = top / (most - least) if most > least else 0.0
        if scale - scale != 0.0:
            scale = 0.0
        for s in range(width):
            v = x[t, s]
            place = np.uint32((v - least) * scale) if v - v == 0.0 else np.uint32(top + 1.0)
            keys[t, s] = (place << np.uint32(low)) | np.uint32(s)


@compiled
def _ranks_of(x: Floats, keys: NDArray[np.uint32], low: int, out: Floats) -> None:
    """Write the average rank from 1 of each known value of a row (T, S); NaN for the rest.

    ``keys`` are sorted. Values that share a place are put right by insertion; a row in which nearly all do, for one
    of it is far out, is sorted as it is.
    """
    rows, width = x.shape
    order, values = np.empty(width, np.int64), np.empty(width)
    mask = np.uint32((1 << low) - 1)
    for t in range(rows):
        n, moves, tied = 0, 0, False
        for i in range(width):
            at = np.int64(keys[t, i] & mask)
            v = x[t, at]
            if v - v != 0.0:
                out[t, at] = math.nan
                continue
            j = n
            if moves <= 4 * width:
                while j > 0 and values[j - 1] > v:
                    order[j], values[j] = order[j - 1], values[j - 1]
                    j -= 1
                    moves += 1
                tied = tied or (j > 0 and values[j - 1] == v)
            order[j], values[j] = at, v
            n += 1
        if moves > 4 * width:
            places = np.argsort(values[:n])
            order[:n], values[:n] = order[places], values[places]
            tied = True
        if not tied:
            for i in range(n):
                out[t, order[i]] = i + 1.0
            continue
        i = 0
        while i < n:
            j = i + 1
            while j < n and values[j] == values[i]:
                j += 1
            for m in range(i, j):
                out[t, order[m]] = 0.5 * (i + j + 1)
            i = j


@compiled
def _known_pairs(scores: Floats, labels: Floats, x: Floats, y: Floats) -> None:
    """Write both sides where both are known, NaN elsewhere."""
    days, width = scores.shape
    for t in range(days):
        for s in range(width):
            u, v = scores[t, s], labels[t, s]
            ok = (u - u) + (v - v) == 0.0
            x[t, s] = u if ok else math.nan
            y[t, s] = v if ok else math.nan


@compiled
def _correlate(x: Floats, y: Floats, least: int, out: Floats) -> None:
    """Write Pearson's correlation (T,) of each day; NaN below ``least`` symbols or without any variation."""
    days, width = x.shape
    a, b = np.empty(width), np.empty(width)
    for t in range(days):
        n = 0
        for s in range(width):
            if x[t, s] == x[t, s] and y[t, s] == y[t, s]:
                a[n] = x[t, s]
                b[n] = y[t, s]
                n += 1
        out[t] = _pearson(a, b, n) if n >= least and n > 1 else math.nan


def average_ranks(x: Floats) -> Floats:
    """Return the rank of each symbol (T, S) among those known that day, from 1, ties averaged."""
    values = np.ascontiguousarray(x, np.float64)
    low = max(1, (values.shape[1] - 1).bit_length())
    keys, out = np.empty(values.shape, np.uint32), np.empty(values.shape)
    _pack(values, low, keys)
    # numpy sorts whole numbers with the processor's vector instructions, which compiled code here cannot.
    keys.sort(axis=1)
    _ranks_of(values, keys, low, out)
    return out


@compiled
def _quantile_sums(scores: Floats, labels: Floats, groups: int, out: Floats, member: NDArray[np.int64]) -> None:
    """Write the mean label of each group of scores (T, G), lowest first, and each symbol's group."""
    days, width = scores.shape
    x, y, place = np.empty(width), np.empty(width), np.empty(width, np.int64)
    for t in range(days):
        n = 0
        for s in range(width):
            member[t, s] = -1
            if scores[t, s] - scores[t, s] == 0.0 and labels[t, s] - labels[t, s] == 0.0:
                x[n] = scores[t, s]
                y[n] = labels[t, s]
                place[n] = s
                n += 1
        for g in range(groups):
            out[t, g] = math.nan
        if n < groups:
            continue
        order = np.argsort(x[:n])
        for g in range(groups):
            first, last = g * n // groups, (g + 1) * n // groups
            total = 0.0
            for i in range(first, last):
                total += y[order[i]]
                member[t, place[order[i]]] = g
            out[t, g] = total / (last - first)


@compiled
def _turnover(member: NDArray[np.int64], group: int, out: Floats) -> None:
    """Write the share of the group's symbols (T,) that were not in it the day before."""
    days, width = member.shape
    for t in range(days):
        size, fresh, before = 0, 0, 0
        for s in range(width):
            if t > 0 and member[t - 1, s] == group:
                before += 1
            if member[t, s] == group:
                size += 1
                if t > 0 and member[t - 1, s] != group:
                    fresh += 1
        out[t] = fresh / size if size > 0 and before > 0 else math.nan


@dataclass(frozen=True)
class Summary:
    """A series of daily coefficients in figures; ``t`` is the mean over its standard error."""

    mean: float
    std: float
    ir: float
    t: float
    positive: float
    days: int

    @classmethod
    def of(cls, daily: Floats) -> Summary:
        known = daily[np.isfinite(daily)]
        if len(known) < 2:
            mean = float(known[0]) if len(known) else math.nan
            return cls(mean, math.nan, math.nan, math.nan, math.nan, len(known))
        mean, std = float(known.mean()), float(known.std(ddof=1))
        ir = mean / std if std > 0 else math.nan
        return cls(mean, std, ir, ir * math.sqrt(len(known)), float((known > 0).mean()), len(known))


def ic_by_day(scores: Floats, labels: Floats, least: int = 2) -> tuple[Floats, Floats]:
    """Return IC and Rank IC of each day, (T,) each; NaN below ``least`` symbols or without any variation."""
    scores, labels = np.ascontiguousarray(scores, np.float64), np.ascontiguousarray(labels, np.float64)
    ic, rank_ic = np.empty(len(scores)), np.empty(len(scores))
    step = max(1, CACHED // max(1, scores.shape[1]))
    for first in range(0, len(scores), step):
        days = slice(first, first + step)
        x, y = np.empty_like(scores[days]), np.empty_like(scores[days])
        _known_pairs(scores[days], labels[days], x, y)
        _correlate(x, y, least, ic[days])
        _correlate(average_ranks(x), average_ranks(y), least, rank_ic[days])
    return ic, rank_ic


def quantile_returns(scores: Floats, labels: Floats, groups: int = 5) -> tuple[Floats, NDArray[np.int64]]:
    """Return the mean label of each group (T, G), lowest scores first, and each symbol's group (T, S), −1 for none."""
    out, member = np.empty((len(scores), groups)), np.empty(scores.shape, np.int64)
    _quantile_sums(
        np.ascontiguousarray(scores, np.float64), np.ascontiguousarray(labels, np.float64), groups, out, member
    )  # fmt: skip
    return out, member


def turnover(member: NDArray[np.int64], group: int) -> Floats:
    """Return the share of new names in ``group`` each day, (T,)."""
    out = np.empty(len(member))
    _turnover(member, group, out)
    return out


def long_short(scores: Floats, labels: Floats, share: float = 0.2) -> Floats:
    """Return half the spread between the best and the worst ``share`` of each day, as Qlib has it, (T,)."""
    out = np.full(len(scores), math.nan)
    for t in range(len(scores)):
        known = np.isfinite(scores[t]) & np.isfinite(labels[t])
        n = int(known.sum() * share)
        if n:
            ordered = labels[t][known][np.argsort(-scores[t][known], kind="stable")]
            out[t] = (ordered[:n].mean() - ordered[-n:].mean()) / 2.0
    return out


def rank_autocorrelation(scores: Floats, lag: int = 1) -> Floats:
    """Return the rank correlation of each day's scores with those ``lag`` days before, (T,)."""
    before = np.full(scores.shape, math.nan)
    before[lag:] = scores[:-lag] if lag else scores
    return ic_by_day(scores, before)[1]
