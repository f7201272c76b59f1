"""Information coefficients against pandas, and the figures around them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from apps.marketdata.engine.features import ic


def made(days=30, symbols=20, seed=0):
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(days, symbols)), rng.normal(size=(days, symbols))
    scores[rng.random(scores.shape) < 0.1] = np.nan
    labels[rng.random(labels.shape) < 0.1] = np.nan
    return np.round(scores, 1), labels  # ties among the scores


def test_daily_coefficients_are_those_of_pandas():
    scores, labels = made()
    plain, ranked = ic.ic_by_day(scores, labels)
    for t in range(len(scores)):
        a, b = pd.Series(scores[t]), pd.Series(labels[t])
        assert plain[t] == pytest.approx(a.corr(b), rel=1e-9)
        assert ranked[t] == pytest.approx(a.corr(b, method="spearman"), rel=1e-9)


#: Numbers far apart, next to each other, equal, and none.
HARD = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, np.nextafter(1.0, 2.0), 1e308, -1e308, 5e-324]))


@settings(deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 12)), elements=HARD))
def test_ranks_are_those_of_pandas(x):
    known = pd.DataFrame(np.where(np.isfinite(x), x, np.nan))
    np.testing.assert_array_equal(ic.average_ranks(x), known.rank(axis=1).to_numpy())


def test_ranks_of_many_with_one_far_out_are_those_of_pandas():
    x = np.random.default_rng(2).normal(size=(3, 3000))
    x[:, 7], x[1, 100:2000] = 1e15, 0.5
    np.testing.assert_array_equal(ic.average_ranks(x), pd.DataFrame(x).rank(axis=1).to_numpy())


def test_days_without_variation_or_symbols_have_no_coefficient():
    scores = np.array([[1.0, 1.0, 1.0], [1.0, np.nan, np.nan], [1.0, 2.0, 3.0]])
    labels = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    assert np.isnan(ic.ic_by_day(scores, labels)[0]).tolist() == [True, True, False]
    assert np.isnan(ic.ic_by_day(scores, labels, least=4)[0]).all()


def test_the_ratio_is_mean_over_sample_deviation():
    summary = ic.Summary.of(np.array([0.1, np.nan, 0.3]))
    assert (summary.mean, summary.days, summary.positive) == (pytest.approx(0.2), 2, 1.0)
    assert summary.ir == pytest.approx(0.2 / np.std([0.1, 0.3], ddof=1))
    assert summary.t == pytest.approx(summary.ir * math.sqrt(2))
    assert math.isnan(ic.Summary.of(np.array([np.nan])).mean)


def test_groups_split_the_known_symbols_lowest_first():
    scores = np.array([[1.0, 2.0, 3.0, 4.0, np.nan]])
    returns, member = ic.quantile_returns(scores, np.array([[0.0, 0.2, 0.4, 0.8, 9.0]]), groups=2)
    assert returns[0].tolist() == pytest.approx([0.1, 0.6])
    assert member[0].tolist() == [0, 0, 1, 1, -1]


def test_turnover_is_the_share_of_new_names():
    member = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0]])
    found = ic.turnover(member, 1)
    assert math.isnan(found[0])
    assert found[1:].tolist() == [0.5, 0.0]


def test_autocorrelation_of_an_unchanging_score_is_one():
    scores = np.tile(np.arange(5.0), (4, 1))
    found = ic.rank_autocorrelation(scores)
    assert math.isnan(found[0])
    assert found[1:].tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_long_short_is_half_the_spread_of_the_fifths():
    scores = np.arange(10.0)[None]
    assert ic.long_short(scores, scores / 100)[0] == pytest.approx(((0.085) - (0.005)) / 2)
