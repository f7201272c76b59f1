"""What the leak check says of whole strategies, and the studies of their parameters."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from apps.strategies.engine import backtesting, honesty, studies, walking
from apps.strategies.engine.backtesting import _options, backtest
from apps.strategies.engine.config import RuleConfig
from apps.strategies.engine.execution import Traded
from apps.strategies.engine.markets import TradedMarket
from apps.strategies.engine.ports import Policy, TargetPositions
from apps.strategies.engine.registry import TYPES
from apps.trading.engine.costs import Costs
from apps.trading.engine.report.luck import History, luck_of
from apps.ui.engine.refusal import Refusal
from tests.strategies.learning_markets import panel as make_panel

CONFIG = {"symbol": "S0", "fast": 3, "slow": 9}


@pytest.fixture(scope="module")
def panel():
    return make_panel(600)


def oracle(config, panel, policy=None):
    close = panel.fields["close"][0]
    return TargetPositions((np.append(close[1:], close[-1]) > close).astype(np.int8)[None])


@pytest.mark.parametrize("rule", ["sma_cross", "rsi_reversal", "buy_and_hold"])
def test_our_rules_are_clean(panel, rule):
    found = honesty.examine("rule", RuleConfig(rule=rule, **CONFIG), panel, None)
    assert found["clean"], found
    assert {test["name"] for test in found["tests"]} == {"decisions", "fill_rule", "time_shuffle", "noise_canary"}
    assert found["tests"][0]["checked"] >= 20


def test_a_strategy_that_knows_tomorrow_fails_and_is_told_where(panel, monkeypatch):
    monkeypatch.setattr(TYPES["rule"].__class__, "load", lambda self, entry: oracle)
    found = honesty.examine("rule", RuleConfig(**CONFIG), panel, None)
    assert {leak["code"] for leak in found["leaks"]} >= {"future", "shuffled", "canary"}
    document = backtest("rule", RuleConfig(**CONFIG), panel, capital=1e5, check_leaks=True)
    assert document["verdict"]["word"] == "fail"
    assert not next(g for g in document["verdict"]["gates"] if g["name"] == "leaks")["passed"]


def test_more_trials_lower_the_deflated_ratio():
    returns = np.random.default_rng(1).normal(0.001, 0.01, 500)
    one, many = luck_of(returns, 252, History()), luck_of(returns, 252, History(500, (0.01, 0.02, -0.03)))
    assert one["deflated"] == pytest.approx(one["psr"])
    assert many["deflated"] < one["deflated"]
    assert (one["trials"], many["trials"]) == (1, 501)
    assert luck_of(np.zeros(9), 252, History())["deflated"] is None


def study(panel, **config):
    made = RuleConfig(**{**CONFIG, **config})
    market = TradedMarket(panel, Traded(panel, obey=False), 0, Costs(rate=1e-3), 1e5)
    return studies.Study.of(made, market, _options(made, 1e5))


def test_a_sweep_holds_the_run_itself_and_only_valid_neighbours(panel):
    found = studies.sweep(study(panel))
    x, y = found["own"]
    assert (found["xs"][x], found["ys"][y]) == (3.0, 9.0)
    own = backtest("rule", RuleConfig(**CONFIG), panel, capital=1e5, costs=Costs(rate=1e-3))
    assert found["sharpe"][y][x] == pytest.approx(own["metrics"]["sharpe"])
    assert found["count"] == sum(value is not None for row in found["total_return"] for value in row)
    assert 0.0 <= found["pbo"] <= 1.0
    assert found["best"]["sharpe"] >= found["sharpe"][y][x]


def test_plateau_is_the_share_of_neighbours_that_hold():
    assert studies.plateau([[1.0, 0.9], [0.1, None]], (0, 0)) == 0.5
    assert studies.plateau([[-1.0, 0.9]], (0, 0)) is None
    assert studies.plateau([[1.0]], (0, 0)) is None


@pytest.mark.parametrize("anchored", [True, False])
def test_windows_never_overlap_their_training_and_leave_no_gap(anchored):
    parts = walking.windows(500, anchored=anchored, train=200, test=60, purge=5)
    assert all(part.test - part.train_end == 5 for part in parts)
    assert [part.test for part in parts[1:]] == [part.test_end for part in parts[:-1]]
    assert parts[-1].test_end == 500
    assert all((part.train == 0) if anchored else (part.train_end - part.train == 200) for part in parts)


def test_walking_forward_reads_nothing_of_the_locked_bars(panel):
    options = {"train": 150, "test": 50, "holdout": 100}
    found = walking.walk_forward(study(panel), **options)
    other = make_panel(600)
    for array in other.fields.values():
        array[:, 500:] *= 3.0
    again = walking.walk_forward(study(other), **options)
    assert found["windows"] == again["windows"]
    assert found["curve"] == again["curve"]
    assert found["holdout"]["metrics"] is None
    opened = walking.walk_forward(study(panel), open_holdout=True, **options)
    assert opened["holdout"]["metrics"]["total_return"] is not None
    assert opened["curve"] == found["curve"]


def test_a_window_is_not_changed_by_what_comes_after_it(panel):
    short, long = (
        walking.walk_forward(study(p), train=150, test=50, holdout=0)
        for p in (make_panel(600).select(end=panel.times[449]), panel)
    )
    whole = short["windows"][:-1]  # the last one ends where its bars end
    assert long["windows"][: len(whole)] == whole


@pytest.mark.parametrize("config", [{"rule": "buy_and_hold"}])
def test_what_has_no_parameters_cannot_be_swept(panel, config):
    with pytest.raises(Refusal) as refused:
        study(panel, **config)
    assert refused.value.code == "nothing_to_sweep"


def test_too_few_bars_to_walk_are_refused(panel):
    with pytest.raises(Refusal) as refused:
        walking.walk_forward(study(panel), train=700)
    assert refused.value.code == "too_few_bars_to_walk"


def test_what_a_policy_learned_from_is_not_unseen_whatever_the_run_says(panel, tmp_path):
    times, config = panel.times[100:200], RuleConfig(**CONFIG, test_start=date(2020, 4, 10))
    assert backtesting._unseen(config, times, None) == 1.0
    later = Policy(tmp_path, {}, seen_until=date(2020, 5, 30))
    assert backtesting._unseen(config, times, later) == pytest.approx(0.5)
    assert backtesting._unseen(RuleConfig(**CONFIG), times, None) == 0.0
