"""PPO over portfolio weights, in the order in which it happens: settings, network, rollout, update.

Schulman et al. 2017; generalised advantages: Schulman et al. 2016. The policy is a Gaussian over the
logits of cash and assets; the softmax of a draw are the weights. Seeds are a batch dimension: S
agents roll out B copies each and are updated together. All randomness comes from one generator a
seed, kept in the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from apps.strategies.engine.envs.base import Observation
from apps.strategies.engine.envs.portfolio import PortfolioEnv
from apps.strategies.engine.networks import Params, StackedAdam, head, hidden, stacked_mlp

LAMBDA = 0.95
PASSES, PARTS = 4, 4
VALUE_WEIGHT = 0.5
REWARD_SCALE = 100.0
START_LOG_STD = -0.5


@dataclass(frozen=True)
class Settings:
    """What an agent is made of; the configuration's fields of the same names."""

    inputs: int
    actions: int
    hidden: int
    learning_rate: float
    gamma: float
    clip: float
    entropy: float
    copies: int
    seeds: tuple[int, ...]
    #: Share of equity the policy disposes of; the rest stays cash.
    invest: float = 1.0


@dataclass
class Rollout:
    """H steps of S x B copies: (S, H * B, …), flattened in time-major order."""

    inputs: Tensor
    logits: Tensor
    log_prob: Tensor
    advantage: Tensor
    returns: Tensor
    reward: Tensor


def log_density(mean: Tensor, log_std: Tensor, at: Tensor) -> Tensor:
    """Return the log density of a diagonal Gaussian, summed over the last axis."""
    z = (at - mean) * torch.exp(-log_std)
    return -(0.5 * z.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)


class Agent:
    """S policies with their value functions and generators."""

    def __init__(self, settings: Settings) -> None:
        s = self.settings = settings
        self.params = stacked_mlp([s.inputs, s.hidden, s.hidden], s.seeds, {"mean": s.actions, "value": 1})
        with torch.no_grad():
            # Begins near equal weights: what a policy does before it has learned should be harmless.
            self.params["mean.weight"].mul_(0.01)
        std = torch.full((len(s.seeds), 1, s.actions), START_LOG_STD)
        self.params["log_std"] = std.requires_grad_()
        self.optimizer = StackedAdam(self.params, s.learning_rate, clip=0.5)
        self.generators = [torch.Generator().manual_seed(seed + 2_000_003) for seed in s.seeds]
        self.updates = 0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean logits (S, B, A) and values (S, B)."""
        last = hidden(self.params, x)
        return head(self.params, "mean", last), head(self.params, "value", last).squeeze(-1)

    @torch.no_grad()
    def rollout(self, envs: Sequence[PortfolioEnv]) -> Rollout:
        """Play every seed's environment from new starts to its horizon."""
        s = self.settings
        draws = [int(torch.randint(2**31 - 1, (1,), generator=g)) for g in self.generators]
        seen = [flat(env.reset(draw)) for env, draw in zip(envs, draws, strict=True)]
        kept: dict[str, list[Tensor]] = {"x": [], "logits": [], "log_prob": [], "value": [], "reward": []}
        for _ in range(envs[0].horizon):
            x = torch.stack(seen)
            mean, value = self.forward(x)
            noise = torch.stack([torch.randn(mean.shape[1:], generator=g) for g in self.generators])
            logits = mean + noise * self.params["log_std"].exp()
            weights = torch.softmax(logits, -1)
            stepped = [env.step(disposed(weights[i], s.invest)) for i, env in enumerate(envs)]
            seen = [flat(item.observation) for item in stepped]
            kept["x"].append(x)
            kept["logits"].append(logits)
            kept["log_prob"].append(log_density(mean, self.params["log_std"], logits))
            kept["value"].append(value)
            kept["reward"].append(torch.stack([item.reward for item in stepped]) * REWARD_SCALE)
        _, after = self.forward(torch.stack(seen))
        values, rewards = torch.stack(kept["value"]), torch.stack(kept["reward"])  # (H, S, B)
        advantage = generalised_advantages(rewards, values, after, s.gamma)

        def joined(stacked: Tensor) -> Tensor:
            return stacked.transpose(0, 1).flatten(1, 2)

        return Rollout(
            joined(torch.stack(kept["x"])), joined(torch.stack(kept["logits"])), joined(torch.stack(kept["log_prob"])),
            joined(advantage), joined(advantage + values), rewards.mean((0, 2)) / REWARD_SCALE,
        )  # fmt: skip

    def learn(self, data: Rollout) -> dict[str, Tensor]:
        """Pass ``PASSES`` times over the rollout in ``PARTS`` parts; return the means of what happened (S,)."""
        s, count = self.settings, data.inputs.shape[1]
        size, rows = count // PARTS, torch.arange(len(s.seeds)).unsqueeze(1)
        sums: dict[str, Tensor] = {}
        for _ in range(PASSES):
            order = torch.stack([torch.randperm(count, generator=g) for g in self.generators])
            for part in range(PARTS):
                picks = order[:, part * size : (part + 1) * size]
                for name, value in self._update(data, rows, picks).items():
                    sums[name] = sums[name] + value if name in sums else value
        self.updates += PASSES * PARTS
        return {name: value / (PASSES * PARTS) for name, value in sums.items()}

    def _update(self, data: Rollout, rows: Tensor, picks: Tensor) -> dict[str, Tensor]:
        s = self.settings
        mean, value = self.forward(data.inputs[rows, picks])
        log_std = self.params["log_std"]
        change = log_density(mean, log_std, data.logits[rows, picks]) - data.log_prob[rows, picks]
        ratio = change.exp()
        advantage = data.advantage[rows, picks]
        spread = advantage.std(1, keepdim=True).clamp_min(1e-8)
        advantage = (advantage - advantage.mean(1, keepdim=True)) / spread
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - s.clip, 1 + s.clip) * advantage).mean(1)
        value_loss = (value - data.returns[rows, picks]).square().mean(1)
        entropy = (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum((1, 2))
        loss = -gain + VALUE_WEIGHT * value_loss - s.entropy * entropy
        norm = self.optimizer.step(torch.autograd.grad(loss.sum(), list(self.params.values())))
        clipped = ((ratio.detach() - 1).abs() > s.clip).float().mean(1) * 100.0
        return {
            "loss": loss.detach(), "value_loss": value_loss.detach(), "entropy": entropy.detach(),
            "gradient_norm": norm, "clip_share": clipped,
        }  # fmt: skip

    def tensors(self) -> dict[str, Tensor]:
        state = {"params": self.optimizer.flat} | self.optimizer.tensors()
        return state | {f"generator.{i}": g.get_state() for i, g in enumerate(self.generators)}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        self.optimizer.flat.copy_(tensors["params"])
        self.optimizer.load(tensors, updates)
        self.updates = updates
        for i, generator in enumerate(self.generators):
            generator.set_state(tensors[f"generator.{i}"])


def generalised_advantages(rewards: Tensor, values: Tensor, after: Tensor, gamma: float) -> Tensor:
    """Return (H, S, B) advantages; the horizon cuts a walk off, so the value after it still counts."""
    result, running, following = torch.zeros_like(rewards), torch.zeros_like(after), after
    for t in range(len(rewards) - 1, -1, -1):
        delta = rewards[t] + gamma * following - values[t]
        running = delta + gamma * LAMBDA * running
        result[t], following = running, values[t]
    return result


def flat(observation: Observation) -> Tensor:
    """Return (B, N * F * W + N + 1): the window and the weights held, copied."""
    return observation.flat()


@torch.no_grad()
def mean_weights(params: Params, env: PortfolioEnv, invest: float) -> Tensor:
    """Walk ``env`` with the deterministic policy of one seed; return the weights wanted at each bar (H * rebalance + 1,
    N + 1), those after the last step included: they are what the next open trades, whether or not it is known yet.
    Bars without a rebalance are NaN. ``invest`` is the share of equity the policy disposes of."""
    observation, rows = env.reset(), []

    def decided() -> Tensor:
        mean = head(params, "mean", hidden(params, flat(observation).unsqueeze(0)))
        wanted = disposed(torch.softmax(mean[0], -1), invest)
        rows.append(wanted[0].clone())
        return wanted

    for _ in range(env.horizon):
        wanted = decided()
        rows += [torch.full_like(wanted[0], math.nan)] * (env.rebalance - 1)
        observation = env.step(wanted).observation
    decided()
    return torch.stack(rows)


def disposed(weights: Tensor, invest: float) -> Tensor:
    """Keep ``1 - invest`` of equity in cash: scale the assets, the rest is cash."""
    assets = weights[:, 1:] * invest
    return torch.cat([1.0 - assets.sum(1, keepdim=True), assets], 1)
