"""Comparing two runs value by value, without a database."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.sessions.engine.verifying import GPU, compare_points, compare_results, near, same, together

LOSS = ("loss", None)
CURVE = [(float(step), 1.0 / step) for step in range(1, 6)]
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def changed(place, value):
    return [(step, value if at == place else one) for at, (step, one) in enumerate(CURVE)]


def test_the_same_curve_is_the_same():
    found = compare_points({LOSS: CURVE}, {LOSS: list(CURVE)})
    assert (found.compared, found.first, found.beyond) == (5, None, None)
    assert found.verdict(exact=True) == "identical"


@given(st.integers(0, 4), FINITE)
def test_the_first_point_that_differs_is_found(place, value):
    found = compare_points({LOSS: CURVE}, {LOSS: changed(place, value)})
    if same(value, CURVE[place][1]):
        assert found.first is None
    else:
        assert (found.first.step, found.first.original) == CURVE[place]
        assert same(found.first.again, value)
        assert found.verdict(exact=True) == "different"


def test_one_bit_is_a_difference():
    value = math.nextafter(CURVE[2][1], 1.0)
    found = compare_points({LOSS: CURVE}, {LOSS: changed(2, value)})
    assert found.verdict(exact=True) == "different"
    assert found.verdict(exact=False) == "within_tolerance"


def test_of_several_curves_the_earliest_step_counts():
    names = [("reward", 1), ("loss", 2)]
    found = compare_points(dict.fromkeys(names, CURVE), {names[0]: changed(1, 9.0), names[1]: changed(3, 9.0)})
    assert (found.first.metric, found.first.seed, found.first.step) == ("reward", 1, 2.0)


@pytest.mark.parametrize(
    ("again", "step", "values"),
    [
        ({LOSS: CURVE[:3]}, 4.0, (0.25, None)),
        ({}, 1.0, (1.0, None)),
        ({LOSS: [*CURVE, (6.0, 0.1)]}, 6.0, (None, 0.1)),
        ({LOSS: [CURVE[0], *CURVE[2:]]}, 2.0, (0.5, None)),
    ],
)
def test_a_point_that_one_lacks_is_a_difference(again, step, values):
    found = compare_points({LOSS: CURVE}, again)
    assert (found.first.step, (found.first.original, found.first.again)) == (step, values)
    assert found.verdict(exact=False) == "different"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(1, 1.0, True), (0.0, -0.0, False), (True, 1, False), (None, None, True), ("a", "a", True), (None, 0, False)],
)
def test_what_is_the_same(one, other, expected):
    assert same(one, other) is expected


def test_the_tolerance_is_what_it_says():
    assert near(1.0, 1.0 + 0.9e-3, GPU)
    assert not near(1.0, 1.0 + 2e-3, GPU)
    assert near(0.0, 0.9e-6, GPU)
    assert not near("a", "b", GPU)


REPORT = {
    "series": {"times": ["2020-01-02", "2020-01-03"], "equity": [1.0, 2.0], "cash": [1.0, 0.0], "benchmark": [1.0, 1.0]},
    "trades": [{"pnl": 1.0}], "metrics": {"sharpe": 1.0}, "luck": {"openings": 3}, "list": [1, 2],
}  # fmt: skip


def test_the_series_of_a_backtest_come_before_its_figures():
    series = {**REPORT["series"], "equity": [1.0, 2.5]}
    found = compare_results(REPORT, {**REPORT, "series": series, "metrics": {"sharpe": 2.0}})
    assert (found.first.metric, found.first.step, found.first.when) == ("equity", 1.0, "2020-01-03")
    assert (found.first.original, found.first.again) == (2.0, 2.5)


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        ({"trades": [{"pnl": 2.0}]}, "trades.0.pnl"), ({"metrics": {}}, "metrics.sharpe"), ({"list": [1, 3]}, "list.1"),
        ({"new": 1}, "new"), ({"series": {**REPORT["series"], "times": ["2020-01-02"]}}, "time"),
    ],
)  # fmt: skip
def test_any_leaf_that_differs_is_found(change, metric):
    assert compare_results(REPORT, {**REPORT, **change}).first.metric == metric


def test_what_tells_of_other_runs_is_skipped():
    assert compare_results(REPORT, {**REPORT, "luck": {"openings": 4}}, skipped=["luck.openings"]).first is None


def test_a_hash_counts_only_for_the_same_bits():
    found = compare_results({"weights": "a"}, {"weights": "b"}, hashes=["weights"])
    assert (found.verdict(exact=True), found.verdict(exact=False)) == ("different", "within_tolerance")


def test_parts_count_together_and_the_first_part_is_first():
    parts = (
        compare_results({"a": 1}, {"a": 1}),
        compare_results({"a": 1}, {"a": 2}),
        compare_results({"b": 1}, {"b": 2}),
    )
    found = together(*parts)
    assert (found.compared, found.first.metric) == (3, "a")
