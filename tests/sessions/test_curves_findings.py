"""Titles state a finding only when a rule fires."""

from __future__ import annotations

import numpy as np

from apps.sessions.engine.findings import against, spikes, trend

X = np.arange(200.0)


def said(finding):
    return finding.message % finding.params


def test_a_rest_in_the_first_tenth_of_the_work_says_nothing():
    rests = np.minimum(X, 100.0)
    assert trend(X, rests, "Reward", done=0.05) is None
    assert trend(X, rests, "Reward", done=0.1) is not None
    assert "rising" in said(trend(X, X, "Reward", done=0.05))


def test_a_curve_that_stopped_rising_has_flattened_since_a_step():
    finding = trend(X, np.minimum(X, 100.0), "Reward")
    assert "flattened" in finding.message
    assert 85 <= finding.params["step"] <= 115


def test_a_rising_and_a_falling_curve_are_named():
    assert said(trend(X, X, "Reward")) == "Reward is rising"
    assert said(trend(X, -X, "Reward")) == "Reward is falling"


def test_a_loss_that_falls_is_still_falling_and_one_that_rises_does_so_again():
    assert said(trend(X, -X, "Loss", good="down")) == "Loss is still falling"
    assert said(trend(X, X, "Loss", good="down")) == "Loss is rising again"


def test_a_constant_does_not_move():
    assert said(trend(X, np.ones(200), "Loss")) == "Loss does not move"


def test_few_points_are_no_finding():
    assert trend(X[:19], X[:19], "Loss") is None


def test_the_side_of_a_baseline_is_said():
    assert said(against(2.0, 1.0, "Sharpe", "buy and hold")) == "Sharpe is ahead of buy and hold"
    assert said(against(0.5, 1.0, "Sharpe", "buy and hold")) == "Sharpe is behind buy and hold"
    assert said(against(0.5, 1.0, "Loss", "before", good="down")) == "Loss is ahead of before"
    assert said(against(1.0, 1.0, "Sharpe", "buy and hold")) == "Sharpe equals buy and hold"


def test_without_a_value_or_a_baseline_nothing_is_said():
    assert against(None, 1.0, "Sharpe", "x") is None
    assert against(1.0, None, "Sharpe", "x") is None


def test_spikes_are_values_far_above_the_median():
    y = np.ones(100)
    y[[20, 50]] = 20.0
    assert spikes(y) == 2
    assert spikes(np.ones(100)) == 0
    assert spikes(-y) == 0
