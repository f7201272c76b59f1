"""Luck: the published example, and what must hold for any curve."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.engine import overfitting as o

PUBLISHED = o.Moments(2.5 / math.sqrt(250), 1250, -3.0, 10.0)
VARIANCE = 0.5 / 250


def test_the_worked_example_of_the_paper():
    assert o.expected_max_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert o.deflated_sharpe(PUBLISHED, 100, VARIANCE) == pytest.approx(0.9004, abs=5e-5)


def test_the_example_bears_46_trials_and_with_normal_returns_88():
    """The paper: at 46 trials the ratio is 0.9505, so none is left; were the returns normal it would bear 88."""
    assert o.deflated_sharpe(PUBLISHED, 46, VARIANCE) == pytest.approx(0.9505, abs=5e-5)
    assert 1 + o.trials_left(PUBLISHED, 1, VARIANCE) == 46
    assert o.trials_left(PUBLISHED, 46, VARIANCE) == 0
    assert o.trials_left(PUBLISHED, 100, VARIANCE) is None
    normal = o.Moments(PUBLISHED.sharpe, 1250)
    assert o.deflated_sharpe(normal, 88, VARIANCE) == pytest.approx(0.9505, abs=5e-4)
    assert 1 + o.trials_left(normal, 1, VARIANCE) >= 88


FUND = o.Moments(0.458, 24, -2.448, 10.164)


def test_the_fund_of_the_paper_on_the_probabilistic_ratio():
    """Bailey and Lopez de Prado (2012): two years of monthly returns, 0.458 a month, skewness -2.448, kurtosis 10.164:
    0.982 were they normal, 0.913 as they are, and 0.953 had it lasted three years."""
    assert o.probabilistic_sharpe(o.Moments(0.458, 24)) == pytest.approx(0.982, abs=5e-4)
    assert o.probabilistic_sharpe(FUND) == pytest.approx(0.913, abs=5e-4)
    assert o.probabilistic_sharpe(o.Moments(0.458, 36, -2.448, 10.164)) == pytest.approx(0.953, abs=6e-4)
    assert 24 < o.minimum_track_record(FUND) < 36


@pytest.mark.parametrize(("trials", "years"), [(7, 2.0), (45, 5.0)])
def test_the_shortest_backtest_of_the_paper(trials, years):
    """Bailey, Borwein, Lopez de Prado and Zhu (2014): with five years no more than 45 configurations may be tried,
    or one reaches a ratio of 1 without skill; seven do within two years."""
    assert o.minimum_backtest_length(trials, 1.0) == pytest.approx(years, abs=0.1)


def split_by_split(returns, blocks):
    """CSCV as the paper tells it, one split after the other: the shares of splits whose chosen column falls under the
    median, and loses."""
    parts, below, lost = np.array_split(returns, blocks), [], []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        seen = np.concatenate([parts[i] for i in chosen])
        unseen = np.concatenate([parts[i] for i in range(blocks) if i not in chosen])
        inside, outside = (part.mean(axis=0) / part.std(axis=0, ddof=1) for part in (seen, unseen))
        best = int(np.argmax(inside))
        rank = (outside <= outside[best]).sum() / (returns.shape[1] + 1)
        below.append(math.log(rank / (1 - rank)) <= 0)
        lost.append(outside[best] < 0)
    return float(np.mean(below)), float(np.mean(lost))


@pytest.mark.parametrize(("seed", "columns", "blocks"), [(1, 7, 6), (2, 12, 8), (3, 2, 4)])
def test_the_probability_of_overfitting_is_that_of_every_split_told_apart(seed, columns, blocks):
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0002, 0.01, (blocks * 40, columns)) + rng.normal(0, 0.0004, columns)
    found = o.cscv(returns, blocks)
    assert (found.pbo, found.loss) == pytest.approx(split_by_split(returns, blocks))


def test_the_track_record_that_is_just_long_enough_reaches_the_confidence():
    bars = o.minimum_track_record(PUBLISHED)
    long_enough = o.Moments(PUBLISHED.sharpe, math.ceil(bars), -3.0, 10.0)
    assert o.probabilistic_sharpe(long_enough) >= 0.95
    assert o.probabilistic_sharpe(o.Moments(PUBLISHED.sharpe, math.floor(bars), -3.0, 10.0)) < 0.95


def test_no_skill_needs_for_ever_and_has_no_trials_left():
    loser = o.Moments(-0.1, 500)
    assert o.minimum_track_record(loser) is None
    assert o.trials_left(loser, 1, 0.001) is None


@pytest.mark.parametrize(
    "returns", [np.zeros(10), np.full(10, 0.001), np.array([0.1, 0.2]), np.array([0.1, np.nan, 0.2])]
)
def test_returns_without_variation_have_no_moments(returns):
    assert o.Moments.of(returns) is None


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.floats(1e-6, 1e-2))
def test_more_trials_never_help(trials, variance):
    one, more = (o.deflated_sharpe(PUBLISHED, n, variance) for n in (trials, trials + 7))
    assert 0.0 <= more <= one <= 1.0


def test_the_best_of_noise_is_overfitted_and_a_real_edge_is_not():
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.01, (1024, 30))
    assert 0.25 < o.cscv(noise, 10).pbo < 0.85
    edge = noise.copy()
    edge[:, 4] += 0.004
    found = o.cscv(edge, 10)
    assert found.pbo == 0.0
    assert found.loss == 0.0
    assert len(found.logits) == math.comb(10, 5)


def test_equal_trials_share_their_rank():
    same = np.tile(np.random.default_rng(1).normal(0, 0.01, (64, 1)), (1, 4))
    assert o.cscv(same, 4).logits == pytest.approx([0.0] * 6)


@pytest.mark.parametrize(("shape", "blocks"), [((100, 1), 4), ((100, 3), 5), ((6, 3), 4)])
def test_what_cannot_be_cut_is_refused(shape, blocks):
    with pytest.raises(ValueError, match="needs"):
        o.cscv(np.ones(shape), blocks)


def test_the_scatter_of_one_trial_is_that_of_an_estimate():
    assert o.trial_variance([0.1], 101) == pytest.approx(0.01)
    assert o.trial_variance([0.1, 0.3, math.nan], 101) == pytest.approx(0.02)
