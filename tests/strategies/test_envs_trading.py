"""The one-asset environment: when it fills, what it pays, what it owes, and that it never looks ahead."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from apps.strategies.engine.envs import AlgorithmicTradingEnv, make_algorithmic
from apps.strategies.engine.envs.algorithmic import RUIN
from tests.strategies.env_markets import cut, market, priced

DOUBLE = {"dtype": torch.float64}


def act(*values: int) -> torch.Tensor:
    return torch.tensor(values)


def play(env, actions) -> tuple[list, list]:
    """Rewards and equities of all steps, copied."""
    env.reset(5)
    rewards, equities = [], []
    for action in actions:
        step = env.step(action)
        rewards.append(step.reward.clone())
        equities.append(env.equity.clone())
    return rewards, equities


def test_a_decision_fills_at_the_next_open_and_is_marked_at_its_close():
    env = AlgorithmicTradingEnv(priced([9, 18, 1], [10, 25, 1]), cost_rate=0.01, exposure=0.5, last=1, **DOUBLE)
    env.reset()
    step = env.step(act(1))
    units = 0.5 / 10  # sized at the close that was seen
    equity = 1.0 - units * 18 * 1.01 + units * 25
    assert env.equity.item() == pytest.approx(equity, rel=1e-14)
    assert step.reward.item() == pytest.approx(math.log(equity), rel=1e-12)
    assert step.truncated.all()
    assert not step.terminated.any()


def test_a_purchase_beyond_the_cash_is_cut_to_what_it_affords():
    env = AlgorithmicTradingEnv(priced([10, 40], [10, 40]), cost_rate=0.1, exposure=1.0, **DOUBLE)
    env.reset()
    env.step(act(1))
    assert env.units.item() == pytest.approx(1.0 / 44)
    assert env.cash.item() == pytest.approx(0.0, abs=1e-15)


def test_a_held_side_is_neither_resized_nor_charged():
    env = AlgorithmicTradingEnv(market(), cost_rate=0.01, **DOUBLE)
    env.reset()
    env.step(act(1))
    units, cash = env.units.clone(), env.cash.clone()
    for _ in range(5):
        env.step(act(1))
    assert torch.equal(env.units, units)
    assert torch.equal(env.cash, cash)


def test_a_short_brings_cash_in_and_gains_what_the_price_loses():
    env = AlgorithmicTradingEnv(
        priced([10, 10, 10], [10, 8, 8]), cost_rate=0.0, exposure=0.5, allow_short=True, **DOUBLE
    )
    env.reset()
    env.step(act(0))
    assert env.cash.item() == pytest.approx(1.5)
    assert env.equity.item() == pytest.approx(1.1)
    env.step(act(1))  # bought back at 10: nothing won after all
    assert env.units.item() == 0.0
    assert env.equity.item() == pytest.approx(1.0)


def test_from_short_to_long_in_one_fill():
    env = AlgorithmicTradingEnv(priced([10] * 3, [10] * 3), cost_rate=0.0, exposure=0.5, allow_short=True, **DOUBLE)
    env.reset()
    env.step(act(0))
    env.step(act(2))
    assert env.units.item() == pytest.approx(0.05)
    assert env.cash.item() == pytest.approx(0.5)
    assert env.side.item() == 1.0


def test_a_ruined_short_is_closed_ends_its_episode_and_earns_nothing_after():
    env = AlgorithmicTradingEnv(
        priced([10, 10, 50, 50], [10, 40, 50, 60]), exposure=0.9, allow_short=True, copies=2, **DOUBLE
    )
    env.reset()
    step = env.step(act(0, 1))
    assert step.terminated.tolist() == [True, False]
    assert step.reward.tolist() == pytest.approx([math.log(RUIN), 0.0])
    step = env.step(act(0, 1))
    assert step.terminated.tolist() == [False, False]
    assert (step.reward[0].item(), env.units[0].item(), env.side[0].item()) == (0.0, 0.0, 0.0)
    assert env.equity[0].item() == RUIN


def test_a_short_under_water_at_the_open_can_only_be_closed():
    env = AlgorithmicTradingEnv(priced([10, 10, 40], [10, 15, 40]), exposure=0.9, allow_short=True, **DOUBLE)
    env.reset()
    env.step(act(0))
    step = env.step(act(2))
    assert env.units.item() == 0.0
    assert step.terminated.item()


def test_fixed_units_trade_that_many():
    env = AlgorithmicTradingEnv(priced([10, 11, 12], [10, 11, 12]), units=3.0, capital=1000.0, cost_rate=0.0, **DOUBLE)
    env.reset()
    env.step(act(1))
    env.step(act(1))
    assert env.units.item() == 3.0
    assert env.equity.item() == pytest.approx(1003.0)


@pytest.mark.parametrize("allow_short", [False, True])
def test_the_past_does_not_change_with_the_future(allow_short):
    prices, bar = market(), 20
    actions = torch.randint(3 if allow_short else 2, (bar, 4), generator=torch.Generator().manual_seed(0))
    seen = []
    for given in (prices, cut(prices, bar)):
        env = AlgorithmicTradingEnv(given, window=5, copies=4, allow_short=allow_short)
        view, rows = env.reset(), []
        for action in actions[: bar - env.first]:
            rows += [view.market.clone(), view.account.clone(), env.step(action).reward.clone()]
        rows.append(view.market.clone())
        seen.append(rows)
    assert all(torch.equal(left, right) for left, right in zip(*seen, strict=True))


def test_a_batch_is_its_copies_one_by_one():
    prices = market()
    actions = torch.randint(3, (39, 6), generator=torch.Generator().manual_seed(1))
    together, _ = play(AlgorithmicTradingEnv(prices, copies=6, allow_short=True), actions)
    for copy in range(6):
        alone, _ = play(AlgorithmicTradingEnv(prices, allow_short=True), actions[:, copy : copy + 1])
        assert torch.equal(torch.cat(alone), torch.stack(together)[:, copy])


def test_the_same_seed_gives_the_same_starts_and_another_seed_others():
    env = AlgorithmicTradingEnv(market(), copies=16, horizon=10, random_start=True)
    first = (env.reset(1).market.clone(), env.starts.clone())
    env.reset(2)
    assert not torch.equal(env.starts, first[1])
    assert torch.equal(env.reset(1).market, first[0])
    assert torch.equal(env.starts, first[1])
    assert env.starts.max() + env.horizon <= env.last


def test_a_copy_that_starts_late_lives_through_its_own_bars():
    prices, actions = market(), torch.randint(2, (10, 3), generator=torch.Generator().manual_seed(2))
    env = AlgorithmicTradingEnv(prices, copies=3, window=4, horizon=10, random_start=True)
    rewards, _ = play(env, actions)
    for copy, start in enumerate(env.starts.tolist()):
        single = AlgorithmicTradingEnv(prices, window=4, first=start, last=start + 10)
        alone, _ = play(single, actions[:, copy : copy + 1])
        torch.testing.assert_close(torch.cat(alone), torch.stack(rewards)[:, copy], rtol=0, atol=1e-6)
        assert torch.equal(single.view.market[0], env.view.market[copy])


def test_windows_are_views_of_one_array():
    env = AlgorithmicTradingEnv(market(), copies=1000, window=8)
    view = env.reset()
    assert view.market.shape == (1000, 1, 3, 8)
    assert view.market.untyped_storage().data_ptr() == env.features.untyped_storage().data_ptr()
    np.testing.assert_array_equal(view.market[7, 0, 0], market().features[:8, 0, 0])
    assert view.flat().shape == (1000, 25)


@pytest.mark.parametrize("options", [{}, {"random_start": True, "horizon": 12}])
def test_an_episode_goes_on_from_its_saved_state(options):
    actions = torch.randint(3, (12, 4), generator=torch.Generator().manual_seed(4))
    env = AlgorithmicTradingEnv(market(), copies=4, allow_short=True, **options)
    env.reset(8)
    for action in actions[:6]:
        env.step(action)
    state = env.state_dict()
    rest = [env.step(action).reward.clone() for action in actions[6:]]
    other = AlgorithmicTradingEnv(market(), copies=4, allow_short=True, **options)
    other.load_state_dict(state)
    assert all(torch.equal(other.step(a).reward, r) for a, r in zip(actions[6:], rest, strict=True))


def test_a_market_too_short_for_the_window_is_refused():
    with pytest.raises(ValueError, match="no step with a window of 40"):
        AlgorithmicTradingEnv(market(40), window=40)


def test_the_mode_chooses_the_accounts():
    assert isinstance(make_algorithmic(market(), allow_short=True), AlgorithmicTradingEnv)
    assert make_algorithmic(market(), compat="trademaster", allow_short=True).actions == 3


def test_torch_and_numpy_arithmetic_agree():
    """On other devices the same lines run in torch: here they are made to on the CPU."""
    actions = torch.randint(3, (39, 6), generator=torch.Generator().manual_seed(1))
    env = AlgorithmicTradingEnv(market(spread=0.2), copies=6, allow_short=True, **DOUBLE)

    class InTorch(AlgorithmicTradingEnv):
        def _raw(self, tensor):
            self._xp = torch
            return tensor

    other = InTorch(market(spread=0.2), copies=6, allow_short=True, **DOUBLE)
    for left, right in zip(play(env, actions)[1], play(other, actions)[1], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)
