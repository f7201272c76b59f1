"""Trainers: curves that continue bit for bit, honest scores, clear refusals."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from safetensors.torch import save_file

from apps.strategies.engine.config import AlgorithmicTradingConfig, PortfolioConfig
from apps.strategies.engine.ports import ListSink, Policy, Stopped
from apps.strategies.engine.training import algorithmic, common, portfolio
from apps.strategies.engine.training.metrics import METRICS
from apps.ui.engine.refusal import Refusal
from tests.strategies.learning_markets import panel

pytestmark = pytest.mark.usefixtures("one_thread")

DATES = {"valid_start": "2020-07-01", "test_start": "2020-09-01"}
SMALL = {"window": 3, "hidden": 8, **DATES}


def trading(**changes) -> AlgorithmicTradingConfig:
    given = {"symbol": "S0", "episodes": 3, "batch": 8, "buffer": 64, "episode": None, **SMALL, **changes}
    given.pop("episode")
    return AlgorithmicTradingConfig(**given)


def weighting(**changes) -> PortfolioConfig:
    return PortfolioConfig(**{"epochs": 6, "copies": 4, "horizon": 16, **SMALL, **changes})


KINDS = {
    "dqn": (algorithmic, trading(seeds=2, allow_short=True, schedule="cosine"), panel(), 9),
    "ppo": (portfolio, weighting(seeds=2, rebalance=2, schedule="linear"), panel(symbols=3), 5),
}


def quiet() -> ListSink:
    return ListSink(save_every=10**9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_run_continues_bit_for_bit(kind):
    module, config, bars, stop_after = KINDS[kind]
    whole = quiet()
    expected = module.train(config, bars, whole)
    first = ListSink(save_every=10**9, stop_after=stop_after)
    with pytest.raises(Stopped):
        module.train(config, bars, first)
    saved = first.saved[-1]
    second = quiet()
    result = module.train(config, bars, second, saved)
    assert first.points + second.points == whole.points
    assert 0 < len(first.points) < len(whole.points)
    assert result.test == expected.test
    assert result.policy == expected.policy


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_checkpoint_is_as_good_a_place_to_continue(kind):
    module, config, bars, _ = KINDS[kind]
    whole = quiet()
    module.train(config, bars, whole)
    best = whole.best
    assert best is not None
    second = quiet()
    module.train(config, bars, second, best)
    assert second.points == [point for point in whole.points if point[0] > best.step]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_curve_and_another_seed_another(kind):
    module, config, bars, _ = KINDS[kind]
    curves = []
    for seed in (42, 42, 43):
        sink = quiet()
        module.train(config.model_copy(update={"seed": seed, "seeds": 1}), bars, sink)
        curves.append(sink.points)
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_said_is_described_and_finite(kind):
    module, config, bars, _ = KINDS[kind]
    sink = quiet()
    result = module.train(config, bars, sink)
    said = {name for _, values in sink.points for name in values}
    assert said <= set(METRICS)
    assert {"loss", "reward", "valid_sharpe", "gradient_norm"} <= said
    assert all(math.isfinite(value) for _, values in sink.points for value in values.values())
    steps = [step for step, _ in sink.points]
    assert steps == sorted(steps)
    assert {"total_return", "sharpe"} <= set(result.test)
    assert {"buy_and_hold", "do_nothing", "random_policy"} <= set(result.baselines)
    assert result.baselines["do_nothing"]["total_return"] == pytest.approx(0.0)
    assert result.policy["seeds"]["total_return"]["seeds"] == 2.0
    assert sink.done[0] == sink.done[1]


@pytest.mark.parametrize("kind", KINDS)
def test_bars_after_the_test_period_change_nothing(kind):
    module, config, bars, _ = KINDS[kind]
    config = config.model_copy(update={"test_end": np.datetime64("2020-10-31").item()})
    other = dataclasses.replace(bars, fields={name: values.copy() for name, values in bars.fields.items()})
    for values in other.fields.values():
        values[:, 305:] *= 2.0
    seen = []
    for given in (bars, other):
        sink = quiet()
        seen.append((module.train(config, given, sink).test, sink.points))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_curves_know_nothing_of_the_test_period(kind):
    module, config, bars, _ = KINDS[kind]
    other = dataclasses.replace(bars, fields={name: values.copy() for name, values in bars.fields.items()})
    for values in other.fields.values():
        values[:, 245:] *= 2.0  # from the first day of the test period on
    curves = []
    for given in (bars, other):
        sink = quiet()
        module.train(config, given, sink)
        curves.append(sink.points)
    assert curves[0] == curves[1]


def decided(module, config, bars, tmp_path):
    sink = quiet()
    result = module.train(config, bars, sink)
    path = tmp_path / "best.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in sink.best.tensors.items()}, path)
    policy = Policy(path, result.policy)
    return lambda given: module.decide(config, given, policy)


def test_sides_are_decided_for_every_bar_without_the_future(tmp_path):
    module, config, bars, _ = KINDS["dqn"]
    two = panel(symbols=2)
    decide = decided(module, config, two, tmp_path)
    whole, short = decide(two).targets, decide(two.select(end=two.times[200])).targets
    assert whole.shape == (2, 330)
    assert set(np.unique(whole)) <= {-1, 0, 1}
    assert (whole[1] == 0).all()
    np.testing.assert_array_equal(short, whole[:, :201])
    assert (decide(bars.select(end=bars.times[1])).targets == 0).all()


def test_weights_are_decided_without_the_future_and_leave_the_cash_alone(tmp_path):
    module, config, bars, _ = KINDS["ppo"]
    config = config.model_copy(update={"symbols": ["S2", "S0"], "invest": 60.0})
    decide = decided(module, config, bars, tmp_path)
    whole, short = decide(bars).weights, decide(bars.select(end=bars.times[200])).weights
    known = ~np.isnan(short)
    np.testing.assert_allclose(short[known], whole[:, :201][known], atol=1e-6)
    traded = np.isfinite(whole).all(axis=0)
    assert traded.sum() > 100
    assert (whole[1, traded] == 0).all()
    assert (whole[:, traded].sum(axis=0) <= 0.6 + 1e-6).all()
    assert np.isnan(decide(bars.select(end=bars.times[1])).weights).all()


def test_equal_weight_needs_no_training():
    bars = panel(symbols=3)
    config = weighting(method="equal_weight", rebalance=10, invest=90.0)
    weights = portfolio.decide(config, bars, None).weights
    np.testing.assert_allclose(weights[:, ::10], 0.3)
    assert np.isnan(weights[:, 1::10]).all()


@pytest.mark.parametrize(("module", "config"), [(algorithmic, trading()), (portfolio, weighting())])
def test_without_a_training_nothing_is_decided(module, config):
    with pytest.raises(Refusal) as no:
        module.decide(config, panel(), None)
    assert no.value.code == "no_checkpoint"


def test_training_ends_when_validation_finds_nothing_better():
    sink = quiet()
    algorithmic.train(trading(episodes=60, patience=2), panel(), sink)
    assert sink.done[0] < 60
    sink = quiet()
    portfolio.train(weighting(epochs=200, patience=2), panel(symbols=2), sink)
    assert sink.done[0] < 200


def test_checkpoints_are_written_when_they_are_due():
    sink = ListSink(save_every=1)
    algorithmic.train(trading(episodes=2), panel(), sink)
    assert len(sink.saved) >= 4


def broken(bars, bar: int, value: float = math.nan):
    fields = {name: values.copy() for name, values in bars.fields.items()}
    fields["close"][0, bar] = value
    return dataclasses.replace(bars, fields=fields)


@pytest.mark.parametrize(("module", "config"), [(algorithmic, trading()), (portfolio, weighting(symbols=["S0"]))])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_a_hole_in_the_data_is_named_by_its_day(module, config, value):
    with pytest.raises(Refusal) as no:
        module.train(config, broken(panel(), 100, value), quiet())
    assert no.value.code == "missing_bars"
    assert no.value.params["date"] == "2020-04-10"
    assert "2020-04-10" in str(no.value)


@pytest.mark.parametrize(
    ("dates", "field"),
    [
        ({"valid_start": "2020-01-15"}, "train_start"),
        ({"valid_start": "2020-08-25"}, "valid_start"),
        ({"test_start": "2024-01-01"}, "test_start"),
    ],
)
def test_periods_without_enough_bars_are_refused_at_their_field(dates, field):
    with pytest.raises(Refusal) as no:
        algorithmic.train(trading(**{**DATES, **dates}), panel(), quiet())
    assert (no.value.code, no.value.field) == ("period_too_short", field)


def test_a_schedule_falls_to_a_hundredth_and_never_rises():
    for name, middle in (("linear", 0.505), ("cosine", 0.505), ("constant", 1.0)):
        config = trading(learning_rate=0.1, schedule=name)
        path = [common.scheduled(config, done / 100) for done in range(101)]
        assert path[0] == pytest.approx(0.1)
        assert path[50] == pytest.approx(0.1 * middle)
        assert path[-1] == pytest.approx(0.1 if name == "constant" else 0.001)
        assert all(late <= early for early, late in itertools.pairwise(path))
        assert common.scheduled(config, 1.5) == path[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_learning_rate_in_use_is_reported_and_steers_the_updates(kind):
    module, config, bars, _ = KINDS[kind]
    ends = {}
    for schedule in ("constant", "linear"):
        sink = quiet()
        module.train(config.model_copy(update={"schedule": schedule}), bars, sink)
        rates = [values["learning_rate"] for _, values in sink.points if "learning_rate" in values]
        assert rates[0] == pytest.approx(config.learning_rate, rel=0.4)
        assert (rates[-1] < rates[0]) == (schedule == "linear")
        ends[schedule] = [values for _, values in sink.points if "gradient_norm" in values][-1]
    assert ends["constant"] != ends["linear"]


def test_a_symbol_without_a_bar_is_refused():
    bars = panel()
    for values in bars.fields.values():
        values[:] = math.nan
    with pytest.raises(Refusal) as no:
        algorithmic.train(trading(), bars, quiet())
    assert no.value.code == "no_usable_bars"
    with pytest.raises(Refusal) as no:
        portfolio.train(weighting(), bars, quiet())
    assert no.value.code == "no_symbols"
    assert np.isnan(portfolio.decide(weighting(method="equal_weight", symbols=["S0"]), bars, None).weights).all()


def test_bars_before_a_listing_are_passed_over():
    bars = panel(symbols=2)
    for values in bars.fields.values():
        values[0, :40] = math.nan
    assert algorithmic.train(trading(), bars, quiet()).test["total_return"] is not None
    assert portfolio.symbols_of(weighting(), bars) == ["S1"]


@pytest.mark.parametrize(
    ("module", "config"), [(algorithmic, trading(compat="trademaster")), (portfolio, weighting(compat="trademaster"))]
)
def test_other_accounting_is_not_trained_on(module, config):
    with pytest.raises(Refusal) as no:
        module.train(config, panel(), quiet())
    assert no.value.code == "compat_not_trained"


@pytest.mark.parametrize(
    ("module", "config"), [(algorithmic, trading(learning_rate=1.0, gamma=1.0)), (portfolio, weighting())]
)
def test_a_loss_that_is_no_number_ends_the_run(module, config, monkeypatch):
    def nan(self, *given):
        import torch

        return {"loss": torch.full((1,), math.nan)}

    agent = algorithmic.dqn.Agent if module is algorithmic else portfolio.ppo.Agent
    monkeypatch.setattr(agent, "learn", nan)
    with pytest.raises(Refusal) as no:
        module.train(config, panel(), quiet())
    assert (no.value.code, no.value.params["name"]) == ("nan_metric", "loss")


def test_holding_earns_the_price_and_pays_once():
    close = np.array([10.0, 11.0, 12.1])
    returns = common.position_returns(close, close, np.ones(3), 0.01)
    assert returns.tolist() == pytest.approx([0.0, 1.1 * 1.0 * 0.99 / 1.1 - 1.0, 0.1])


def test_weights_that_are_held_drift_and_cost_nothing():
    close = np.array([[10.0, 10.0], [20.0, 10.0], [40.0, 10.0]])
    held = np.array([[0.0, 0.5, 0.5], [np.nan] * 3, [np.nan] * 3])
    returns = common.weight_returns(np.vstack([close[0], close[:-1]]), close, held, 0.0)
    assert returns.tolist() == pytest.approx([0.0, 0.5, 2.5 / 1.5 - 1.0])


def test_the_summary_over_seeds_leaves_the_extremes_out_and_keeps_the_worst():
    found = common.over_seeds([-9.0, 1.0, 2.0, 3.0, 4.0, 90.0, 2.5, 2.5])
    assert found["interquartile_mean"] == pytest.approx(2.5)
    assert found["worst"] == -9.0
    assert found["low"] <= 2.5 <= found["high"]
    one = common.over_seeds([0.5, None])
    assert (one["low"], one["high"], one["seeds"]) == (0.5, 0.5, 2.0)
    assert common.over_seeds([None])["interquartile_mean"] is None
