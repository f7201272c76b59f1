"""Agents: gradients reach every weight, targets move, seeds stay apart, and a planted signal is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from apps.strategies.engine.agents import dqn, ppo
from apps.strategies.engine.config import AlgorithmicTradingConfig
from apps.strategies.engine.envs import AlgorithmicTradingEnv, PortfolioEnv
from apps.strategies.engine.networks import StackedAdam, hidden, stacked_mlp
from apps.strategies.engine.ports import ListSink
from apps.strategies.engine.training import algorithmic
from tests.strategies.env_markets import market
from tests.strategies.learning_markets import planted

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = dqn.Settings(
    window=4, features=3, actions=2, hidden=8, double=True, duelling=True, learning_rate=0.001, gamma=0.9, batch=16,
    buffer=64, target_update=0.05, epsilon_start=1.0, epsilon_end=0.1, epsilon_steps=50, seeds=(1, 2),
)  # fmt: skip


def filled(settings: dqn.Settings, steps: int = 40) -> tuple[dqn.Agent, torch.Tensor]:
    """An agent that has walked a market, and the market's windows."""
    agent = dqn.Agent(settings)
    prices = market(60)
    env = AlgorithmicTradingEnv(prices, window=settings.window, copies=len(settings.seeds))
    windows = algorithmic.flat_windows(torch.from_numpy(prices.features[:, 0]), settings.window)
    env.reset()
    for _ in range(steps):
        if dqn.episode_step(agent, env, windows)[1]:
            env.reset()
    return agent, windows


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("duelling", [False, True])
def test_an_update_changes_every_parameter_of_every_seed(double, duelling):
    agent, windows = filled(replace(SETTINGS, double=double, duelling=duelling))
    before = {name: value.detach().clone() for name, value in agent.online.items()}
    frozen = {name: value.clone() for name, value in agent.target.items()}
    seen = agent.learn(windows)
    for name, value in agent.online.items():
        for seed in range(2):
            assert not torch.equal(value[seed], before[name][seed]), name
            assert not torch.equal(agent.target[name][seed], frozen[name][seed]), name
    assert all(value.shape == (2,) and torch.isfinite(value).all() for value in seen.values())
    assert (seen["gradient_norm"] > 0).all()


def test_the_target_follows_by_its_share():
    agent, windows = filled(SETTINGS)
    before = {name: value.clone() for name, value in agent.target.items()}
    agent.learn(windows)
    for name, online in agent.online.items():
        expected = before[name] + 0.05 * (online.detach() - before[name])
        torch.testing.assert_close(agent.target[name], expected)


def test_exploration_falls_to_its_end_and_then_the_greedy_action_is_taken():
    agent, windows = filled(SETTINGS, steps=25)
    assert agent.epsilon == pytest.approx(0.55)
    agent.steps = 10_000
    assert agent.epsilon == pytest.approx(0.1)
    agent.settings = replace(SETTINGS, epsilon_start=0.0, epsilon_end=0.0)
    position = torch.zeros(2)
    x = torch.cat([windows[9].expand(2, -1), position[:, None]], 1)[:, None]
    assert torch.equal(agent.act(windows[9], position), dqn.q_values(agent.online, x)[:, 0].argmax(1))


def test_the_memory_forgets_the_oldest_first():
    memory = dqn.Memory(1, 3)
    one = torch.ones(1)
    for bar in range(5):
        memory.add(bar, one, one.long(), one * bar, one, one * 0)
    assert sorted(memory.bar.tolist()) == [2, 3, 4]
    assert memory.count == 5


def test_a_seed_learns_the_same_alone_and_beside_others():
    together, windows = filled(SETTINGS)
    alone, _ = filled(replace(SETTINGS, seeds=(2,)))
    for _ in range(5):
        together.learn(windows)
        alone.learn(windows)
    for name, value in alone.online.items():
        torch.testing.assert_close(value[0], together.online[name][1], rtol=1e-5, atol=1e-6)


def test_the_greedy_path_carries_its_own_position():
    params = {n: v.detach() for n, v in dqn.Agent(SETTINGS).online.items()}
    windows, sides = torch.randn(30, 12), torch.tensor([0.0, 1.0])
    paths = dqn.best_path(params, windows, sides)
    held = torch.zeros(2)
    for bar, choice in enumerate(paths.T):
        x = torch.cat([windows[bar].expand(2, -1), held[:, None]], 1)[:, None]
        assert torch.equal(choice, dqn.q_values(params, x)[:, 0].argmax(1))
        held = sides[choice]


def test_adam_is_adam():
    params = stacked_mlp([3, 4], (1,), {"q": 2})
    twin = [value.detach().clone().requires_grad_() for value in params.values()]
    ours, theirs = StackedAdam(params, 0.01, clip=1e9), torch.optim.Adam(twin, 0.01)
    for step in range(4):
        grads = [torch.full_like(value, 0.1 * (step + 1)) for value in twin]
        ours.step(grads)
        for value, grad in zip(twin, grads, strict=True):
            value.grad = grad
        theirs.step()
    for left, right in zip(params.values(), twin, strict=True):
        torch.testing.assert_close(left, right)


def test_the_gradient_is_clipped_for_each_seed_on_its_own():
    params = {"w": torch.zeros(2, 1, 3, requires_grad=True)}
    optimizer = StackedAdam(params, 0.1, clip=1.0)
    norm = optimizer.step([torch.tensor([[[30.0, 0, 40.0]], [[0.3, 0, 0.4]]])])
    assert norm.tolist() == pytest.approx([50.0, 0.5])
    torch.testing.assert_close(optimizer.first[:, 0], torch.tensor([0.06, 0.03]))


def test_a_network_is_drawn_from_its_own_seed():
    alone, many = stacked_mlp([3, 4], (7,), {"q": 2}), stacked_mlp([3, 4], (5, 7), {"q": 2})
    assert torch.equal(alone["h0.weight"][0], many["h0.weight"][1])
    assert hidden(many, torch.zeros(2, 6, 3)).shape == (2, 6, 4)


def test_dqn_finds_a_planted_signal_and_earns_nearly_all_there_is():
    config = AlgorithmicTradingConfig(
        symbol="SIG", window=2, hidden=16, episodes=12, learning_rate=0.003, gamma=0.5, commission_bp=1.0,
        valid_start="2020-12-01", test_start="2021-02-01", seed=3,
    )  # fmt: skip
    panel = planted()
    result = algorithmic.train(config, panel, ListSink(save_every=10**9))
    loud = panel.volume[0] > 5_000
    bought = algorithmic.Market(config, panel)
    s = bought.split
    best = bought.returns(loud[s.test - 1 : s.end].astype(np.float64), s.test - 1, s.end)
    assert np.log1p(result.test["total_return"]) >= 0.9 * np.log1p(np.prod(1 + best) - 1)
    assert result.test["total_return"] > result.baselines["buy_and_hold"]["total_return"]


PPO = ppo.Settings(
    inputs=4 * 3 * 2 + 5, actions=5, hidden=8, learning_rate=0.01, gamma=0.9, clip=0.2, entropy=0.001, copies=4,
    seeds=(1, 2), invest=0.8,
)  # fmt: skip


def environments(prices, **options) -> list[PortfolioEnv]:
    return [PortfolioEnv(prices, window=2, copies=4, horizon=16, random_start=True, **options) for _ in range(2)]


def test_ppo_changes_every_parameter_and_invests_no_more_than_it_may():
    agent, envs = ppo.Agent(PPO), environments(market(60, 4))
    before = {name: value.detach().clone() for name, value in agent.params.items()}
    seen = agent.learn(agent.rollout(envs))
    for name, value in agent.params.items():
        for seed in range(2):
            assert not torch.equal(value[seed], before[name][seed]), name
    assert all(torch.isfinite(value).all() for value in seen.values())
    assert (envs[0].view.account[:, 0] > 0.1).all()


def test_advantages_are_discounted_sums_of_surprises():
    rewards, values = torch.tensor([1.0, 2.0]).view(2, 1, 1), torch.tensor([0.5, 0.25]).view(2, 1, 1)
    found = ppo.generalised_advantages(rewards, values, torch.tensor([[4.0]]), 0.5).flatten()
    last = 2.0 + 0.5 * 4.0 - 0.25
    assert found.tolist() == pytest.approx([1.0 + 0.5 * 0.25 - 0.5 + 0.5 * ppo.LAMBDA * last, last])


def test_the_log_density_is_that_of_a_normal_distribution():
    mean, log_std, at = torch.randn(3, 2), torch.randn(2), torch.randn(3, 2)
    expected = torch.distributions.Normal(mean, log_std.exp()).log_prob(at).sum(-1)
    torch.testing.assert_close(ppo.log_density(mean, log_std, at), expected)


def test_ppo_puts_its_money_on_the_asset_that_always_rises():
    prices = market(80, 4, spread=0.001)
    prices.close[:, 2] *= 1.01 ** np.arange(80)
    prices.open[:, 2] *= 1.01 ** np.arange(80)
    agent, envs = ppo.Agent(PPO), environments(prices)
    for _ in range(40):
        agent.learn(agent.rollout(envs))
    one = {name: value.detach()[:1] for name, value in agent.params.items()}
    weights = ppo.mean_weights(one, PortfolioEnv(prices, window=2), 1.0)
    assert weights[:, 3].mean() > 0.7


def test_the_deterministic_policy_holds_between_rebalances():
    one = {name: value.detach()[:1] for name, value in ppo.Agent(PPO).params.items()}
    weights = ppo.mean_weights(one, PortfolioEnv(market(60, 4), window=2, rebalance=3), 0.8)
    assert torch.isfinite(weights[::3]).all()
    assert torch.isnan(weights[1::3]).all()
    torch.testing.assert_close(weights[::3].sum(1), torch.ones(len(weights[::3])))
    assert (weights[::3, 0] >= 0.2).all()
