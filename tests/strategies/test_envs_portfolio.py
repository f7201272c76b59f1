"""The portfolio environment against a simulation in plain numpy, and its promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from apps.strategies.engine.envs import PortfolioEnv, make_portfolio
from tests.strategies.env_markets import cut, market

DOUBLE = {"dtype": torch.float64}
COST = 0.01


def weights(steps: int, copies: int, assets: int, *, cash: float = 0.3, seed: int = 0) -> torch.Tensor:
    """Random weights (steps, copies, assets + 1), every third copy without any cash."""
    draw = torch.rand(steps, copies, assets + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    draw[:, :, 0] *= cash
    draw[:, ::3, 0] = 0.0
    return draw / draw.sum(-1, keepdim=True)


def simulated(prices, actions, first: int, rebalance: int = 1) -> np.ndarray:
    """Equity of one copy after each bar: sells before buys, buys cut to the cash."""
    cash, units, equity, out = 1.0, np.zeros(prices.close.shape[1]), 1.0, []
    for step, action in enumerate(actions):
        bar = first + step * rebalance
        change = action[1:] * equity / prices.close[bar] - units
        sells, buys, price = np.minimum(change, 0.0), np.maximum(change, 0.0), prices.open[bar + 1]
        cash -= (sells * price).sum() * (1.0 - COST)
        needed = (buys * price).sum() * (1.0 + COST)
        part = min(1.0, cash / needed) if needed else 1.0
        units, cash = units + sells + part * buys, cash - part * needed
        for offset in range(rebalance):
            equity = cash + (units * prices.close[bar + 1 + offset]).sum()
            out.append(equity)
    return np.array(out)


@pytest.mark.parametrize("rebalance", [1, 4])
def test_every_copy_agrees_with_a_plain_simulation(rebalance):
    prices = market(33, 5)
    env = PortfolioEnv(prices, copies=7, window=1, cost_rate=COST, rebalance=rebalance, **DOUBLE)
    actions = weights(env.horizon, 7, 5)
    view, equities, rewards = env.reset(), [], []
    for action in actions:
        step = env.step(action)
        equities.append(step.info["path"].clone())
        rewards.append(step.reward.clone())
        assert (env.cash > -1e-12).all()
    assert step.truncated.all()
    assert not step.terminated.any()
    equity = torch.cat(equities).numpy()
    for copy in range(7):
        expected = simulated(prices, actions[:, copy].numpy(), 0, rebalance)
        np.testing.assert_allclose(equity[:, copy], expected, rtol=1e-11)
    np.testing.assert_allclose(torch.stack(rewards).sum(0), np.log(equity[-1]), atol=1e-11)
    np.testing.assert_allclose(view.account.sum(1), 1.0, atol=1e-12)


def test_all_cash_costs_and_earns_nothing():
    env = PortfolioEnv(market(20, 3), copies=2, cost_rate=COST)
    env.reset()
    action = torch.tensor([[1.0, 0, 0, 0]] * 2)
    assert all(env.step(action).reward.abs().max() == 0 for _ in range(env.horizon))


def test_holding_what_is_held_is_free():
    env = PortfolioEnv(market(20, 3, spread=0.0), cost_rate=COST, **DOUBLE)
    env.reset()
    action = torch.tensor([[0.4, 0.2, 0.2, 0.2]], dtype=torch.float64)
    env.step(action)
    rewards = [env.step(env.view.account.clone()).reward.item() for _ in range(5)]
    assert rewards == pytest.approx([0.0] * 5, abs=1e-15)


def test_the_past_does_not_change_with_the_future():
    prices, bar = market(40, 3), 18
    actions = weights(bar, 4, 3).float()
    seen = []
    for given in (prices, cut(prices, bar)):
        env = PortfolioEnv(given, window=5, copies=4)
        view, rows = env.reset(), []
        for action in actions[: bar - env.first]:
            rows += [view.market.clone(), view.account.clone(), env.step(action).reward.clone()]
        seen.append([*rows, view.market.clone(), view.account.clone()])
    assert all(torch.equal(left, right) for left, right in zip(*seen, strict=True))


def test_a_batch_is_its_copies_one_by_one():
    prices, actions = market(30, 4), weights(29, 5, 4)
    env = PortfolioEnv(prices, copies=5, **DOUBLE)
    env.reset()
    together = torch.stack([env.step(a).reward.clone() for a in actions])
    for copy in range(5):
        single = PortfolioEnv(prices, **DOUBLE)
        single.reset()
        alone = torch.cat([single.step(a[copy : copy + 1]).reward.clone() for a in actions])
        torch.testing.assert_close(alone, together[:, copy], rtol=0, atol=1e-13)


def test_copies_with_own_starts_live_through_their_own_bars():
    prices, actions = market(40, 3), weights(8, 6, 3)
    env = PortfolioEnv(prices, copies=6, window=3, horizon=8, rebalance=2, random_start=True, cost_rate=COST, **DOUBLE)
    env.reset(4)
    for action in actions:
        env.step(action)
    for copy, start in enumerate(env.starts.tolist()):
        expected = simulated(prices, actions[:, copy].numpy(), start, 2)
        assert env.equity[copy].item() == pytest.approx(expected[-1], rel=1e-11)
    state = env.state_dict()
    other = PortfolioEnv(prices, copies=6, window=3, horizon=8, rebalance=2, random_start=True, **DOUBLE)
    other.load_state_dict(state)
    assert torch.equal(other.equity, env.equity)
    assert torch.equal(other.view.market, env.view.market)


def test_weights_are_normalised_and_nothing_left_is_cash():
    given = torch.tensor([[-1.0, 1.0, 3.0], [-1.0, 0.0, -2.0]])
    assert PortfolioEnv.normalise(given).tolist() == [[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]]


def test_too_few_bars_for_one_step_are_refused():
    with pytest.raises(ValueError, match="no step of 10 bars"):
        PortfolioEnv(market(10, 2), rebalance=10)


def test_the_mode_chooses_the_accounts():
    assert isinstance(make_portfolio(market(10, 2), rebalance=2), PortfolioEnv)
    assert make_portfolio(market(10, 2), compat="trademaster", rebalance=2, variant="eiie").variant == "eiie"


def test_torch_and_numpy_arithmetic_agree():
    """On other devices the same lines run in torch, and every copy passes the cut: here they are made to on the CPU."""

    class InTorch(PortfolioEnv):
        def _raw(self, tensor):
            self._xp, self._on_cpu = torch, False
            return tensor

    prices, actions = market(30, 4), weights(29, 5, 4)
    env, other = (kind(prices, copies=5, cost_rate=COST, **DOUBLE) for kind in (PortfolioEnv, InTorch))
    env.reset()
    other.reset()
    for action in actions:
        torch.testing.assert_close(env.step(action).reward, other.step(action).reward, rtol=0, atol=1e-13)
