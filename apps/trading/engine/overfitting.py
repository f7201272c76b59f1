"""How much of a result is luck: probabilistic and deflated Sharpe ratio, PBO, track record length.

Sharpe ratios here are by bar (not annualised) unless a name says otherwise; ``kurtosis`` is raw
(3 for a normal distribution). Sources: Bailey and López de Prado, "The Sharpe Ratio Efficient
Frontier" (2012: probabilistic ratio, minimum track record), "The Deflated Sharpe Ratio" (2014),
and with Borwein and Zhu "The Probability of Backtest Overfitting" (2017: CSCV).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NORMAL = NormalDist()
EULER = 0.5772156649015329
#: What the deflated ratio must reach, and where the search for trials left ends.
CONFIDENCE, MOST_TRIALS = 0.95, 10**9
#: A curve that varies less than this does not vary.
NOISE = 1e-12


@dataclass(frozen=True)
class Moments:
    """What the formulas need of returns (T,): Sharpe ratio by bar, T, skewness, raw kurtosis (both biased)."""

    sharpe: float
    observations: int
    skewness: float = 0.0
    kurtosis: float = 3.0

    @classmethod
    def of(cls, returns: Floats) -> Moments | None:
        """Return the moments of ``returns``; None where they do not vary or are fewer than 3."""
        values = np.asarray(returns, np.float64)
        if len(values) < 3 or not np.isfinite(values).all() or float(values.std()) < NOISE:
            return None
        centred = (values - values.mean()) / values.std()
        sharpe = float(values.mean() / values.std(ddof=1))
        return cls(sharpe, len(values), float(np.mean(centred**3)), float(np.mean(centred**4)))

    @property
    def spread(self) -> float:
        """Return 1 − skew·SR + (kurt − 1)/4·SR², the variance of the estimate times T − 1."""
        return 1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2


def probabilistic_sharpe(found: Moments, threshold: float = 0.0) -> float | None:
    """Return the probability that the true Sharpe ratio lies above ``threshold`` (by bar)."""
    if found.spread <= 0.0 or found.observations < 2:
        return None
    return NORMAL.cdf((found.sharpe - threshold) * math.sqrt(found.observations - 1) / math.sqrt(found.spread))


def expected_max_sharpe(trials: int, variance: float) -> float:
    """Return the Sharpe ratio to expect of the best of ``trials`` without skill.

    ``variance`` is that of the trials' ratios, in the unit of the answer squared; one trial has
    nothing to choose from, so its answer is 0.
    """
    if trials < 2 or variance <= 0.0:
        return 0.0
    first = NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - EULER) * first + EULER * second)


def deflated_sharpe(found: Moments, trials: int, variance: float) -> float | None:
    """Return the probability that the true Sharpe ratio lies above what luck gives the best of ``trials``."""
    return probabilistic_sharpe(found, expected_max_sharpe(trials, variance))


def minimum_track_record(found: Moments, threshold: float = 0.0, confidence: float = CONFIDENCE) -> float | None:
    """Return the bars needed to say with ``confidence`` that the ratio lies above ``threshold``; None where never."""
    gap = found.sharpe - threshold
    if gap <= 0.0 or found.spread <= 0.0:
        return None
    return 1.0 + found.spread * (NORMAL.inv_cdf(confidence) / gap) ** 2


def minimum_backtest_length(trials: int, annual_sharpe: float = 1.0) -> float | None:
    """Return the years below which the best of ``trials`` reaches ``annual_sharpe`` without skill."""
    if trials < 2 or annual_sharpe <= 0.0:
        return None
    return (expected_max_sharpe(trials, 1.0) / annual_sharpe) ** 2


def trials_left(found: Moments, trials: int, variance: float, confidence: float = CONFIDENCE) -> int | None:
    """Return how many more trials the result bears before its deflated ratio falls under ``confidence``.

    None where it lies under it already; the answer ends at ``MOST_TRIALS``.
    """

    def holds(count: int) -> bool:
        value = deflated_sharpe(found, count, variance)
        return value is not None and value >= confidence

    if not holds(max(1, trials)):
        return None
    low, high = max(1, trials), max(2, trials)
    while high < MOST_TRIALS and holds(high):
        low, high = high, high * 2
    if high >= MOST_TRIALS and holds(MOST_TRIALS):
        return MOST_TRIALS - trials
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low - trials


def trial_variance(ratios: Sequence[float], observations: int) -> float:
    """Return the variance of the trials' Sharpe ratios by bar (n − 1).

    With fewer than two known ratios it is 1 / (T − 1), what estimates without skill scatter by.
    """
    known = [ratio for ratio in ratios if math.isfinite(ratio)]
    if len(known) < 2:
        return 1.0 / max(observations - 1, 1)
    return float(np.var(known, ddof=1))


@dataclass(frozen=True)
class Overfitting:
    """``pbo`` share of splits where the best in sample falls under the median out of sample;
    ``logits`` one a split; ``slope`` of the out-of-sample ratio over the in-sample one of the
    chosen; ``loss`` share of splits where the chosen lost out of sample."""

    pbo: float
    logits: list[float]
    slope: float | None
    loss: float


def _block_sums(returns: Floats, blocks: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    edges = np.linspace(0, len(returns), blocks + 1).astype(np.int64)
    sums = np.stack([returns[a:b].sum(axis=0) for a, b in pairwise(edges)])
    squares = np.stack([(returns[a:b] ** 2).sum(axis=0) for a, b in pairwise(edges)])
    return sums, squares, np.diff(edges)


def _ratio(total: Floats, squares: Floats, count: int) -> Floats:
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0.0) * count / max(count - 1, 1)
    deviation = np.sqrt(variance)
    return np.where(deviation > NOISE, mean / np.where(deviation > NOISE, deviation, 1.0), 0.0)


def cscv(returns: Floats, blocks: int = 16) -> Overfitting:
    """Return the probability of overfitting of choosing the best of the columns of ``returns`` (T, N).

    The bars are cut into ``blocks`` (even) equal parts; each half of them chooses the column with
    the best Sharpe ratio, the other half ranks it. A column that does not vary counts as 0; equal
    ratios share their rank. Raises ``ValueError`` for fewer than 2 columns, an odd number of
    blocks or fewer bars than two a block.
    """
    values = np.asarray(returns, np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError("needs the returns of at least two trials")
    if blocks < 2 or blocks % 2 or len(values) < 2 * blocks:
        raise ValueError("needs an even number of blocks with at least two bars each")
    sums, squares, counts = _block_sums(values, blocks)
    logits, inside, outside = [], [], []
    whole, whole_squares, whole_count = sums.sum(axis=0), squares.sum(axis=0), int(counts.sum())
    for chosen in combinations(range(blocks), blocks // 2):
        part = list(chosen)
        total, square, count = sums[part].sum(axis=0), squares[part].sum(axis=0), int(counts[part].sum())
        seen = _ratio(total, square, count)
        unseen = _ratio(whole - total, whole_squares - square, whole_count - count)
        best = int(np.argmax(seen))
        below = float((unseen < unseen[best]).sum()) + 0.5 * float((unseen == unseen[best]).sum() + 1)
        rank = below / (values.shape[1] + 1)
        logits.append(math.log(rank / (1.0 - rank)))
        inside.append(float(seen[best]))
        outside.append(float(unseen[best]))
    slope = None
    if float(np.std(inside)) > NOISE:
        slope = float(np.polyfit(inside, outside, 1)[0])
    return Overfitting(
        pbo=float(np.mean([logit <= 0.0 for logit in logits])),
        logits=logits,
        slope=slope,
        loss=float(np.mean([value < 0.0 for value in outside])),
    )
