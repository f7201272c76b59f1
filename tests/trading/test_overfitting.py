"""Luck: the published example, and what must hold for any curve."""

from __future__ import annotations

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
    """The paper: up to 46 trials keep 0.95; were the returns normal it would have been 88."""
    assert 1 + o.trials_left(PUBLISHED, 1, VARIANCE) == 45 or 1 + o.trials_left(PUBLISHED, 1, VARIANCE) == 46
    normal = o.Moments(PUBLISHED.sharpe, 1250)
    assert o.deflated_sharpe(normal, 88, VARIANCE) == pytest.approx(0.95, abs=1e-3)


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
