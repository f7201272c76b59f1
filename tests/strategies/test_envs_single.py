"""One copy behind gymnasium's interface passes its own checker."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from apps.strategies.engine.envs import AlgorithmicTradingEnv, PortfolioEnv
from apps.strategies.engine.envs.single import SingleEnv
from tests.strategies.env_markets import market

MAKERS = {
    "trading": lambda **more: AlgorithmicTradingEnv(market(), window=4, allow_short=True, **more),
    "portfolio": lambda **more: PortfolioEnv(market(assets=3), window=4, **more),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_gymnasium_finds_no_fault(kind):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*is not within the observation space.*")
        check_env(SingleEnv(MAKERS[kind]()), skip_render_check=True)


@pytest.mark.parametrize("kind", MAKERS)
def test_an_episode_ends_at_the_last_bar(kind):
    env = SingleEnv(MAKERS[kind]())
    env.reset(seed=1)
    env.action_space.seed(1)
    steps, truncated = 0, False
    while not truncated:
        seen, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert np.isfinite(seen).all()
        assert np.isfinite(reward)
        assert not terminated
        steps += 1
    assert steps == env.env.horizon


def test_several_copies_are_refused():
    with pytest.raises(ValueError, match="one copy, not 2"):
        SingleEnv(MAKERS["trading"](copies=2))
