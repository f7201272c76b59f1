"""Several assets and cash under the rules of their market: the account of the backtest, many copies at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from apps.strategies.engine.envs.base import Prices, Step
from apps.strategies.engine.envs.portfolio import PortfolioEnv
from apps.strategies.engine.envs.rules import Ledger, Tables, after_actions
from apps.strategies.engine.execution import Ruled

MONEY = torch.float64
#: A sum of many costs this part below the cash is still reckoned one by one, as the kernel does: it may round over it.
NEAR = 1e-9


class RuledPortfolioEnv(PortfolioEnv):
    """``PortfolioEnv`` whose orders are filled as ``backtest.weights.rebalance`` fills them.

    ``ruled`` holds the assets over the bars of ``prices``, of which only the features are seen. Targets are whole
    lots of weight x equity / close, decided for assets that trade; a row of NaN weights keeps what is held. At each
    open sells go first, then purchases in the order of the assets, each cut to the cash that is left; what is
    above an order maximum is split or, with ``ruled.refuse``, refused. At limit up nothing is bought, at limit down
    nothing sold, a suspended bar fills nothing, under T+1 nothing bought in a session is sold in it: those orders
    wait for the next bar, and the next decision replaces them. Fees are those of the day; dividends are paid and
    splits happen. Money is double precision and begins at ``capital``.
    """

    STATE = ("cash", "units", "equity", "target", "waiting", "bought")
    target: Tensor
    waiting: Tensor
    bought: Tensor

    def __init__(self, prices: Prices, *, ruled: Ruled, rebalance: int = 1, **options: Any) -> None:
        options.pop("cost_rate", None)
        super().__init__(prices, cost_rate=ruled.costs.rate, rebalance=rebalance, **options)
        tables = self._tables = Tables.of(ruled, self.device)
        self.capital = ruled.capital
        shape = (self.assets, self.copies)
        self.units, self.target, self.bought = torch.zeros(3, *shape, dtype=MONEY, device=self.device)
        self.waiting = torch.zeros(shape, dtype=torch.bool, device=self.device)
        self.cash, self.equity = torch.zeros(2, self.copies, dtype=MONEY, device=self.device)
        self.path = torch.zeros(rebalance, self.copies, dtype=MONEY, device=self.device)
        state = (self.units, self.target, self.bought, self.waiting, self.cash, self.equity, self.path)
        self._units, self._target, self._bought, self._waiting, self._cash, self._equity, self._path = map(
            self._raw, state
        )
        column = [self._raw(values.unsqueeze(1)) for values in (tables.minimum, tables.step, tables.settle)]
        self._minimum, self._lot, self._settle = column
        self._unit = self._raw(tables.step.clamp(max=1.0).unsqueeze(1))
        self._ledger = Ledger(tables, self._xp, self._minimum, self._lot)
        self._settles = bool(tables.settle.any()) and tables.intraday

    def _begin(self) -> None:
        start, count = self.first if self.starts is None else self.starts, self.horizon * self.rebalance + 1
        #: Row k of each is the k-th bar of the episode: (N, 1), or (N, B) with own starts.
        rows = {name: self._rows(table, start, count) for name, table in self._tables.rows.items()}
        self._bars = {name: self._raw(values) for name, values in rows.items()}
        self._marks = rows["mark"]
        self._actions_of = [
            tuple(self._raw(self._rows(layer, start, count)) for layer in pair)
            for pair in zip(self._tables.ratio, self._tables.payout, strict=True)
        ]
        eventful = self._tables.eventful
        self._eventful = (
            eventful[start : start + count]
            if isinstance(start, int)
            else [any(bool(((r[k] != 1.0) | (p[k] != 0.0)).any()) for r, p in self._actions_of) for k in range(count)]
        )
        self.cash.fill_(self.capital)
        self.equity.fill_(self.capital)
        for zero in (self.units, self.target, self.bought, self.waiting):
            zero.zero_()

    def account(self) -> Tensor:
        price = self._marks[self.done_steps * self.rebalance]
        weights = torch.cat([self.cash.unsqueeze(0), self.units * price])
        return weights.div_(self.equity).t().to(self.dtype)

    def step(self, action: Tensor) -> Step:
        """Hold ``action`` (B, N + 1) from the next open on, for ``rebalance`` bars."""
        bar = self.done_steps * self.rebalance
        rows = [{name: values[k] for name, values in self._bars.items()} for k in range(bar, bar + self.rebalance + 1)]
        self._decide(self._raw(action).T[1:], rows[0])
        for offset, row in enumerate(rows[1:]):
            if self._tables.owes:
                self._cash += self._ledger.owed(row, self._units, rows[offset]["mark"]).sum(0)
            if self._eventful[bar + offset + 1]:
                self._act(bar + offset + 1, row)
            self._fills(row, rows[offset])
            self._path[offset] = self._cash + (self._units * row["mark"]).sum(0)
        value = self._path[self.rebalance - 1]
        self._reward[...] = self._xp.log(value / self._equity)
        self._equity[...] = value
        self.done_steps += 1
        return Step(self.view, self.reward, self._no, self._ended(), {"equity": self.equity, "path": self.path})

    def _decide(self, weights: Any, row: dict[str, Any]) -> None:
        """Set the targets of the assets that trade at this close."""
        xp, ledger, held, unit = self._xp, self._ledger, self._units, self._unit
        told = ~xp.isnan(weights) & row["traded"]
        share = xp.where(weights > 0.0, weights, 0.0)
        wanted = xp.floor(self._equity * share / row["mark"] / unit) * unit
        bought = ledger.whole(xp.clip(wanted - held, 0.0, None))
        sold = ledger.sold(xp.clip(held - wanted, 0.0, None), held)
        target = held + xp.where(wanted < held, -sold, bought)
        self._target[...] = xp.where(told, target, self._target)
        self._waiting[...] = xp.where(told, self._target != held, self._waiting)

    def _act(self, k: int, row: dict[str, Any]) -> None:
        """Let dividends and splits happen to what is held and to the orders that wait."""
        xp, ledger = self._xp, self._ledger
        for ratios, payouts in self._actions_of:
            ratio, payout = ratios[k], payouts[k]
            happens = ((ratio != 1.0) | (payout != 0.0)) & (self._target >= 0.0)
            self._cash += (self._units * payout).sum(0)
            whole, part = after_actions(xp, ratio, self._units)
            self._cash += xp.where((ratio != 1.0) & (part != 0.0), part * row["opened"], 0.0).sum(0)
            self._units[...] = xp.where(happens & (ratio != 1.0), whole, self._units)
            self._bought[...] = xp.where(
                happens, xp.minimum(xp.floor(self._bought * ratio), self._units), self._bought
            )  # fmt: skip
            target, held = xp.where(happens, xp.floor(self._target * ratio), self._target), self._units
            bought = ledger.whole(xp.clip(target - held, 0.0, None))
            sold = ledger.sold(xp.clip(held - target, 0.0, None), held)
            again = happens & self._waiting
            target = xp.where(again, held + xp.where(target < held, -sold, bought), target)
            self._target[...] = target
            self._waiting[...] = xp.where(again, target != held, self._waiting)

    def _fills(self, row: dict[str, Any], before: dict[str, Any]) -> None:
        """Fill at an open what waits and can be met: sells first, then purchases."""
        xp, ledger = self._xp, self._ledger
        if self._settles:
            self._bought *= row["day"] == before["day"]
        change = self._target - self._units
        if "worth" in row:  # What closes a holding is sold whatever it is worth.
            self._waiting &= ~(ledger.small(row, xp.abs(change), row["opened"]) & row["opens"] & (self._target != 0.0))
        selling = self._waiting & (change < 0.0) & row["sells"]
        size = xp.where(selling, -change, 0.0)
        whole = selling
        if self._settles:
            free = xp.clip(self._units - self._bought, 0.0, None)
            late = selling & (self._settle != 0) & (self._bought > 0.0) & (size > free)
            size, whole = xp.where(late, xp.floor(free / self._lot) * self._lot, size), selling & ~late
        price = ledger.price(row, size, True)
        value = size * price
        paid = xp.where(size > 0.0, ledger.fee(row, size, price, 1.0), 0.0)
        self._cash += (value - paid).sum(0)
        self._units -= size
        if ledger.refuse:
            self._waiting &= ~((change > row["order"]) & row["opens"])
        buying = self._waiting & (change > 0.0) & row["buys"]
        self._waiting &= ~(whole | buying)
        size = xp.where(buying, change, 0.0)
        size = self._afforded(row, size)
        self._units += size
        if self._settles:
            self._bought += size

    def _afforded(self, row: dict[str, Any], size: Any) -> Any:
        """Pay for purchases of ``size`` (N, B) and return what the cash of each copy affords, asset after asset."""
        xp, price = self._xp, self._ledger.price(row, size, False)
        fee = xp.where(size > 0.0, self._ledger.fee(row, size, price, 0.0), 0.0)
        total = (size * price + fee).sum(0)
        tight = total > self._cash * (1.0 - NEAR)
        if self._on_cpu:
            who: Any = np.flatnonzero(tight)
            if not len(who):
                self._cash -= total
                return size
        else:
            who = tight.nonzero().squeeze(1)
        self._cash -= xp.where(tight, 0.0, total)
        size[:, who] = self._one_by_one(row, size[:, who], who)
        return size

    def _one_by_one(self, row: dict[str, Any], size: Any, who: Any) -> Any:
        """Buy for the copies ``who`` in the order of the assets while their cash lasts."""
        xp, cash = self._xp, self._cash[who]
        for n in range(self.assets):
            own = {name: values[n][who] if values.shape[1] > 1 else values[n] for name, values in row.items()}
            lots = self._single[n]
            wanted = size[n]
            price = lots.price(own, wanted, False)
            cost = wanted * price + lots.fee(own, wanted, price, 0.0)
            cut = xp.where(cost > cash, lots.affordable(own, wanted, price, 0.0, cash), wanted)
            cost = xp.where(cut > 0.0, cut * price + lots.fee(own, cut, price, 0.0), 0.0)
            cash = cash - cost
            size[n] = cut
        self._cash[who] = cash
        return size

    @property
    def _single(self) -> list[Ledger]:
        """The ledger of each asset alone."""
        if not hasattr(self, "_alone"):
            pairs = zip(self._minimum, self._lot, strict=True)
            self._alone = [Ledger(self._tables, self._xp, least, step) for least, step in pairs]
        return self._alone
