"""Small networks with the seeds as their first dimension: S networks cost little more than one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Params = dict[str, Tensor]


def stacked_mlp(sizes: Sequence[int], seeds: Sequence[int], heads: Mapping[str, int], gain: float = 1.0) -> Params:
    """Return the parameters of S multi-layer perceptrons with ``heads`` on the last hidden layer.

    Each network is drawn from a generator of its own seed, so a network does not depend on which
    others are trained beside it. Weights are (S, in, out), biases (S, 1, out); uniform in
    ±1/sqrt(in), as torch.nn.Linear.
    """
    layers = [(f"h{i}", sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1)]
    layers += [(name, sizes[-1], size) for name, size in heads.items()]
    params: Params = {}
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    for name, fan_in, fan_out in layers:
        bound = gain / math.sqrt(fan_in)
        weight = torch.stack([torch.empty(fan_in, fan_out).uniform_(-bound, bound, generator=g) for g in generators])
        bias = torch.stack([torch.empty(1, fan_out).uniform_(-bound, bound, generator=g) for g in generators])
        params[f"{name}.weight"], params[f"{name}.bias"] = weight, bias
    return {name: value.requires_grad_() for name, value in params.items()}


def hidden(params: Params, x: Tensor) -> Tensor:
    """Return the last hidden layer (S, B, H) of input (S, B, in)."""
    i = 0
    while f"h{i}.weight" in params:
        x = torch.relu(torch.baddbmm(params[f"h{i}.bias"], x, params[f"h{i}.weight"]))
        i += 1
    return x


def head(params: Params, name: str, x: Tensor) -> Tensor:
    """Return a linear head (S, B, out) of a hidden layer."""
    return torch.baddbmm(params[f"{name}.bias"], x, params[f"{name}.weight"])


def flattened(params: Params) -> Tensor:
    """Move the values of ``params`` into one tensor (S, P) and return it; each parameter becomes a view of it.

    One operation on a long tensor then does the work of one on each parameter.
    """
    flat = torch.cat([value.detach().flatten(1) for value in params.values()], 1)
    for value, part in zip(params.values(), flat.split([v[0].numel() for v in params.values()], 1), strict=True):
        value.data = part.view(value.shape)
    return flat


class StackedAdam:
    """Adam (Kingma & Ba 2015) over stacked parameters, clipping each seed's gradient norm on its own.

    The parameters become views of ``flat`` (S, P). torch.optim's first step imports for most of a
    second; this one starts at once.
    """

    def __init__(self, params: Params, learning_rate: float, clip: float = 10.0) -> None:
        self.flat, self.learning_rate, self.clip = flattened(params), learning_rate, clip
        self.first, self.second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.count = 0

    @torch.no_grad()
    def step(self, grads: Sequence[Tensor]) -> Tensor:
        """Update by ``grads`` (in the order of the parameters); return the norm of each seed (S,)."""
        grad = torch.cat([g.flatten(1) for g in grads], 1)
        norm = (grad * grad).sum(1).sqrt_()
        grad *= (self.clip / (norm + 1e-6)).clamp_max_(1.0).unsqueeze(1)
        self.count += 1
        self.first.lerp_(grad, 0.1)
        self.second.mul_(0.999).addcmul_(grad, grad, value=0.001)
        root = self.second.sqrt().div_(math.sqrt(1 - 0.999**self.count)).add_(1e-8)
        self.flat.addcdiv_(self.first, root, value=-self.learning_rate / (1 - 0.9**self.count))
        return norm

    def tensors(self) -> Params:
        """Return the state as named tensors for a checkpoint."""
        return {"adam.first": self.first, "adam.second": self.second}

    def load(self, tensors: Mapping[str, Tensor], count: int) -> None:
        self.first.copy_(tensors["adam.first"])
        self.second.copy_(tensors["adam.second"])
        self.count = count
