"""Trainings under the rules of a market: the account an agent learns with is the one its backtest keeps."""

from __future__ import annotations

import dataclasses
from datetime import date

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from apps.marketdata.engine.bars import BarPanel
from apps.strategies.engine.agents import dqn, ppo
from apps.strategies.engine.backtesting import backtest
from apps.strategies.engine.config import AlgorithmicTradingConfig, PortfolioConfig
from apps.strategies.engine.envs.ruled_portfolio import RuledPortfolioEnv
from apps.strategies.engine.envs.ruled_trading import RuledTradingEnv
from apps.strategies.engine.execution import Traded, Venue
from apps.strategies.engine.ports import ListSink, Policy, Stopped
from apps.strategies.engine.training import algorithmic, common, portfolio
from apps.trading.engine.backtest.depth import volatility
from apps.ui.engine.refusal import Refusal
from tests.strategies.learning_markets import panel

pytestmark = pytest.mark.usefixtures("one_thread")

DATES = {"valid_start": date(2020, 7, 1), "test_start": date(2020, 9, 1)}
SMALL = {"window": 3, "hidden": 8, "commission_bp": 3.0, **DATES}
TRADING = AlgorithmicTradingConfig(symbol="SH600000", episodes=3, batch=8, buffer=64, seeds=2, **SMALL)
WEIGHING = PortfolioConfig(epochs=5, copies=4, horizon=16, rebalance=2, seeds=2, **SMALL)
BY_VOLUME, BY_ROOT = {"slippage": "volume_share", "volume_impact": 0.8}, {"slippage": "square_root", "root_impact": 1.5}
KINDS = {
    "dqn": (algorithmic, TRADING, 1),
    "ppo": (portfolio, WEIGHING, 3),
    "dqn that slips": (algorithmic, TRADING.model_copy(update=BY_ROOT), 1),
    "ppo that slips": (portfolio, WEIGHING.model_copy(update=BY_VOLUME), 3),
}
CAPITAL = 200_000.0


def shares(symbols: int) -> BarPanel:
    """A-shares on cents with opens that hit the limits and days on which nothing was traded."""
    made = panel(symbols=symbols)
    draw = np.random.default_rng(8)
    fields = {name: np.round(values, 2) for name, values in made.fields.items()}
    close, open_ = fields["close"], fields["open"]
    hit = draw.random(close.shape) < 0.1
    open_[:, 1:] = np.where(hit[:, 1:], np.round(close[:, :-1] * 1.1 + 1e-9, 2), open_[:, 1:])
    idle = draw.random(close.shape) < 0.08
    fields["volume"] = np.where(idle, 0.0, fields["volume"])
    fields["high"], fields["low"] = np.maximum(fields["high"], open_), np.minimum(fields["low"], open_)
    names = tuple(f"SH60000{i}" for i in range(symbols))
    return dataclasses.replace(made, symbols=names, fields=fields, currency="CNY")


def venue(bars: BarPanel, **more) -> Venue:
    return Venue(Traded(bars, (), "XSHG", **more), CAPITAL)


def trained(kind, tmp_path, place=None):
    module, config, symbols = KINDS[kind]
    bars = shares(symbols)
    sink = ListSink(save_every=10**9)
    result = module.train(config, bars, sink, None, place or venue(bars))
    path = tmp_path / "best.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in sink.best.tensors.items()}, path)
    return bars, result, Policy(path, result.policy), sink


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_policys_account_is_the_backtests_of_the_same_decisions(kind, tmp_path):
    module, config, _ = KINDS[kind]
    bars, result, policy, sink = trained(kind, tmp_path)
    assert result.policy["rules"] is True
    assert "under the rules of its market" in sink.lines[0]
    index = int(policy.spec["seed_index"])
    stored = load_file(policy.weights)
    params = {n.removeprefix("policy."): t[index : index + 1] for n, t in stored.items() if n.startswith("policy.")}
    if kind.startswith("dqn"):
        market = module.Market(config, bars, venue(bars))
        start, end = market.split.test - 1, market.split.end
        windows, targets = market.flat_windows(config.window), torch.tensor(policy.spec["targets"])
        env = algorithmic.walking(market.ruled.bars(start, end), 1, config.allow_short)
        path, equity = dqn.walked(params, env, windows[start:end], targets)
        returns = common.ruled_returns(market.ruled.bars(start, end), targets[path[0]].numpy())
        np.testing.assert_allclose(common.growth_of(equity[0]), returns, atol=1e-12)
    else:
        market = module.Market(config, bars, venue(bars))
        start, end = market.split.test, market.split.end
        env = market.env(config, start - config.window, end, rebalance=config.rebalance)
        assert isinstance(env, RuledPortfolioEnv)
        wanted = ppo.mean_weights(params, env, config.invest / 100.0).double().numpy()
        asked = np.full((end - start + 1, len(market.symbols) + 1), np.nan)
        asked[: len(wanted)] = wanted
        returns = common.ruled_returns(market.ruled.bars(start - 1, end), asked)
        assert env.equity.item() == pytest.approx(CAPITAL * np.prod(1.0 + returns[: len(wanted) + 1]), rel=1e-9)
    assert np.abs(returns).max() > 0 or result.test["total_return"] == 0.0
    assert np.prod(1.0 + returns) - 1.0 == pytest.approx(result.test["total_return"], abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_its_report_obeys_the_same_rules(kind, tmp_path):
    module, config, _ = KINDS[kind]
    bars, _, policy, _ = trained(kind, tmp_path)
    key = "algorithmic_trading" if kind.startswith("dqn") else "portfolio"
    traded = venue(bars).traded
    report = backtest(key, config, bars, capital=CAPITAL, policy=policy, traded=traded, start=date(2020, 2, 3))
    decided = module.decide(config, bars, policy, Venue(traded, CAPITAL))
    plain = module.decide(config, bars, policy)
    chosen, free = (getattr(d, "targets", getattr(d, "weights", None)) for d in (decided, plain))
    assert chosen.shape == free.shape
    assert report["market"]["limits"]
    for trade in report["trades"]:
        row = bars.symbols.index(trade["symbol"])
        day = int(np.searchsorted(bars.times, np.datetime64(trade["entry_time"])))
        assert bars.fields["volume"][row, day] > 0
        assert bars.open[row, day] < np.round(bars.close[row, day - 1] * 1.1 + 1e-9, 2)
        assert trade["quantity"] % 100 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_run_continues_bit_for_bit(kind):
    module, config, symbols = KINDS[kind]
    bars = shares(symbols)
    whole, first, second = ListSink(save_every=10**9), ListSink(save_every=10**9, stop_after=5), ListSink()
    expected = module.train(config, bars, whole, None, venue(bars))
    with pytest.raises(Stopped):
        module.train(config, bars, first, None, venue(bars))
    result = module.train(config, bars, second, first.saved[-1], venue(bars))
    assert first.points + second.points == whole.points
    assert result.test == expected.test
    assert result.weights == expected.weights


@pytest.mark.parametrize("kind", KINDS)
def test_rules_change_what_is_learned_and_without_any_nothing_changes(kind, tmp_path):
    module, config, symbols = KINDS[kind]
    bars = shares(symbols)
    free = module.train(config, bars, ListSink())
    ignoring = module.train(config, bars, ListSink(), None, venue(bars, obey=False))
    obeying = trained(kind, tmp_path)[1]
    assert free.weights == ignoring.weights != obeying.weights
    assert free.policy["rules"] is ignoring.policy["rules"] is False
    assert obeying.baselines["buy_and_hold"] != free.baselines["buy_and_hold"]
    assert obeying.baselines["do_nothing"]["total_return"] == pytest.approx(0.0)


def test_the_training_environment_is_the_ruled_one():
    bars = shares(1)
    market = algorithmic.Market(TRADING, bars, venue(bars))
    env = market.env(TRADING, 2)
    assert isinstance(env, RuledTradingEnv)
    assert (env.capital, env.exposure) == (CAPITAL, 1.0)


@pytest.mark.parametrize("model", [BY_VOLUME, BY_ROOT, {"slippage": "spread", "spread": 0.2}])
@pytest.mark.parametrize("kind", ["dqn", "ppo"])
def test_an_agent_feels_the_slippage_of_its_configuration_while_it_learns(kind, model):
    module, config, symbols = KINDS[kind]
    bars = shares(symbols)
    market = module.Market(config.model_copy(update=model), bars, venue(bars))
    free = module.Market(config, bars, venue(bars))
    rows = [bars.index_of(symbol) for symbol in getattr(market, "symbols", [config.symbol if kind == "dqn" else ""])]
    np.testing.assert_array_equal(market.ruled.depth.volume, bars.fields["volume"][rows])
    np.testing.assert_array_equal(market.ruled.depth.volatility, volatility(bars.close[rows]))
    always = np.ones(80) if kind == "dqn" else np.tile(np.r_[0.0, np.ones(symbols) / symbols], (80, 1))
    paid, unpaid = (common.ruled_returns(m.ruled.bars(100, 180), always) for m in (market, free))
    assert np.prod(1.0 + paid) < np.prod(1.0 + unpaid)


def test_a_slippage_by_volume_is_refused_without_volumes():
    bars = shares(1)
    fields = {name: values for name, values in bars.fields.items() if name != "volume"}
    bare = Venue(Traded(dataclasses.replace(bars, fields=fields), (), "XSHG"), CAPITAL)
    with pytest.raises(Refusal) as refused:
        algorithmic.Market(TRADING.model_copy(update=BY_VOLUME), bars, bare)
    assert refused.value.code == "no_volume"
