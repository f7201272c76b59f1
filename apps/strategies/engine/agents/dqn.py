"""DQN on one asset, in the order in which it happens: settings, networks, memory, loop.

Mnih et al. 2015; double: van Hasselt et al. 2016; duelling: Wang et al. 2016. The seeds are a batch
dimension: S agents, each with its own network, memory and exploration, train side by side.

Everything random comes from generators whose state is part of the checkpoint, and nothing depends on
the clock, so a run continued from a checkpoint repeats an uninterrupted one bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apps.strategies.engine.envs.algorithmic import AlgorithmicTradingEnv
from apps.strategies.engine.networks import Params, StackedAdam, flattened, head, hidden, stacked_mlp

if TYPE_CHECKING:
    from apps.strategies.engine.envs.ruled_trading import RuledTradingEnv

#: One update per this many steps of the environment.
UPDATE_EVERY = 4
REWARD_SCALE = 100.0


@dataclass(frozen=True)
class Settings:
    """What an agent is made of; the configuration's fields of the same names."""

    window: int
    features: int
    actions: int
    hidden: int
    double: bool
    duelling: bool
    learning_rate: float
    gamma: float
    batch: int
    buffer: int
    target_update: float
    epsilon_start: float
    epsilon_end: float
    epsilon_steps: int
    seeds: tuple[int, ...]


def q_values(params: Params, x: Tensor) -> Tensor:
    """Return (S, B, A) action values of (S, B, in) observations."""
    last = hidden(params, x)
    if "value.weight" not in params:
        return head(params, "q", last)
    gain = head(params, "gain", last)
    return head(params, "value", last) + gain - gain.mean(-1, keepdim=True)


class Memory:
    """The last transitions of each seed: position, action, reward, next position, end; and their bar.

    Windows are not stored: they are read again from the features by the bar's index.
    """

    def __init__(self, seeds: int, capacity: int) -> None:
        self.capacity, self.count = capacity, 0
        self.bar = torch.zeros(capacity, dtype=torch.int64)
        self.rows = torch.zeros(seeds, capacity, 5)

    def add(self, bar: int, position: Tensor, action: Tensor, reward: Tensor, after: Tensor, done: Tensor) -> None:
        i = self.count % self.capacity
        self.bar[i] = bar
        self.rows[:, i] = torch.stack([position, action.float(), reward, after, done.float()], 1)
        self.count += 1

    def tensors(self) -> dict[str, Tensor]:
        return {"mem.bar": self.bar, "mem.rows": self.rows}

    def load(self, tensors: Mapping[str, Tensor], count: int) -> None:
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])
        self.count = count


class Agent:
    """S networks, their targets, memories and generators."""

    def __init__(self, settings: Settings) -> None:
        s = self.settings = settings
        size = s.window * s.features + 1
        heads = {"value": 1, "gain": s.actions} if s.duelling else {"q": s.actions}
        self.online = stacked_mlp([size, s.hidden, s.hidden], s.seeds, heads)
        self.target = {name: value.detach().clone() for name, value in self.online.items()}
        self.optimizer, self.flat_target = StackedAdam(self.online, s.learning_rate), flattened(self.target)
        self.seed_rows = torch.arange(len(s.seeds)).unsqueeze(1)
        self.memory = Memory(len(s.seeds), s.buffer)
        self.generators = [torch.Generator().manual_seed(seed + 1_000_003) for seed in s.seeds]
        self.steps = 0

    @property
    def epsilon(self) -> float:
        s = self.settings
        share = min(1.0, self.steps / max(1, s.epsilon_steps))
        return s.epsilon_start + (s.epsilon_end - s.epsilon_start) * share

    @torch.no_grad()
    def act(self, window: Tensor, position: Tensor) -> Tensor:
        """Return (S,) actions for one window (W * F) and the positions (S,): mostly the best known."""
        s = self.settings
        draws = torch.stack([torch.rand(2, generator=g) for g in self.generators])
        explore = draws[:, 0] < self.epsilon
        random = (draws[:, 1] * s.actions).long().clamp_max_(s.actions - 1)
        if bool(explore.all()):
            return random
        x = torch.cat([window.expand(len(s.seeds), -1), position.unsqueeze(1)], 1).unsqueeze(1)
        return torch.where(explore, random, q_values(self.online, x).squeeze(1).argmax(1))

    def learn(self, flat_windows: Tensor) -> dict[str, Tensor]:
        """Update once from a batch of each seed's memory; return loss, mean Q and gradient norm (S,).

        ``flat_windows`` is (T, W * F), indexed by bar.
        """
        s, memory = self.settings, self.memory
        size = min(memory.count, memory.capacity)
        picks = torch.stack([torch.randint(size, (s.batch,), generator=g) for g in self.generators])
        bar = memory.bar[picks]
        position, action, reward, after, done = memory.rows[self.seed_rows, picks].unbind(-1)
        now = torch.cat([flat_windows[bar], position.unsqueeze(-1)], -1)
        then = torch.cat([flat_windows[bar + 1], after.unsqueeze(-1)], -1)
        with torch.no_grad():
            later = q_values(self.target, then)
            chosen = (q_values(self.online, then) if s.double else later).argmax(-1, keepdim=True)
            wanted = reward + s.gamma * (1.0 - done) * later.gather(-1, chosen).squeeze(-1)
        values = q_values(self.online, now)
        taken = values.gather(-1, action.long().unsqueeze(-1)).squeeze(-1)
        loss = torch.nn.functional.smooth_l1_loss(taken, wanted, reduction="none").mean(-1)
        norm = self.optimizer.step(torch.autograd.grad(loss.sum(), list(self.online.values())))
        self.flat_target.lerp_(self.optimizer.flat, s.target_update)
        return {"loss": loss.detach(), "q_mean": values.detach().mean((1, 2)), "gradient_norm": norm}

    def tensors(self) -> dict[str, Tensor]:
        """Return everything the continuation needs, by name."""
        state = {"online": self.optimizer.flat, "target": self.flat_target}
        state |= self.optimizer.tensors() | self.memory.tensors()
        return state | {f"generator.{i}": g.get_state() for i, g in enumerate(self.generators)}

    def counters(self) -> dict[str, int]:
        return {"steps": self.steps, "updates": self.optimizer.count, "remembered": self.memory.count}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], counters: Mapping[str, int]) -> None:
        self.optimizer.flat.copy_(tensors["online"])
        self.flat_target.copy_(tensors["target"])
        self.optimizer.load(tensors, counters["updates"])
        self.memory.load(tensors, counters["remembered"])
        for i, generator in enumerate(self.generators):
            generator.set_state(tensors[f"generator.{i}"])
        self.steps = counters["steps"]


@torch.no_grad()
def best_path(params: Params, flat_windows: Tensor, targets: Tensor, start: float = 0.0) -> Tensor:
    """Return (S, T) indices of ``targets`` that the greedy policy takes, bar after bar.

    The market does not react, so the values of every position are computed at once; the walk
    through them is all that is sequential.
    """
    seeds = next(iter(params.values())).shape[0]
    positions = torch.cat([targets, torch.tensor([start])])
    choices = []
    for position in positions:
        column = position.expand(len(flat_windows), 1)
        x = torch.cat([flat_windows, column], 1).expand(seeds, -1, -1)
        choices.append(q_values(params, x).argmax(-1))
    table = torch.stack(choices, -1).tolist()  # (S, T, positions)
    paths = []
    for rows in table:
        held, path = len(positions) - 1, []
        for row in rows:
            held = row[held]
            path.append(held)
        paths.append(path)
    return torch.tensor(paths)


@torch.no_grad()
def walked(
    params: Params, env: RuledTradingEnv, flat_windows: Tensor, targets: Tensor
) -> tuple[Tensor, NDArray[np.float64]]:
    """Walk ``env`` (one copy a seed) greedily; return (S, T) indices of ``targets`` and the equity (S, T).

    Under market rules an order may wait, so the policy is told what is held, not what was wanted. Row t of
    ``flat_windows`` is what is seen at the environment's t-th bar.
    """
    table = torch.stack(
        [
            q_values(params, torch.cat([flat_windows, p.expand(len(flat_windows), 1)], 1).expand(env.copies, -1, -1))
            for p in targets
        ],
        -1,
    ).argmax(-2)  # (S, T, positions)
    env.reset()
    rows, paths, equity = torch.arange(env.copies), [], [env.equity.numpy().copy()]
    for t in range(len(flat_windows)):
        held = torch.searchsorted(targets, env.side)
        paths.append(table[rows, t, held])
        if t < env.horizon:
            env.step(paths[-1])
            equity.append(env.equity.numpy().copy())
    return torch.stack(paths, 1), np.stack(equity, 1)


@dataclass
class Walk:
    """Where the training stands, beside the agent itself."""

    episode: int = 0
    best_score: float | None = None
    without_better: int = 0

    def state(self) -> dict[str, Any]:
        return asdict(self)


def episode_step(agent: Agent, env: AlgorithmicTradingEnv, flat_windows: Tensor) -> tuple[Tensor, bool]:
    """Take one step of all seeds; return their rewards (S,) and whether the episode is over."""
    bar, position = env.first + env.done_steps, env.side.clone()
    action = agent.act(flat_windows[bar], position)
    step = env.step(action)
    # A cut at the last bar is not an end: the value after it still counts.
    agent.memory.add(bar, position, action, step.reward * REWARD_SCALE, env.side, step.terminated)
    agent.steps += 1
    return step.reward, bool(step.truncated[0])
