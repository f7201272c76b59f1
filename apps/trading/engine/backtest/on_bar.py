"""The third door: a Python function called after every close, with orders of every kind.

def on_bar(ctx, bar):
    if not ctx.position() and bar.close > ctx.indicator("slow"):
        ctx.buy(100, stop=bar.close * 1.01)

run_on_bar(on_bar, bars, Costs(rate=0.001), indicators={"slow": average})
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.backtest.broker import Broker
from apps.trading.engine.backtest.market import Market
from apps.trading.engine.backtest.options import (
    REFUSALS,
    Options,
    Result,
)
from apps.trading.engine.backtest.orders import Kind, Order, Slippage
from apps.trading.engine.backtest.run import Bars
from apps.trading.engine.costs import Costs
from apps.trading.engine.ledger import LEDGER
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


class Bar:
    """The bar that has just closed, of one instrument."""

    __slots__ = ("_prices", "t")

    def __init__(self, prices: dict[str, list[float]]) -> None:
        self._prices, self.t = prices, 0

    @property
    def open(self) -> float:
        return self._prices["open"][self.t]

    @property
    def high(self) -> float:
        return self._prices["high"][self.t]

    @property
    def low(self) -> float:
        return self._prices["low"][self.t]

    @property
    def close(self) -> float:
        return self._prices["close"][self.t]

    @property
    def volume(self) -> float:
        return self._prices["volume"][self.t] if "volume" in self._prices else math.nan


class Context:
    """What ``on_bar`` may see and do. Instruments are numbers in the order given; the first is 0."""

    def __init__(self, broker: Broker, bars: list[Bar], params: Mapping[str, Any], indicators: dict[str, Any]) -> None:
        self._broker, self.bars, self._params, self._indicators = broker, bars, params, indicators
        self._targets: dict[int, Order] = {}
        self.t = 0

    @property
    def cash(self) -> float:
        return self._broker.cash

    @property
    def equity(self) -> float:
        return self._broker.equity

    @property
    def orders(self) -> list[Order]:
        """The open orders."""
        return list(self._broker.open)

    def position(self, symbol: int = 0) -> float:
        return self._broker.held[symbol]

    def param(self, name: str) -> Any:
        """Return a parameter of the run; an unknown name is refused with the nearest known one."""
        return known(self._params, name)

    def indicator(self, name: str, symbol: int = 0) -> float:
        """Return an indicator's value at this close."""
        values = known(self._indicators, name)
        value: float = values[symbol][self.t]
        return value

    def buy(self, quantity: float, symbol: int = 0, **terms: Any) -> Order:
        """Order to buy; ``terms`` as in ``order``."""
        return self.order(quantity, symbol, **terms)

    def sell(self, quantity: float, symbol: int = 0, **terms: Any) -> Order:
        """Order to sell; ``terms`` as in ``order``."""
        return self.order(-quantity, symbol, **terms)

    def order(self, quantity: float, symbol: int = 0, **terms: Any) -> Order:
        """Order ``quantity`` shares (negative sells) from the next bar on.

        ``limit``, ``stop`` (both: stop-limit), ``trail`` (money behind the best price), ``on_close``,
        ``twap`` or ``vwap`` (bars to spread it over; VWAP by the volumes of as many past bars).
        None of them: a market order at the next open.
        """
        for name in terms:
            known(TERMS, name)
        side = 1 if quantity > 0 else -1
        size, kind, plan = abs(quantity), _kind(terms), list[float]()
        if kind in ("twap", "vwap"):
            plan = self._plan(kind, size, symbol, int(terms[kind]))
        order = Order(
            len(self._broker.orders), self.t, symbol, side, size, kind,
            terms.get("limit", math.nan), terms.get("stop", math.nan), terms.get("trail", math.nan), plan,
        )  # fmt: skip
        if kind == "trailing":
            order.stop = self.bars[symbol].close + side * order.trail
        return self._broker.submit(order)

    def order_target(self, quantity: float, symbol: int = 0, **terms: Any) -> Order | None:
        """Order what is missing to hold ``quantity``; None where nothing is.

        A target replaces the one before: what is still open of that one is cancelled, so that an order waiting
        at a price limit or for settlement is not given twice.
        """
        before = self._targets.pop(symbol, None)
        if before is not None:
            self._broker.cancel(before)
        change = quantity - self._broker.held[symbol]
        if not change:
            return None
        self._targets[symbol] = self.order(change, symbol, **terms)
        return self._targets[symbol]

    def order_target_percent(self, share: float, symbol: int = 0, **terms: Any) -> Order | None:
        """Order towards ``share`` of the equity in whole lots, priced at this close."""
        lot = self._broker.costs.lot
        wanted = math.floor(share * self._broker.equity / self.bars[symbol].close / lot) * lot
        return self.order_target(wanted, symbol, **terms)

    def cancel(self, order: Order) -> bool:
        return self._broker.cancel(order)

    def _plan(self, kind: Kind, size: float, symbol: int, bars: int) -> list[float]:
        weights = [1.0] * max(bars, 1)
        if kind == "vwap" and "volume" in self._broker.prices[symbol]:
            past = self._broker.prices[symbol]["volume"][max(0, self.t + 1 - bars) : self.t + 1]
            weights = past if len(past) == bars and sum(past) > 0 else weights
        total, run = sum(weights), 0.0
        plan = []
        for weight in weights:
            run += weight
            plan.append(size * run / total)
        plan[-1] = size
        return plan


TERMS = dict.fromkeys(("limit", "stop", "trail", "on_close", "twap", "vwap"))


def _kind(terms: Mapping[str, Any]) -> Kind:
    if "twap" in terms or "vwap" in terms:
        return "twap" if "twap" in terms else "vwap"
    if "trail" in terms:
        return "trailing"
    if "stop" in terms:
        return "stop_limit" if "limit" in terms else "stop"
    if "limit" in terms:
        return "limit"
    return "on_close" if terms.get("on_close") else "market"


def known(values: Mapping[str, Any], name: str) -> Any:
    """Return ``values[name]``, or refuse with the name that was probably meant."""
    if name in values:
        return values[name]
    near = difflib.get_close_matches(name, list(values), 1, 0.0)
    raise Refusal(
        "unknown_name",
        N_("%(name)s is unknown. Did you mean %(near)s?"),
        name=name,
        near=near[0] if near else "-",
    )


@dataclass(frozen=True)
class OrderRun:
    """The result of the third door: the kernel's ``Result`` and every order given."""

    result: Result
    orders: list[Order]


OnBar = Callable[[Context, Any], object]


def run_on_bar(
    on_bar: OnBar, bars: Bars | Sequence[Bars], costs: Costs | None = None, options: Options | None = None, *,
    volume: NDArray[np.float64] | None = None, indicators: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None, market: Market | None = None, slippage: Slippage | None = None,
    participation: float = 0.0, leverage: float = 1.0, first: int = 0,
) -> OrderRun:  # fmt: skip
    """Call ``on_bar(ctx, bar)`` after every close from bar ``first`` on and trade what it orders.

    ``bar`` is the first instrument's, or the list of all where several are given. ``indicators`` are
    (T,) or (S, T) arrays; ``volume`` (S, T) or (T,). ``participation`` caps fills at that share of a
    bar's volume; ``leverage`` above 1 makes a margin account whose gross exposure is capped.
    """
    single = isinstance(bars, Bars)
    listed: list[Bars] = [bars] if isinstance(bars, Bars) else list(bars)
    prices = [{name: getattr(b, name).tolist() for name in ("open", "high", "low", "close")} for b in listed]
    if volume is not None:
        for row, values in zip(prices, np.atleast_2d(volume).tolist(), strict=True):
            row["volume"] = values
    options = options or Options()
    broker = Broker(prices, costs or Costs(), options, market, slippage, participation, leverage)
    views = [Bar(row) for row in prices]
    seen = {name: np.atleast_2d(np.asarray(values, np.float64)).tolist() for name, values in (indicators or {}).items()}
    context = Context(broker, views, params or {}, seen)
    shown: Any = views[0] if single else views
    equity, match, mark = [], broker.match, broker.value
    for t in range(first, len(listed[0])):
        if broker.open or t >= broker.next_event:
            match(t)
        equity.append(mark(t))
        context.t = t
        for view in views:
            view.t = t
        on_bar(context, shown)
    refused = {name: sum(order.reason == name for order in broker.orders) for name in REFUSALS}
    for order in broker.orders:
        if order.reason and order.reason not in refused:
            refused[order.reason] = sum(o.reason == order.reason for o in broker.orders)
    ledger = np.array(broker.fills, LEDGER) if broker.fills else np.empty(0, LEDGER)
    return OrderRun(Result(ledger, np.array(equity), refused, first, options.capital, len(listed)), broker.orders)
