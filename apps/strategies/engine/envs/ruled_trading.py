"""One asset under the rules of its market: the account of the backtest, step by step and many copies at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from apps.strategies.engine.envs.algorithmic import RUIN, AlgorithmicTradingEnv
from apps.strategies.engine.envs.base import Prices, Step
from apps.strategies.engine.envs.rules import Ledger, Tables, after_actions
from apps.strategies.engine.execution import Ruled

MONEY = torch.float64


class RuledTradingEnv(AlgorithmicTradingEnv):
    """``AlgorithmicTradingEnv`` whose orders are filled as ``backtest.kernel.simulate`` fills them.

    ``ruled`` holds one instrument over the bars of ``prices``, of which only the features are seen. A side wanted
    is sized at the close (``exposure`` times equity, or ``units``, in whole lots) and filled at the next open that
    trades; at limit up nothing is bought, at limit down nothing sold, a suspended bar fills nothing, under T+1
    nothing bought in a session is sold in it: the order waits until it can be filled or another side is wanted.
    Purchases are cut to the cash in whole lots; what is above an order maximum is split or, with ``ruled.refuse``,
    refused; fees are those of the day; dividends are paid and splits happen.
    ``side`` (and the account the agent sees) is what is held, not what is wanted. Money is double precision.
    """

    STATE = ("cash", "units", "side", "equity", "alive", "wanted", "size", "pending", "entered")
    wanted: Tensor
    size: Tensor
    pending: Tensor
    entered: Tensor

    def __init__(
        self, prices: Prices, *, ruled: Ruled, allow_short: bool = False, exposure: float = 1.0,
        units: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        options.pop("cost_rate", None)
        super().__init__(
            prices, cost_rate=ruled.costs.rate, allow_short=allow_short, exposure=exposure, units=units,
            capital=ruled.capital, **options,
        )  # fmt: skip
        tables = self._tables = Tables.of(ruled, self.device, alone=True)
        shape = {"dtype": MONEY, "device": self.device}
        self.cash, self.units, self.equity = torch.zeros(3, self.copies, **shape)  # type: ignore[call-overload]
        self.wanted, self.size, self.alive = torch.zeros(3, self.copies, **shape)  # type: ignore[call-overload]
        self.pending = torch.zeros(self.copies, dtype=torch.bool, device=self.device)
        self.entered = torch.full((self.copies,), -1, dtype=torch.int64, device=self.device)
        state = (self.cash, self.units, self.equity, self.wanted, self.size, self.alive, self.pending, self.entered)
        self._cash, self._units, self._equity, self._wanted, self._size, self._alive, self._pending, self._entered = (
            map(self._raw, state)
        )
        self._ledger = Ledger(tables, self._xp, *map(self._raw, (tables.minimum, tables.step)))
        self._settles = bool(tables.settle.any()) and tables.intraday

    def _begin(self) -> None:
        start, count = self.first if self.starts is None else self.starts, self.horizon + 1
        #: Row k of each is the k-th bar of the episode: (1,), or (B,) with own starts.
        self._bars = {n: self._raw(self._rows(t, start, count)[:, 0]) for n, t in self._tables.rows.items()}
        self._actions_of = [
            tuple(self._raw(self._rows(layer, start, count)[:, 0]) for layer in pair)
            for pair in zip(self._tables.ratio, self._tables.payout, strict=True)
        ]
        self._eventful = self._when_eventful(start, count)
        self.cash.fill_(self.capital)
        self.equity.fill_(self.capital)
        self.alive.fill_(1.0)
        self.entered.fill_(-1)
        for zero in (self.units, self.wanted, self.size, self.side, self.pending):
            zero.zero_()

    def _when_eventful(self, start: int | Tensor, count: int) -> list[bool]:
        if isinstance(start, int):
            return self._tables.eventful[start : start + count]
        return [
            any(bool((r[k] != 1.0).any() or (p[k] != 0.0).any()) for r, p in self._actions_of) for k in range(count)
        ]

    def step(self, action: Tensor) -> Step:
        """Want side ``action`` (B,) (integers below ``actions``) from the next open that trades on."""
        k, xp = self.done_steps, self._xp
        row = {name: rows[k + 1] for name, rows in self._bars.items()}
        self._decide(self._raw(action), {name: rows[k] for name, rows in self._bars.items()})
        if self._tables.owes:
            self._cash += self._ledger.owed(row, self._units, self._bars["mark"][k])
        if self._eventful[k + 1]:
            self._act(k + 1, row)
        self._close_out(row)
        self._open_up(row)
        after = self._cash + self._units * row["mark"]
        self._side[...] = xp.sign(self._units)
        if self.allow_short:
            self._bury(after)
            after = xp.where(after > self.capital * RUIN, after, self.capital * RUIN)
        self._reward[...] = xp.log(after / self._equity)
        self._equity[...] = after
        self.done_steps = k + 1
        return Step(self.view, self.reward, self.terminated, self._ended(), {"equity": self.equity})

    def _decide(self, action: Any, row: dict[str, Any]) -> None:
        """Take the decision at a close: another side becomes an order, the one held withdraws what waits."""
        xp = self._xp
        asked = (action - 1.0 if self.allow_short else action + 0.0) * self._alive
        amount = self.fixed_units if self.fixed_units else self.exposure * self._equity / row["mark"]
        size = self._ledger.whole(amount + 0.0 * self._equity)
        wanted = xp.where(size > 0.0, asked, 0.0)
        other, listens = asked != xp.sign(self._units), row["traded"]
        self._wanted[...] = xp.where(listens & other, wanted, self._wanted)
        self._size[...] = xp.where(listens & other, size, self._size)
        waits = other & ((wanted != 0.0) | (self._units != 0.0))
        self._pending[...] = xp.where(listens, waits, self._pending)

    def _act(self, k: int, row: dict[str, Any]) -> None:
        """Let dividends and splits happen to what is held and to the order that waits."""
        xp = self._xp
        for ratios, payouts in self._actions_of:
            ratio, payout = ratios[k], payouts[k]
            self._cash += self._units * payout
            whole, part = after_actions(xp, ratio, self._units)
            split = (ratio != 1.0) & (self._units != 0.0)
            self._cash += xp.where(split, part * row["opened"], 0.0)
            self._units[...] = xp.where(split, whole, self._units)
            self._size[...] = xp.where(ratio != 1.0, self._ledger.whole(self._size * ratio), self._size)

    def _close_out(self, row: dict[str, Any]) -> None:
        """Close what is held where another side is wanted and somebody can be met."""
        xp = self._xp
        long = self._units > 0.0
        done = self._pending & (self._units != 0.0) & row["traded"] & xp.where(long, row["sells"], row["buys"])
        if self._settles:
            done = done & (~long | (self._entered != row["day"]))
        size, sell = xp.abs(self._units), 1.0 * long
        price = self._ledger.price(row, size, long)
        fee = self._ledger.fee(row, size * done, price, sell)
        self._cash += xp.where(done, self._units * price - fee, 0.0)
        self._units *= ~done

    def _open_up(self, row: dict[str, Any]) -> None:
        """Open the side wanted where nothing is held, cut to what cash affords."""
        xp = self._xp
        ready = self._pending & (self._units == 0.0) & row["traded"]
        short = self._wanted < 0.0
        met = xp.where(short, row["sells"], row["buys"])
        opens = ready & (self._wanted != 0.0)
        if self._ledger.refuse:
            opens = opens & ~(self._size > row["order"])
        if "worth" in row:
            opens = opens & ~self._ledger.small(row, self._size, row["opened"])
        filled = opens & met
        price, sell = self._ledger.price(row, self._size, short), 1.0 * short
        size = self._size * filled
        cost = size * price + self._ledger.fee(row, size, price, sell)
        tight = filled & (cost > self._cash)
        if not self._on_cpu or tight.any():
            size = xp.where(tight, self._ledger.affordable(row, size, price, sell, self._cash), size)
            cost = size * price + self._ledger.fee(row, size, price, sell)
        filled = filled & (size > 0.0)
        self._units[...] = xp.where(filled, self._wanted * size, self._units)
        fee = cost - size * price
        self._cash -= xp.where(filled, self._wanted * size * price + fee, 0.0)
        self._entered[...] = xp.where(filled, row["day"], self._entered)
        self._pending &= ~ready | (opens & ~met)

    def _bury(self, after: Any) -> None:
        """Close the copies whose equity is gone and leave them the floor."""
        xp, floor = self._xp, self.capital * RUIN
        gone = (after <= floor) & (self._alive > 0.0)
        self._terminated[...] = gone
        self._alive *= ~gone
        dead = self._alive == 0.0
        self._cash[...] = xp.where(dead, floor, self._cash)
        self._units *= ~dead
        self._pending &= ~dead
        self._side[...] = xp.sign(self._units)
