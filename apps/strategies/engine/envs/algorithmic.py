"""One asset, long, flat or short, with correct accounts."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from apps.strategies.engine.envs.base import BatchedEnv, Prices, Step

#: A copy whose equity falls to this share of its capital is ruined: closed out, and its episode ends.
RUIN = 0.01


class AlgorithmicTradingEnv(BatchedEnv):
    """The wanted side of one asset: action 0 … is short, flat, long (flat, long without ``allow_short``).

    Decided at the close of bar t, filled at the OPEN of bar t+1, marked at the close of bar t+1;
    the reward is the log-return of equity between the two closes. The size is set at the decision:
    ``exposure`` times the equity, priced at the close of t (or ``units``), cut at the fill to what
    cash affords; a held side is not resized. ``cost_rate`` is paid of the value traded. Opening a
    short brings its proceeds in as cash and owes the units: equity is always cash + units x price.
    A copy whose equity falls to ``RUIN`` of its capital at a close is ruined: its position is
    closed there, ``terminated`` is set, and from then on it holds that share and earns 0 (a loss
    beyond it is not carried, so that the reward stays finite).

    ``account`` is (B, 1): the side held; ``equity`` (B,) starts at ``capital``.
    """

    STATE: ClassVar[tuple[str, ...]] = ("cash", "units", "side", "equity", "alive")
    cash: Tensor
    units: Tensor
    side: Tensor
    equity: Tensor
    alive: Tensor
    reward: Tensor

    def __init__(
        self, prices: Prices, *, cost_rate: float = 0.001, allow_short: bool = False, exposure: float = 0.95,
        units: float | None = None, capital: float = 1.0, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(prices, **options)
        self.cost_rate, self.allow_short, self.exposure = cost_rate, allow_short, exposure
        self.fixed_units, self.capital = units, capital
        self.actions = 3 if allow_short else 2
        state = self._empty(6, self.copies)
        self.cash, self.units, self.side, self.equity, self.alive, self.reward = state
        self.terminated = torch.zeros(self.copies, dtype=torch.bool, device=self.device)
        self._cash, self._units, self._side, self._equity, self._alive, self._reward, self._terminated = map(
            self._raw, (self.cash, self.units, self.side, self.equity, self.alive, self.reward, self.terminated)
        )
        self._new_side, self._change, self._afford, self._next = self._raw(self._empty(4, self.copies))
        self._zero, self._floor = self._raw(torch.tensor([0.0, capital * RUIN], dtype=self.dtype, device=self.device))

    def _begin(self) -> None:
        start = self.first if self.starts is None else self.starts
        # Row k belongs to the k-th decision: the open it fills at, the close it is marked at, the units of 1 of equity.
        seen = self._rows(self._close, start, self.horizon)[:, 0]
        fill = self._rows(self._open, start + 1, self.horizon)[:, 0]
        self._fill, self._mark = self._raw(fill), self._raw(self._rows(self._close, start + 1, self.horizon)[:, 0])
        self._affordable = self._raw(1.0 / (fill * (1.0 + self.cost_rate)))
        self._size = self._raw(torch.full_like(seen, self.fixed_units) if self.fixed_units else self.exposure / seen)
        self.cash.fill_(self.capital)
        self.equity.fill_(self.capital)
        self.alive.fill_(1.0)
        self.units.zero_()
        self.side.zero_()

    def account(self) -> Tensor:
        return self.side.unsqueeze(1)

    def step(self, action: Tensor) -> Step:
        """Want side ``action`` (B,) (integers below ``actions``) from the next open on."""
        k, xp = self.done_steps, self._xp
        price, side, change, afford, after = self._fill[k], self._new_side, self._change, self._afford, self._next
        side[...] = self._raw(action)
        if self.allow_short:
            side -= 1.0
            side *= self._alive
        xp.multiply(side, self._size[k], out=change)
        if not self.fixed_units:
            change *= self._equity
        # A long costs its value and the fee; a short must be covered by as much cash.
        xp.multiply(self._units, price, out=afford)
        afford += self._cash
        afford *= self._affordable[k]
        if self.allow_short:  # one under water at the open can only be closed
            xp.maximum(afford, self._zero, out=afford)
        xp.minimum(change, afford, out=change)
        if self.allow_short:
            xp.maximum(change, xp.negative(afford, out=afford), out=change)
        change -= self._units
        change *= side != self._side
        self._units += change
        self._side[...] = side
        change *= price
        self._cash -= change
        xp.abs(change, out=change)
        change *= self.cost_rate
        self._cash -= change
        xp.multiply(self._units, self._mark[k], out=after)
        after += self._cash
        if self.allow_short:
            self._bury(after)
        xp.divide(after, self._equity, out=self._reward)
        xp.log(self._reward, out=self._reward)
        self._equity[...] = after
        self.done_steps = k + 1
        return Step(self.view, self.reward, self.terminated, self._ended(), {"equity": self.equity})

    def _bury(self, after: Any) -> None:
        """Close the copies whose equity is gone and leave them the floor."""
        gone = (after <= self._floor) & (self._alive > 0)
        self._terminated[...] = gone
        self._alive *= ~gone
        self._xp.maximum(after, self._floor, out=after)
        self._cash[...] = self._xp.where(self._alive > 0, self._cash, after)
        self._units *= self._alive
        self._side *= self._alive
