"""Orders of the third door: what may be asked for, how a bar fills it, and what slippage takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

from apps.trading.engine.backtest.permits import child_of, whole_lots

Kind = Literal["market", "limit", "stop", "stop_limit", "trailing", "on_close", "twap", "vwap"]


class Slippage(Protocol):
    """What a market or stop order loses, as a fraction of the price."""

    def __call__(self, quantity: float, volume: float, price: float) -> float: ...


@dataclass(frozen=True)
class Spread:
    """Half of a quoted spread, in money."""

    spread: float

    def __call__(self, quantity: float, volume: float, price: float) -> float:
        return self.spread / 2.0 / price


@dataclass(frozen=True)
class VolumeShare:
    """``impact`` times the square of the share of the bar's volume."""

    impact: float = 0.1

    def __call__(self, quantity: float, volume: float, price: float) -> float:
        share = quantity / volume if volume > 0 else 1.0
        return self.impact * min(share, 1.0) ** 2


@dataclass(frozen=True)
class SquareRoot:
    """``factor`` times the ``volatility`` of a bar times the root of the share of its volume (Almgren et al. 2005)."""

    volatility: float
    factor: float = 1.0

    def __call__(self, quantity: float, volume: float, price: float) -> float:
        share = quantity / volume if volume > 0 else 1.0
        return min(self.factor * self.volatility * math.sqrt(min(share, 1.0)), 0.5)


@dataclass(slots=True)
class Order:
    """One order. ``status`` is open, filled, cancelled or refused; ``reason`` says why it was refused.

    ``side`` 1 buys, -1 sells; ``bar`` is the bar at whose close it was given. ``plan`` holds what a
    TWAP or VWAP order wants filled in total by each bar after that.
    """

    number: int
    bar: int
    symbol: int
    side: int
    quantity: float
    kind: Kind = "market"
    limit: float = math.nan
    stop: float = math.nan
    trail: float = math.nan
    plan: list[float] = field(default_factory=list)
    filled: float = 0.0
    fee: float = 0.0
    spent: float = 0.0
    status: str = "open"
    reason: str = ""
    #: Whether it has reached the market, and the part of it that is an order to the exchange now: what is left of
    #: that, what was filled of it, for how much money and fee.
    sent: bool = False
    part: float = 0.0
    part_filled: float = 0.0
    part_spent: float = 0.0
    part_fee: float = 0.0

    @property
    def left(self) -> float:
        return self.quantity - self.filled

    def refuse(self, reason: str) -> None:
        self.status, self.reason = "refused", reason

    def begin(self, most: float, least: float) -> None:
        """Go on with the part given to the exchange, or give the next: one order holds ``most``, at least ``least``."""
        if self.part <= 0.0:
            self.part, self.part_filled, self.part_spent, self.part_fee = self.left, 0.0, 0.0, 0.0
        if self.part > min(most, self.left):
            self.part = child_of(min(self.part, self.left), most, least)

    def adjust(self, ratio: float, payout: float, least: float, step: float) -> None:
        """Carry what is left of the order over a split and a payout, as exchanges and brokers do.

        A purchase stays whole lots; where less than one is left, nothing is, and the order is to be cancelled.
        """
        self.limit, self.stop = ((price - payout) / ratio for price in (self.limit, self.stop))
        if ratio == 1.0:
            return
        self.trail /= ratio
        left = self.left * ratio
        left = whole_lots(left, least, step) if self.side > 0 else float(math.floor(left))
        self.plan = [self.filled + min(math.floor(max(due - self.filled, 0.0) * ratio), left) for due in self.plan]
        self.quantity = self.filled + left
        self.part = left if self.part_filled else 0.0


def touched(order: Order, open_: float, high: float, low: float, close: float) -> tuple[float, bool]:
    """Return the price at which a bar fills ``order`` and whether it slips; NaN: it does not fill.

    A gap fills at the open. A stop-limit whose stop lies beyond its limit waits as a limit order.
    """
    if order.kind in ("market", "twap", "vwap"):
        return open_, True
    if order.kind == "on_close":
        return close, True
    buy, best = order.side > 0, low if order.side > 0 else high
    if order.kind == "limit":
        return _limit(order.limit, buy, open_, best), False
    worst = high if buy else low
    gap = open_ >= order.stop if buy else open_ <= order.stop
    if not gap and not (worst >= order.stop if buy else worst <= order.stop):
        return math.nan, False
    if order.kind != "stop_limit":
        return (open_ if gap else order.stop), True
    order.kind = "limit"
    if gap:
        return _limit(order.limit, buy, open_, best), False
    inside = order.stop <= order.limit if buy else order.stop >= order.limit
    return (order.stop if inside else math.nan), False


def _limit(limit: float, buy: bool, open_: float, best: float) -> float:
    if open_ <= limit if buy else open_ >= limit:
        return open_
    return limit if (best <= limit if buy else best >= limit) else math.nan


def follow(order: Order, high: float, low: float) -> None:
    """Draw a trailing stop after the bar: the next bar meets it."""
    if order.side < 0:
        level = high - order.trail
        order.stop = level if math.isnan(order.stop) else max(order.stop, level)
    else:
        level = low + order.trail
        order.stop = level if math.isnan(order.stop) else min(order.stop, level)
