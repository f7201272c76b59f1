"""Studies of allocations: the neighbourhood of a method's parameters, and walking it forward."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apps.marketdata.engine.universe import Membership
from apps.strategies.engine import studies, walking
from apps.strategies.engine.backtesting import backtest
from apps.strategies.engine.config_allocation import ONLINE
from apps.ui.engine.refusal import Refusal
from tests.strategies.test_allocation import config, panel

BARS = 300
WALK = {"train": 100, "test": 40, "holdout": 60}


def studied(name, data, method="top_k", **values):
    options = WALK if name == "walk_forward" else {}
    return backtest("allocation", config(method, **values), data, capital=1e6, study=name, study_options=options)[name]


@pytest.fixture(scope="module")
def data():
    return panel(days=BARS)


@pytest.mark.parametrize(
    ("method", "axes"),
    [
        ("top_k", ("top", "rebalance")), ("top_k_dropout", ("top", "rebalance")),
        ("inverse_volatility", ("window", "rebalance")), ("equal_weight", ("rebalance", "invest")),
    ],
)  # fmt: skip
def test_a_sweep_varies_what_the_method_looks_at_and_holds_the_run_itself(data, method, axes):
    whole = backtest("allocation", config(method, invest=90.0), data, capital=1e6, study="sweep")
    found = whole["sweep"]
    assert (found["x"], found["y"]) == axes
    x, y = found["own"]
    assert found["total_return"][y][x] == pytest.approx(whole["metrics"]["total_return"], abs=1e-12)
    assert found["sharpe"][y][x] == pytest.approx(whole["metrics"]["sharpe"])
    assert found["count"] == sum(value is not None for row in found["total_return"] for value in row) > 8


def test_no_more_are_exchanged_than_held_anywhere_on_the_grid(data):
    found = studied("sweep", data, "top_k_dropout", top=3, drop=3)
    # Fewer held than exchanged is no configuration: those points stay empty.
    assert [x for i, x in enumerate(found["xs"]) if found["sharpe"][0][i] is None] == [x for x in found["xs"] if x < 3]


@pytest.mark.parametrize("method", ONLINE)
def test_online_selection_has_nothing_to_sweep(data, method):
    with pytest.raises(Refusal) as refused:
        studied("sweep", data, method)
    assert refused.value.code == "nothing_to_sweep"


@pytest.mark.parametrize("method", ["top_k", "inverse_volatility"])
def test_walking_forward_reads_nothing_of_the_locked_bars(data, method):
    found = studied("walk_forward", data, method)
    other = panel(days=BARS)
    for name in ("open", "high", "low", "close"):
        other.fields[name][:, -60:] *= np.linspace(0.5, 3.0, 6)[:, None]
    again = studied("walk_forward", other, method)
    assert found["windows"] == again["windows"]
    assert found["curve"] == again["curve"]
    assert found["holdout"] | {"metrics": None} == {
        "bars": 60, "start": str(data.times[-60].astype("datetime64[D]")),
        "end": str(data.times[-1].astype("datetime64[D]")), "opened": False, "metrics": None,
    }  # fmt: skip


def test_a_single_configuration_walked_is_that_configuration_traded(data, monkeypatch):
    own = config("top_k", rebalance=1)
    monkeypatch.setattr(walking, "grid", lambda config: [(0, 0, own)])
    found = studied("walk_forward", data, rebalance=1)
    part = data.bars(slice(0, BARS - WALK["holdout"]))
    start = data.times[WALK["train"] + 1].astype("datetime64[D]").astype(object)
    alone = backtest("allocation", own, part, start=start, capital=1e6)
    assert found["metrics"]["total_return"] == pytest.approx(alone["metrics"]["total_return"], abs=1e-12)
    assert found["fills"] == alone["fills"]


def test_shares_that_stood_before_the_first_window_are_bought_when_it_begins(data, monkeypatch):
    monkeypatch.setattr(walking, "grid", lambda config: [(0, 0, own)])
    own = config("top_k_dropout", rebalance=80)
    found = studied("walk_forward", data, "top_k_dropout", rebalance=80)
    assert found["fills"] >= 3
    assert found["curve"]["equity"][3] != 1e6


def test_only_members_of_the_day_are_held_and_they_are_the_yardstick():
    data = panel(days=BARS)
    day = data.times.astype("datetime64[D]").astype(object)
    spans = [Membership("idx", s, day[0], day[-1]) for s in data.symbols[:4]]
    data = replace(data, meta={"membership": spans})
    found = studied("walk_forward", data, "top_k", universe="idx")
    four = replace(data.select(data.symbols[:4]), meta={})
    assert found["windows"] == studied("walk_forward", four, "top_k")["windows"]
    assert found["benchmark"]["total_return"] is not None


def test_standing_weights_begin_a_window_and_what_never_had_any_begins_empty():
    nan = np.nan
    wanted = np.array([[0.5, nan, nan, 0.2], [nan, nan, nan, 0.8]])
    found = studies.AllocationPlayer.standing(None, wanted, slice(2, 4))
    assert found.tolist() == [[0.5, 0.2], [0.0, 0.8]]
