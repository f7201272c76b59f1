"""What every batched environment shares: prices, the clock, windows as views, the life of an episode.

State lives in torch tensors on the device asked for. On the CPU the arithmetic of a step runs in
numpy on the same memory (``_raw``): with operators and function names that both libraries share
it is written once, and a call of numpy costs a third of a call of torch on few copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Prices:
    """Open and close of N assets over T bars, (T, N) float64, without gaps; ``features`` (T, N, F) float32."""

    open: NDArray[np.float64]
    close: NDArray[np.float64]
    features: NDArray[np.float32]


class Observation:
    """What the copies see now, computed when it is read; read it before the next step.

    ``market`` (B, N, F, W): the last W bars' features, a view of one shared array while all copies
    stand at the same bar; ``account`` (B, P): what each copy holds.
    """

    __slots__ = ("_env",)

    def __init__(self, env: BatchedEnv) -> None:
        self._env = env

    @property
    def market(self) -> Tensor:
        return self._env.market()

    @property
    def account(self) -> Tensor:
        return self._env.account()

    def flat(self) -> Tensor:
        """Return both as one matrix (B, N * F * W + P), copied."""
        return torch.cat([self.market.flatten(1), self.account], 1)


class Step(NamedTuple):
    """One step of all copies: ``reward``, ``terminated`` (ruin) and ``truncated`` (end of data) are (B,)."""

    observation: Observation
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    info: Mapping[str, Any]


class BatchedEnv:
    """B copies of one task on one device, stepped together.

    Decisions are made at the closes of bars ``first`` … ``last - 1``; the last mark is the close
    of bar ``last``. With ``random_start`` each copy begins at its own bar, drawn with the seed of
    ``reset`` (the draw is made on the CPU, so it is the same on every device), and an episode
    takes ``horizon`` steps. Tensors returned by ``step`` are overwritten by the next step.
    """

    #: Names of the tensors that are the state of an episode, for checkpoints.
    STATE: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, prices: Prices, *, copies: int = 1, window: int = 1, first: int | None = None, last: int | None = None,
        horizon: int | None = None, random_start: bool = False, device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.copies, self.window, self.device, self.dtype = copies, window, torch.device(device), dtype
        self.first = window - 1 if first is None else first
        self.last = len(prices.close) - 1 if last is None else last
        self.horizon = self.last - self.first if horizon is None else min(horizon, self.last - self.first)
        self.random_start = random_start
        if self.first < window - 1 or self.horizon < 1:
            raise ValueError(f"bars {self.first} to {self.last} leave no step with a window of {window}")
        self.assets = prices.close.shape[1]
        self.features = self._tensor(prices.features)
        #: (T - W + 1, N, F, W): the window that ends at bar t is ``windows[t - W + 1]``.
        self.windows = self.features.unfold(0, window, 1)
        self._open, self._close = self._tensor(prices.open), self._tensor(prices.close)
        self._no = torch.zeros(copies, dtype=torch.bool, device=self.device)
        self._yes = torch.ones(copies, dtype=torch.bool, device=self.device)
        self.starts: Tensor | None = None
        self._on_cpu = self.device.type == "cpu"
        #: The library of the arithmetic: functions called here exist in both under one name.
        self._xp: Any = np if self._on_cpu else torch
        self.view = Observation(self)
        self.done_steps = 0

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        """Return a tensor of ``values``; arrays of a dataset are read-only maps of a file, so they are copied."""
        return torch.tensor(values, dtype=self.dtype, device=self.device)

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(*shape, dtype=self.dtype, device=self.device)

    def _raw(self, tensor: Tensor) -> Any:
        """Return what the arithmetic works on: the tensor's own memory as a numpy array on the CPU."""
        return tensor.numpy() if self._on_cpu else tensor

    # -- the clock ----------------------------------------------------------------------------

    @property
    def bar(self) -> int | Tensor:
        """The bar at whose close the next decision falls: a number, or (B,) with random starts."""
        start = self.first if self.starts is None else self.starts
        return start + self.done_steps * self.stride

    @property
    def stride(self) -> int:
        """Bars of one step."""
        return 1

    def reset(self, seed: int | None = None) -> Observation:
        """Begin an episode; the same seed gives the same starts."""
        self.done_steps = 0
        if self.random_start:
            generator = torch.Generator().manual_seed(0 if seed is None else seed)
            choices = self.last - self.first - self.horizon * self.stride + 1
            drawn = torch.randint(choices, (self.copies,), generator=generator)
            self.starts = (drawn + self.first).to(self.device)
        self._begin()
        return self.view

    def market(self) -> Tensor:
        """Return the windows that end at the bar of each copy, (B, N, F, W)."""
        bar = self.bar
        if isinstance(bar, int):
            return self.windows[bar - self.window + 1].expand(self.copies, -1, -1, -1)
        return self.windows[bar - self.window + 1]

    def _rows(self, values: Tensor, start: int | Tensor, count: int) -> Tensor:
        """Return ``count`` bars of (T, N) ``values`` as (count, N, 1), or (count, N, B) with own starts."""
        if isinstance(start, int):
            return values[start : start + count].unsqueeze(2)
        steps = torch.arange(count, device=self.device).unsqueeze(1)
        return values[start.unsqueeze(0) + steps].transpose(1, 2).contiguous()

    # -- for subclasses -----------------------------------------------------------------------

    def _begin(self) -> None:
        raise NotImplementedError

    def account(self) -> Tensor:
        """Return what each copy holds, (B, P)."""
        raise NotImplementedError

    def step(self, action: Tensor) -> Step:
        """Act at the current close and move all copies on."""
        raise NotImplementedError

    def _ended(self) -> Tensor:
        return self._yes if self.done_steps >= self.horizon else self._no

    # -- checkpoints --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of the tensors that an interrupted episode needs to go on."""
        state = {name: getattr(self, name).clone() for name in self.STATE}
        state["done_steps"] = torch.tensor(self.done_steps)
        if self.starts is not None:
            state["starts"] = self.starts.clone()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue the episode that ``state_dict`` described."""
        if "starts" in state:
            self.starts = state["starts"].to(self.device)
        self._begin()
        self.done_steps = int(state["done_steps"])
        for name in self.STATE:
            getattr(self, name).copy_(state[name])
