"""Curves from the log: down-sampling keeps their shape, rewinds drop what is said again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.sessions.engine.curves import Curves, merged, rows
from apps.sessions.engine.downsample import lttb

finite = st.floats(-1e9, 1e9, allow_nan=False)


@given(st.lists(finite, min_size=1, max_size=400), st.integers(3, 60))
@settings(max_examples=150, deadline=None)
def test_sampling_keeps_the_ends_the_order_and_the_budget(values, points):
    y = np.array(values)
    kept = lttb(np.arange(len(y), dtype=float), y, points)
    assert len(kept) == min(points, len(y))
    assert kept[0] == 0
    assert kept[-1] == len(y) - 1
    assert (np.diff(kept) > 0).all()


@given(st.integers(0, 999), st.floats(50, 1e6))
@settings(max_examples=50, deadline=None)
def test_a_lone_spike_survives_sampling(at, height):
    y = np.zeros(1000)
    y[at] = height
    kept = lttb(np.arange(1000.0), y, 30)
    assert y[kept].max() == height


def test_a_curve_that_fits_is_left_alone():
    assert lttb(np.arange(5.0), np.arange(5.0), 5).tolist() == [0, 1, 2, 3, 4]


def test_two_points_are_no_curve():
    with pytest.raises(ValueError, match="3 points"):
        lttb(np.arange(9.0), np.arange(9.0), 2)


def test_a_million_points_become_two_thousand():
    x = np.arange(1_000_000.0)
    assert len(lttb(x, np.sin(x / 1e4), 2000)) == 2000


def point(step, seed=None, epoch=None, **values):
    return (
        {"step": step, "values": values}
        | ({"seed": seed} if seed is not None else {})
        | ({"epoch": epoch} if epoch is not None else {})
    )


def test_points_become_series_by_metric_and_seed():
    curves = Curves()
    curves.feed(1, {"points": [point(1, 0, loss=3.0), point(1, 1, loss=5.0, reward=1.0)]}, 10.0)
    curves.feed(2, {"points": [point(2, 0, loss=2.0), point(2, 1, loss=4.0)]}, 11.0)
    assert curves.names() == ["loss", "reward"]
    assert list(curves.of("loss")[1].value) == [5.0, 4.0]
    assert curves.median("loss")[1].tolist() == [4.0, 3.0]
    assert curves.last("loss") == 3.0
    assert curves.seq == 2


def test_a_rewind_drops_what_lies_behind_its_step():
    curves = Curves()
    curves.feed(1, {"points": [point(step, loss=float(step)) for step in range(10)]}, 1.0)
    curves.feed(2, {"rewind": 4, "points": [point(5, loss=50.0)]}, 2.0)
    assert list(curves.of("loss")[None].step) == [0, 1, 2, 3, 4, 5]
    assert curves.last("loss") == 50.0


def test_values_that_are_not_finite_leave_a_hole_and_no_error():
    curves = Curves()
    curves.feed(1, {"points": [point(1, loss=float("nan")), point(2, loss=None), point(3, loss=1.0)]}, 1.0)
    assert list(curves.of("loss")[None].step) == [3]


def test_an_unknown_metric_has_no_curve():
    curves = Curves()
    assert curves.of("loss") == {}
    assert curves.last("loss") is None
    assert len(curves.median("loss")[0]) == 0


def test_a_seed_that_reports_later_counts_from_its_first_point():
    curves = Curves()
    curves.feed(1, {"points": [point(1, 0, loss=1.0), point(2, 0, loss=3.0), point(2, 1, loss=5.0)]}, 1.0)
    assert curves.median("loss")[1].tolist() == [1.0, 4.0]


def test_samples_are_per_seed_and_within_the_budget():
    curves = Curves()
    curves.feed(
        1, {"points": [point(step, seed, loss=step * (seed + 1.0)) for step in range(500) for seed in (0, 1)]}, 1.0
    )
    sampled = curves.sampled("loss", 50)
    assert [one["seed"] for one in sampled] == [0, 1]
    assert all(len(one["x"]) == 50 for one in sampled)


def test_rows_page_through_a_series_by_step():
    curves = Curves()
    curves.feed(1, {"points": [point(step, epoch=step // 2, loss=float(step)) for step in range(6)]}, 7.0)
    series = curves.of("loss")[None]
    assert list(rows(series, None, 2)) == [(0.0, 0.0, 0, 7.0), (1.0, 1.0, 0, 7.0)]
    assert [row[0] for row in rows(series, 3, 10)] == [4.0, 5.0]


def test_merging_equals_telling_in_turn():
    events = [
        {"points": [point(1, loss=1.0), point(2, loss=2.0)], "progress": {"done": 1}},
        {"rewind": 1, "points": [point(2, loss=9.0)], "logs": [{"time": "t", "level": "info", "text": "again"}]},
        {"status": "completed", "progress": {"done": 2}},
    ]
    told, once = Curves(), Curves()
    for seq, payload in enumerate(events, 1):
        told.feed(seq, payload, 1.0)
    whole = merged(events)
    once.feed(3, whole, 1.0)
    assert list(once.of("loss")[None].value) == list(told.of("loss")[None].value) == [1.0, 9.0]
    assert whole["status"] == "completed"
    assert whole["progress"] == {"done": 2}
    assert whole["logs"][0]["text"] == "again"
    assert whole["rewind"] == 1


def test_the_earliest_rewind_of_a_batch_wins():
    assert merged([{"rewind": 5}, {"rewind": 3}, {"rewind": 4}])["rewind"] == 3


def test_merging_nothing_says_nothing():
    assert merged([]) == {}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=40), st.integers(1, 7))
@settings(max_examples=150, deadline=None)
def test_any_grouping_of_events_draws_the_same_curve(moves, size):
    events, at = [], 0
    for rewinds, length in moves:
        if rewinds:
            at = min(at, length)
            events.append({"rewind": at})
        fresh = range(at + 1, at + 1 + length % 4)
        events.append({"points": [point(step, loss=float(len(events))) for step in fresh]})
        at = max([at, *fresh])
    one, grouped = Curves(), Curves()
    for payload in events:
        one.feed(0, payload, 0.0)
    for start in range(0, len(events), size):
        grouped.feed(0, merged(events[start : start + size]), 0.0)
    assert [list(s.value) for s in one.of("loss").values()] == [list(s.value) for s in grouped.of("loss").values()]


def test_the_seed_furthest_behind_is_named_by_the_side_that_is_good():
    curves = Curves()
    for seed, value in ((1, 3.0), (2, -1.0), (5, 9.0)):
        curves.feed(seed, {"points": [{"step": 1, "seed": seed, "values": {"reward": value}}]}, 0.0)
    assert curves.worst("reward", "up") == 2
    assert curves.worst("reward", "down") == 5
    assert curves.worst("loss", "up") is None


def test_two_seeds_or_equal_ones_have_nobody_behind():
    two, equal = Curves(), Curves()
    for seed in (1, 2):
        two.feed(seed, {"points": [{"step": 1, "seed": seed, "values": {"reward": float(seed)}}]}, 0.0)
    for seed in (1, 2, 3):
        equal.feed(seed, {"points": [{"step": 1, "seed": seed, "values": {"reward": 4.0}}]}, 0.0)
    assert two.worst("reward", "up") is None
    assert equal.worst("reward", "up") is None
