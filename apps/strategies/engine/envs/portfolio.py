"""Several assets and cash, held by target weights, with correct accounts."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from apps.strategies.engine.envs.base import BatchedEnv, Prices, Step


class PortfolioEnv(BatchedEnv):
    """Target weights of N assets and cash.

    ``action`` is (B, N + 1), cash first, not negative, summing to 1 (the caller's duty; see
    ``normalise``). Decided at the close of bar t: target units are weight x equity / close of t.
    Filled at the OPEN of bar t+1, sells before buys, buys cut in proportion to what cash affords;
    ``cost_rate`` is paid of the value traded in assets (moving cash costs nothing). Marked at the
    close of bar t+1. One step is ``rebalance`` bars; the reward is the log-return of equity over
    them. Nothing is owed, so nothing can be ruined.

    ``account`` is (B, N + 1): the weights held now, cash first. ``equity`` (B,) starts at 1;
    ``path`` (rebalance, B) is the equity after each bar of the last step. Internally assets come
    first, (N, B), which is what makes the arithmetic run along memory; an action given as the
    transpose of such a tensor is used without being moved.
    """

    STATE: ClassVar[tuple[str, ...]] = ("cash", "units", "equity")

    def __init__(self, prices: Prices, *, cost_rate: float = 0.001, rebalance: int = 1, **options: Any) -> None:
        self.rebalance = rebalance
        super().__init__(prices, **options)
        self.cost_rate = cost_rate
        self.horizon = max(self.horizon // rebalance, 1) if options.get("horizon") is None else options["horizon"]
        self.horizon = min(self.horizon, (self.last - self.first) // rebalance)
        if self.horizon < 1:
            raise ValueError(f"bars {self.first} to {self.last} leave no step of {rebalance} bars")
        self.units = self._empty(self.assets, self.copies)
        self.cash, self.equity, self.reward = self._empty(3, self.copies)
        self.path = self._empty(rebalance, self.copies)
        self._units, self._cash, self._equity, self._reward, self._path = map(
            self._raw, (self.units, self.cash, self.equity, self.reward, self.path)
        )
        self._spare = torch.empty_like(self.units)
        self._moved = self._raw(torch.empty_like(self.units))
        self._net, self._gross = self._raw(self._empty(2, self.copies))
        self._zero, self._one, self._tiny = self._raw(
            torch.tensor([0.0, 1.0, 1e-30], dtype=self.dtype, device=self.device)
        )

    @property
    def stride(self) -> int:
        return self.rebalance

    def _begin(self) -> None:
        start = self.first if self.starts is None else self.starts
        count = self.horizon * self.rebalance
        self._marks = self._rows(self._close, start, count + 1)
        # Row k belongs to the k-th bar: (N,) while all copies stand together, (N, B) with own starts.
        opens, marks = self._rows(self._open, start + 1, count), self._marks
        if self.starts is None:
            opens, marks = opens[:, :, 0], marks[:, :, 0]
        self._fill, self._mark = self._raw(opens), self._raw(marks)
        self._inverse = self._raw(self._marks.reciprocal())
        self.cash.fill_(1.0)
        self.equity.fill_(1.0)
        self.units.zero_()

    def account(self) -> Tensor:
        price = self._marks[self.done_steps * self.rebalance]
        weights = torch.cat([self.cash.unsqueeze(0), self.units * price])
        return weights.div_(self.equity).t()

    @staticmethod
    def normalise(action: Tensor) -> Tensor:
        """Return ``action`` (…, N + 1) as weights: negative parts dropped, sum 1; all cash where nothing is left."""
        weights = action.clamp(min=0.0)
        total = weights.sum(-1, keepdim=True)
        cash = torch.zeros_like(weights)
        cash[..., 0] = 1.0
        return torch.where(total > 0, weights / total.clamp(min=1e-30), cash)

    def step(self, action: Tensor) -> Step:
        """Hold ``action`` (B, N + 1) from the next open on, for ``rebalance`` bars."""
        bar = self.done_steps * self.rebalance
        if self._on_cpu and self.copies == 1:
            self._step_alone(self._raw(action)[0, 1:], bar)
        else:
            self._step_all(self._raw(action).T[1:], bar)
        self.done_steps += 1
        return Step(self.view, self.reward, self._no, self._ended(), {"equity": self.equity, "path": self.path})

    def _step_alone(self, weights: Any, bar: int) -> None:
        """The same for one copy, whose sums are plain numbers: three times as fast."""
        units, price = self._units[:, 0], self._fill[bar].reshape(-1)
        before = float(self._equity[0])
        target = weights * (self._inverse[bar, :, 0] * before)
        change = target - units
        cash = float(self._cash[0]) - float(change @ price) - self.cost_rate * float(np.abs(change) @ price)
        if cash < 0.0:
            bought = np.maximum(change, 0.0)
            paid = float(bought @ price) * (1.0 + self.cost_rate)
            part = min(-cash / paid, 1.0) if paid > 0.0 else 0.0
            target -= bought * part
            cash += part * paid
        units[:] = target
        self._cash[0] = cash
        for offset in range(self.rebalance):
            self._path[offset, 0] = after = float(target @ self._mark[bar + offset + 1].reshape(-1)) + cash
        self._reward[0] = math.log(after / before)
        self._equity[0] = after

    def _step_all(self, weights: Any, bar: int) -> None:
        self._trade(weights, bar)
        for offset in range(self.rebalance):
            value = self._path[offset]
            self._value(self._units, self._mark[bar + offset + 1], value)
            value += self._cash
        self._xp.divide(value, self._equity, out=self._reward)
        self._xp.log(self._reward, out=self._reward)
        self._equity[...] = value

    def _trade(self, weights: Any, bar: int) -> None:
        """Move from ``units`` to the targets at the open after ``bar``, paying for what moves."""
        xp, price, target, moved = self._xp, self._fill[bar], self._raw(self._spare), self._moved
        xp.multiply(weights, self._equity, out=target)
        target *= self._inverse[bar]
        xp.subtract(self._units, target, out=moved)
        self._value(moved, price, self._net)
        self._value(xp.abs(moved, out=moved), price, self._gross)
        self._gross *= self.cost_rate
        self._net -= self._gross
        self._cash += self._net
        # Asking a graphics card whose cash fell short would cost more than cutting nothing.
        if not self._on_cpu:
            self._cut(target, bar, slice(None))
        elif self._cash.min() < 0.0:
            self._cut(target, bar, np.flatnonzero(self._cash < 0.0))
        self.units, self._spare = self._spare, self.units
        self._units = target

    def _cut(self, target: Any, bar: int, who: Any) -> None:
        """Give back the part of the purchases that the cash of the copies ``who`` does not cover."""
        xp, price = self._xp, self._fill[bar]
        price = price[:, None] if self.starts is None else price[:, who]
        bought = xp.maximum(target[:, who] - self._units[:, who], self._zero)
        paid = (bought * price).sum(0) * (1.0 + self.cost_rate)
        part = xp.minimum(xp.maximum(-self._cash[who], self._zero) / xp.maximum(paid, self._tiny), self._one)
        target[:, who] -= bought * part
        self._cash[who] += part * paid

    def _value(self, units: Any, price: Any, out: Any) -> None:
        """Write units x price of each copy to ``out``; ``price`` is (N,), or (N, B) with own starts."""
        if self.starts is None:
            self._xp.matmul(units.T, price, out=out)
        else:
            self._xp.sum(units * price, 0, out=out)
