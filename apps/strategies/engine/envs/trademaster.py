"""TradeMaster's environments step by step, errors included, to compare with its published figures.

Known errors that are repeated on purpose: a short costs cash to open and is subtracted again from
the value; the reward looks ``forward`` bars ahead; the fee counts the move of cash; the call after
the last step ignores the action and returns the previous reward once more.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from apps.strategies.engine.envs.base import BatchedEnv, Prices, Step


class TradeMasterAlgorithmicEnv(BatchedEnv):
    """Algorithmic trading: action 0 … 2 x ``max_volume`` changes the volume by -max … +max units at the close.

    ``forward`` bars at the end of the data are only looked at by the reward (and one is never used). ``account`` is
    (B, 2): cash as a share of the initial amount, and the volume held.
    """

    STATE = ("cash", "volume", "equity", "reward")
    cash: Tensor
    volume: Tensor
    equity: Tensor
    reward: Tensor

    def __init__(
        self, prices: Prices, *, cost_rate: float = 0.001, initial: float = 100_000.0, max_volume: int = 1,
        forward: int = 5, future_weight: float = 0.2, **options: Any,
    ) -> None:  # fmt: skip
        last = options.pop("last", None)
        last = len(prices.close) - 1 if last is None else last
        super().__init__(prices, last=last - forward - 1, **options)
        self.cost_rate, self.initial, self.max_volume = cost_rate, initial, max_volume
        self.forward, self.future_weight, self.actions = forward, future_weight, 2 * max_volume + 1
        self.cash, self.volume, self.equity, self.reward = self._empty(4, self.copies)

    @property
    def side(self) -> Tensor:
        """The side held, (B,) of -1, 0, 1."""
        return self.volume.sign()

    def _begin(self) -> None:
        start = self.first if self.starts is None else self.starts
        close = self._rows(self._close, start, self.horizon + self.forward)[:, 0]
        self._price = close
        self._gain = (close[1 : self.horizon + 1] - close[: self.horizon]) + self.future_weight * (
            close[self.forward : self.forward + self.horizon] - close[: self.horizon]
        )
        self.cash.fill_(self.initial)
        self.equity.fill_(self.initial)
        self.volume.zero_()
        self.reward.zero_()

    def account(self) -> Tensor:
        return torch.stack([self.cash / self.initial, self.volume], 1)

    def step(self, action: Tensor) -> Step:
        """Change the volume by ``action - max_volume``; past the end nothing happens and the last reward repeats."""
        k = self.done_steps
        if k >= self.horizon:
            return Step(self.view, self.reward, self._no, self._yes, {"equity": self.equity})
        price, kept = self._price[k], 1.0 - self.cost_rate
        change = action.to(self.dtype) - self.max_volume
        held = self.volume + change
        freed = self.volume.abs() - held.abs()
        cost = price / kept
        # A purchase beyond the cash is cut to whole units; it costs a full unit's price either way.
        afford = torch.trunc(self.cash / cost)
        cut = (freed <= 0) & (self.cash <= change.abs() * cost)
        change = torch.where(cut, change.sign() * afford, change)
        spent = torch.where(freed > 0, -freed * price * kept, change.abs() * cost)
        self.cash.sub_(spent)
        self.volume.add_(change)
        torch.mul(self.volume, self._gain[k], out=self.reward)
        torch.addcmul(self.cash, self.volume, self._price[k + 1], out=self.equity)
        self.done_steps = k + 1
        info = {"equity": self.equity, "profit": self.volume * (self._price[k + 1] - price)}
        return Step(self.view, self.reward, self._no, self._ended(), info)


Variant = Literal["portfolio", "eiie", "deeptrader"]


class TradeMasterPortfolioEnv(BatchedEnv):
    """Portfolio management in three variants, which differ in action, reward and first weights.

    ``portfolio``: logits (B, N + 1), cash first, softmax inside, reward the change of value, all
    cash at first. ``eiie``: weights (B, N + 1), reward its log, uniform at first. ``deeptrader``:
    signed weights (B, N) without cash, reward the change of value, uniform at first.
    """

    STATE = ("weights", "equity", "reward")
    equity: Tensor
    reward: Tensor

    def __init__(
        self, prices: Prices, *, cost_rate: float = 0.001, initial: float = 100_000.0, variant: Variant = "portfolio",
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(prices, **options)
        self.cost_rate, self.initial, self.variant = cost_rate, initial, variant
        self.slots = self.assets + (variant != "deeptrader")
        self.weights = self._empty(self.copies, self.slots)
        self.equity, self.reward = self._empty(2, self.copies)

    def _begin(self) -> None:
        start = self.first if self.starts is None else self.starts
        close = self._rows(self._close, start, self.horizon + 1).transpose(1, 2)
        ratio = close[1:] / close[:-1]
        if self.slots > self.assets:
            ratio = torch.cat([torch.ones_like(ratio[..., :1]), ratio], -1)
        self._ratio = ratio
        self.weights.fill_(1.0 / self.slots)
        if self.variant == "portfolio":
            self.weights.zero_()
            self.weights[:, 0] = 1.0
        self.equity.fill_(self.initial)
        self.reward.zero_()

    def account(self) -> Tensor:
        return self.weights

    def step(self, action: Tensor) -> Step:
        """Hold what ``action`` says for one bar; past the end nothing happens and the last reward repeats
        (0 in the two variants that return it so)."""
        k = self.done_steps
        if k >= self.horizon:
            if self.variant != "portfolio":
                self.reward.zero_()
            return Step(self.view, self.reward, self._no, self._yes, {"equity": self.equity})
        wanted = torch.softmax(action, 1) if self.variant == "portfolio" else action
        fee = (self.weights - wanted).abs_().sum(1).mul_(self.cost_rate)
        drifted = wanted * self._ratio[k]
        grown = 1.0 + (drifted - wanted).sum(1)
        torch.div(drifted, drifted.sum(1, keepdim=True), out=self.weights)
        after = (1.0 - fee).mul_(grown).mul_(self.equity)
        torch.sub(after.log() if self.variant == "eiie" else after,
                  self.equity.log() if self.variant == "eiie" else self.equity, out=self.reward)  # fmt: skip
        self.equity.copy_(after)
        self.done_steps = k + 1
        return Step(self.view, self.reward, self._no, self._ended(), {"equity": self.equity})
