"""The rules of a market as environments obey them: tables by bar, and the kernel's arithmetic for many copies.

The formulas are those of ``backtest.permits`` and of the kernels, over arrays; property tests hold every account
to the kernel's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apps.strategies.engine.execution import Ruled
from apps.trading.engine.backtest.depth import MOST as MOST_LOST
from apps.trading.engine.backtest.market import SAME, Market
from apps.trading.engine.costs import Costs
from apps.trading.engine.rules.schedule import BOTH, MARKET_ORDER, MOST_SOLD, SELL, SHARE_SOLD

Array = NDArray[Any]
#: Stands for a volume that nobody knows: whatever is ordered takes all of it.
UNKNOWN = 1e-9


def met(price: Array, up: Array, down: Array) -> tuple[Array, Array]:
    """Return whether a purchase and a sale at ``price`` are met: ``permits.open_to`` over arrays."""
    traded = (price > 0.0) & ~(price > up + up * SAME) & ~(price < down - down * SAME)
    return traded & ~(price >= up - up * SAME), traded & ~(price <= down + down * SAME)


def inside(price: Array, up: Array, down: Array) -> Array:
    """Return ``price`` moved into the limits (``permits.inside`` over arrays)."""
    price = np.where(price > up, up, price)
    return np.where(price < down, down, price)


def newest(close: Array) -> Array:
    """Return the newest close (N, T) at each bar; before the first one 1, which nothing is valued at."""
    at = np.maximum.accumulate(np.where(close > 0, np.arange(close.shape[1]), -1), axis=1)
    return np.where(at >= 0, np.take_along_axis(close, np.maximum(at, 0), axis=1), 1.0)


@dataclass(frozen=True)
class Tables:
    """What holds at each bar, every array (T, N): whether a purchase or a sale is met and its price, charges.

    ``traded`` False: suspended. ``ratio`` and ``payout`` (K, T, N) are the corporate actions of a bar in their
    order, K the most of one; ``eventful`` (T,) tells where there is any.
    """

    rows: dict[str, Tensor]
    ratio: Tensor
    payout: Tensor
    eventful: list[bool]
    minimum: Tensor
    step: Tensor
    settle: Tensor
    costs: Costs
    #: Whether a session has several bars, so that shares bought in it may have to wait.
    intraday: bool
    by_share: bool
    #: Whether one order may hold only so many shares somewhere, and whether a larger one is refused (or split).
    bounded: bool
    refuse: bool
    #: Whether holding itself costs something: funding, or the borrow fee of a short.
    owes: bool

    @classmethod
    def of(cls, ruled: Ruled, device: torch.device, *, alone: bool = False) -> Tables:
        """Build the tables; ``alone``: of one instrument, whose nights without trading are owed when it trades."""
        if device.type == "mps":
            raise ValueError("accounts under market rules need double precision, which mps devices lack")
        open_, close = np.ascontiguousarray(ruled.open), np.ascontiguousarray(ruled.close)
        market = ruled.market.when_traded(open_, close).levied(ruled.costs.levies)
        up, down = market.up, market.down
        buys, sells = met(open_, up, down)
        opened = np.where(open_ > 0, open_, 1.0)
        slip, sized = _slippage(ruled, opened)
        charges = market.charges[market.board]  # (N, T, 4)
        traded = (open_ > 0) & (close > 0)
        lend, funding = _owed(market, ruled.costs, traded[0] if alone else None)
        day = np.broadcast_to(market.day, open_.shape)
        arrays = {
            "traded": traded, "lend": np.broadcast_to(lend, open_.shape), "funding": funding,
            "buys": buys, "sells": sells,
            "buy_at": inside(opened * (1.0 + slip), up, down), "sell_at": inside(opened * (1.0 - slip), up, down),
            "mark": newest(close), "opened": opened, "opens": open_ > 0, "day": day,
            "both": charges[:, :, BOTH], "sale": charges[:, :, SELL] + ruled.costs.sell_tax,
            "share": charges[:, :, SHARE_SOLD], "most": charges[:, :, MOST_SOLD],
            "order": np.stack([market.most(s, MARKET_ORDER) for s in range(len(open_))]),
            **({"up": up, "down": down, **sized} if sized else {}), **_worth(market, open_.shape),
        }  # fmt: skip
        ratio, payout = _layers(market.events, open_.shape)

        def tensor(values: Array) -> Tensor:
            return torch.tensor(np.ascontiguousarray(values), device=device)

        return cls(
            {name: tensor(values.T) for name, values in arrays.items()}, tensor(ratio), tensor(payout),
            ((ratio != 1.0) | (payout != 0.0)).any(axis=(0, 2)).tolist(), tensor(market.minimum), tensor(market.step),
            tensor(market.settle), ruled.costs, bool((market.day[1:] == market.day[:-1]).any()),
            bool((charges[:, :, SHARE_SOLD] != 0.0).any()), bool(np.isfinite(arrays["order"]).any()), ruled.refuse,
            bool(lend.any() or funding.any()),
        )  # fmt: skip


def _worth(market: Market, shape: tuple[int, ...]) -> dict[str, Array]:
    """Return the least value (N, T) of an order, where the market asks for any."""
    if market.least_value is None or not market.least_value.any():
        return {}
    return {"worth": np.broadcast_to(np.asarray(market.least_value)[:, None], shape)}


def _slippage(ruled: Ruled, opened: Array) -> tuple[Array, dict[str, Array]]:
    """Return the part of the price (N, T) that an order loses whatever its size, and what else tells it by its size.

    The latter is empty where no model follows the size: prices are then known before the episode begins.
    """
    costs, depth = ruled.costs, ruled.depth
    if depth is None and (costs.volume_impact or costs.root_impact):
        raise ValueError("a slippage by volume needs volumes")
    spread = costs.spread / 2.0 / opened
    if depth is None or not (costs.volume_impact or costs.root_impact):
        return costs.slippage + np.minimum(spread, MOST_LOST), {}
    volume = np.where(depth.volume > 0.0, depth.volume, UNKNOWN)
    return costs.slippage + spread * 0.0, {"spread": spread, "volume": volume, "wild": depth.volatility}


def _owed(market: Market, costs: Costs, traded: Array | None) -> tuple[Array, Array]:
    """Return the borrow fee (T,) and the funding (N, T) owed at the start of each bar, parts of a holding's value."""
    count = len(market.day)
    kept = np.arange(count) if traded is None else np.flatnonzero(traded)
    lend, funding = np.zeros(count), np.zeros((len(market.board), count))
    owed = market.at(kept).owed(costs)
    if owed is not None:
        lend[kept], funding[:, kept] = owed
    return lend, funding


def _layers(events: Any, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Return ratios and payouts (K, T, N) of the events, those of one bar and instrument in their order."""
    seen: dict[tuple[int, int], int] = {}
    placed = []
    for event in events:
        key = (event.bar, event.symbol)
        seen[key] = seen.get(key, 0) + 1
        placed.append((seen[key] - 1, event))
    ratio = np.ones((max(seen.values(), default=0), shape[1], shape[0]))
    payout = np.zeros(ratio.shape)
    for layer, event in placed:
        ratio[layer, event.bar, event.symbol], payout[layer, event.bar, event.symbol] = event.ratio, event.payout
    return ratio, payout


class Ledger:
    """The kernel's arithmetic over arrays: ``row`` holds the tables of one bar, ``xp`` is numpy or torch."""

    def __init__(self, tables: Tables, xp: Any, minimum: Any, step: Any) -> None:
        self.costs, self.by_share, self.xp = tables.costs, tables.by_share, xp
        self.bounded, self.refuse = tables.bounded, tables.refuse and tables.bounded
        self.minimum, self.step = minimum, step

    def price(self, row: Any, size: Any, sell: Any) -> Any:
        """Return the price an order of ``size`` at the market gets; ``sell`` (one or an array) is true where it sells.

        ``taking.lost_in`` over arrays, for the size that is ordered: what cash cuts later was asked for.
        """
        xp, costs = self.xp, self.costs
        if "wild" not in row:
            if isinstance(sell, bool):
                return row["sell_at" if sell else "buy_at"]
            return xp.where(sell, row["sell_at"], row["buy_at"])
        share = xp.clip(size / row["volume"], None, 1.0)
        lost = row["spread"] + costs.volume_impact * share * share
        if costs.root_impact:
            lost = lost + costs.root_impact * row["wild"] * xp.sqrt(share)
        lost = costs.slippage + xp.clip(lost, None, MOST_LOST)
        price = row["opened"] * (1.0 + lost * (1.0 - 2.0 * sell))
        price = xp.where(price > row["up"], row["up"], price)
        return xp.where(price < row["down"], row["down"], price)

    def fee(self, row: Any, size: Any, price: Any, sell: Any) -> Any:
        """Return commission, tax and charges of trading ``size`` in as many orders as it takes.

        ``sell`` is 1 where it sells, else 0.
        """
        whole = self._fee(row, size, price, sell)
        if not self.bounded or not (size > row["order"]).any():
            return whole
        xp, most = self.xp, row["order"]
        left, total = size + 0.0 * whole, 0.0 * whole
        while (left > 0.0).any():
            short = xp.where(left - most < self.minimum, left - self.minimum, most)
            part = xp.where(left > most, short, left)
            total = total + xp.where(part > 0.0, self._fee(row, part, price, sell), 0.0)
            left = left - part
        return xp.where(size > most, total, whole)

    def owed(self, row: Any, held: Any, mark: Any) -> Any:
        """Return what is received (negative: paid) at the start of a bar for ``held``, each worth ``mark``."""
        return held * mark * (self.xp.where(held < 0.0, row["lend"], 0.0) - row["funding"])

    def _fee(self, row: Any, size: Any, price: Any, sell: Any) -> Any:
        """Return what one order owes."""
        value = size * price
        fee = value * self.costs.rate
        if self.costs.per_share:
            fee = fee + size * self.costs.per_share
        if self.costs.minimum:
            fee = self.xp.clip(fee, self.costs.minimum, None)
        fee = fee + value * (row["both"] + sell * row["sale"])
        return fee + sell * self.xp.minimum(size * row["share"], row["most"]) if self.by_share else fee

    def whole(self, size: Any) -> Any:
        """Return the largest quantity that may be bought up to ``size``."""
        least, step = self.minimum, self.step
        return self.xp.where(size < least, 0.0, least + self.xp.floor((size - least) / step) * step)

    def sold(self, size: Any, held: Any) -> Any:
        """Return the largest quantity up to ``size`` that a holder of ``held`` may sell: all, or whole lots and
        the odd remainder of the holding."""
        step, floor = self.step, self.xp.floor
        whole, odd = floor(size / step) * step, held - floor(held / step) * step
        with_odd = self.xp.where(size >= odd, odd + floor((size - odd) / step) * step, whole)
        return self.xp.where(size >= held, held, self.xp.maximum(whole, with_odd))

    def affordable(self, row: Any, size: Any, price: Any, sell: Any, cash: Any) -> Any:
        """Return the largest whole number of lots up to ``size`` (itself one) whose value and fee fit in ``cash``; 0
        where that is worth less than the market's least order.

        The bound by formula may be off by its rounding, so its neighbours are tried.
        """
        xp, costs = self.xp, self.costs
        rest = price * (1.0 + row["both"] + sell * row["sale"])
        rated = rest + price * costs.rate + costs.per_share
        bound = xp.minimum(cash / rated, (cash - costs.minimum) / rest)
        if self.by_share:
            share = sell * row["share"]
            linear = xp.minimum(cash / (rated + share), (cash - costs.minimum) / (rest + share))
            most = xp.where(share > 0.0, row["most"], 0.0)
            capped = xp.minimum((cash - most) / rated, (cash - costs.minimum - most) / rest)
            bound = xp.where(share > 0.0, xp.maximum(linear, capped), bound)
        found = self.whole(xp.minimum(size, xp.clip(bound, 0.0, None)))
        above = xp.where(found > 0.0, found + self.step, self.minimum + 0.0 * found)

        def fits(quantity: Any) -> Any:
            return quantity * price + self.fee(row, quantity, price, sell) <= cash

        found = xp.where((above <= size) & fits(above), above, found)
        while True:  # A split order owes more than the bound knows: a few lots less.
            over = (found > 0.0) & ~fits(found)
            if not over.any():
                break
            below = found - self.step
            found = xp.where(over, xp.where(below >= self.minimum, below, 0.0), found)
        return xp.where(self.small(row, found, price), 0.0, found) if "worth" in row else found

    @staticmethod
    def small(row: Any, size: Any, price: Any) -> Any:
        """Return whether an order is worth less than the market takes; only where ``row`` says how much that is."""
        return size * price < row["worth"]


def after_actions(xp: Any, ratio: Any, held: Any) -> tuple[Any, Any]:
    """Return the whole shares that ``held`` become and the fraction paid out in cash (signed like ``held``)."""
    exact = xp.abs(held) * ratio
    whole = xp.floor(exact + 1e-9)
    return xp.sign(held) * whole, xp.sign(held) * xp.clip(exact - whole, 0.0, None)
