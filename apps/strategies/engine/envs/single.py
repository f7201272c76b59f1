"""One copy of a batched environment behind gymnasium's interface."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from apps.strategies.engine.envs.algorithmic import AlgorithmicTradingEnv
from apps.strategies.engine.envs.base import Observation
from apps.strategies.engine.envs.portfolio import PortfolioEnv

Array = NDArray[np.float32]


class SingleEnv(gymnasium.Env[Array, Any]):
    """Wraps an environment of one copy. A portfolio's action is any vector: it is softmaxed to weights."""

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, env: AlgorithmicTradingEnv | PortfolioEnv) -> None:
        if env.copies != 1:
            raise ValueError(f"SingleEnv wraps one copy, not {env.copies}")
        self.env = env
        size = len(self._array(env.reset()))
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space: gymnasium.Space[Any]
        if isinstance(env, AlgorithmicTradingEnv):
            self.action_space = gymnasium.spaces.Discrete(env.actions)
        else:
            self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (env.assets + 1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        return self._array(self.env.reset(seed)), {}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        if isinstance(self.env, AlgorithmicTradingEnv):
            given = torch.tensor([int(action)])
        else:
            given = torch.softmax(torch.as_tensor(action, dtype=torch.float32), 0).unsqueeze(0)
        done = self.env.step(given)
        ended = bool(done.terminated[0]), bool(done.truncated[0])
        return self._array(done.observation), float(done.reward[0]), *ended, {}

    @staticmethod
    def _array(obs: Observation) -> Array:
        return torch.cat([obs.market.flatten(1), obs.account], 1)[0].numpy().copy()
