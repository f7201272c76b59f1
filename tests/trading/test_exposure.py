"""Holdings, rolling beta and the cone of chance, each against a slower way of saying the same."""

from __future__ import annotations

import numpy as np
import pytest

from apps.trading.engine.metrics import beta
from apps.trading.engine.report.exposure import (
    LEAST,
    MOST_BARS,
    NAMED,
    POINTS,
    cone,
    holdings,
    rolling_beta,
    weights_of,
)

RNG = np.random.Generator(np.random.PCG64(1))
RETURNS, BENCH = RNG.normal(0.001, 0.01, 90), RNG.normal(0, 0.01, 90)


def test_rolling_beta_is_the_beta_of_each_window():
    found = rolling_beta(RETURNS, BENCH, 30)
    assert found[:29] == [None] * 29
    assert found[29:] == pytest.approx([beta(RETURNS[t - 29 : t + 1], BENCH[t - 29 : t + 1]) for t in range(29, 90)])
    assert rolling_beta(RETURNS, np.zeros(90), 30)[-1] is None
    assert rolling_beta(RETURNS[:5], BENCH[:5], 30) == [None] * 5


def test_a_holding_weighs_its_newest_close_by_the_equity():
    position = np.array([[0.0, 10, 10], [5, 5, 0]])
    close = np.array([[2.0, 3, np.nan], [np.nan, 4, 4]])
    found = weights_of(position, close, np.array([100.0, 50, 0]))
    assert found.tolist() == [[0, 0.6, 0], [0, 0.4, 0]]


def test_the_largest_holdings_are_named_and_the_rest_is_told():
    weights = np.vstack([np.full(300, share) for share in (0.05, 0.3, 0.1, 0.2, 0.15, 0.12, 0.0)])
    days = [str(t) for t in range(300)]
    found = holdings(weights, list("ABCDEFG"), days)
    assert found["names"] == ["B", "D", "E", "F", "C"]
    assert len(found["names"]) == NAMED
    assert (found["times"][0], found["times"][-1], len(found["times"])) == ("0", "299", POINTS)
    assert found["rest"] == pytest.approx([0.05] * POINTS)
    assert set(found["count"]) == {6}
    assert holdings(weights[:1], ["A"], days) is None
    assert holdings(weights * 0, list("ABCDEFG"), days) is None


class TestCone:
    def test_it_covers_all_bars_where_none_is_unseen_and_is_the_same_again(self):
        kept = np.arange(0, 90, 3)
        found = cone(RETURNS, 0.0, kept)
        assert (found["from"], found["seen"]) == (0, False)
        levels = np.array([found[key] for key in ("5", "25", "50", "75", "95")], float)
        assert levels.shape == (5, 30)
        assert (np.diff(levels, axis=0) >= 0).all()
        assert found == cone(RETURNS, 0.0, kept)

    def test_an_unseen_part_is_met_by_draws_of_the_seen_one_alone(self):
        kept = np.arange(90)
        found = cone(RETURNS, 40 / 90, kept)
        assert (found["from"], found["seen"]) == (50, True)
        assert found["50"][:50] == [None] * 50
        other = RETURNS.copy()
        other[50:] = 0.5
        assert cone(other, 40 / 90, kept) == found

    def test_it_ends_about_where_the_mean_leads(self):
        steady = np.full(200, 0.001) + np.tile([0.0005, -0.0005], 100)
        found = cone(steady, 0.0, np.array([199]))
        assert found["50"][0] == pytest.approx(np.prod(1 + steady), rel=0.01)
        assert found["5"][0] < found["95"][0]

    def test_a_longer_part_than_its_source_is_drawn_over_and_over(self):
        found = cone(RETURNS, 65 / 90, np.arange(90))
        assert found["from"] == 25
        assert found["95"][-1] > found["5"][-1] > 0

    @pytest.mark.parametrize(
        "values", [np.zeros(50), np.full(LEAST - 1, 0.1), np.append(RETURNS, np.nan), np.zeros(MOST_BARS + 1)]
    )
    def test_where_nothing_varies_or_too_few_or_many_bars_are_there_is_none(self, values):
        assert cone(values, 0.0, np.arange(len(values))) is None
