"""The third door: a Python function called after every close, with orders of every kind.

def on_bar(ctx, bar):
    if not ctx.position() and bar.close > ctx.indicator("slow"):
        ctx.buy(100, stop=bar.close * 1.01)

run_on_bar(on_bar, bars, Costs(rate=0.001), indicators={"slow": average})
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.backtest.account import Prices
from apps.trading.engine.backtest.bars import Bars
from apps.trading.engine.backtest.broker import Broker
from apps.trading.engine.backtest.depth import Depth, room_of
from apps.trading.engine.backtest.market import Market
from apps.trading.engine.backtest.options import (
    REFUSALS,
    Options,
    Result,
)
from apps.trading.engine.backtest.orders import Kind, Order, Slippage
from apps.trading.engine.backtest.run import check_days
from apps.trading.engine.costs import Costs
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


class Bar:
    """The bar that has just closed, of one instrument."""

    __slots__ = ("_clock", "_prices")

    def __init__(self, prices: Prices, clock: Context) -> None:
        self._prices, self._clock = prices, clock

    @property
    def t(self) -> int:
        return self._clock.t

    @property
    def open(self) -> float:
        return self._prices.open[self._clock.t]

    @property
    def high(self) -> float:
        return self._prices.high[self._clock.t]

    @property
    def low(self) -> float:
        return self._prices.low[self._clock.t]

    @property
    def close(self) -> float:
        return self._prices.close[self._clock.t]

    @property
    def volume(self) -> float:
        volume = self._prices.volume
        return volume[self._clock.t] if volume else math.nan


class Context:
    """What ``on_bar`` may see and do. Instruments are numbers in the order given; the first is 0."""

    def __init__(self, broker: Broker, params: Mapping[str, Any], indicators: dict[str, Any]) -> None:
        self._broker, self._params, self._indicators = broker, params, indicators
        self.bars = [Bar(prices, self) for prices in broker.prices]
        self._targets: dict[int, Order] = {}
        self.t = 0

    @property
    def cash(self) -> float:
        return self._broker.cash

    @property
    def equity(self) -> float:
        return self._broker.value(self.t)

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
        """Order to buy; ``terms`` as in ``order``. A quantity that is not above zero leaves a refused order."""
        return self._give(1, quantity, symbol, terms)

    def sell(self, quantity: float, symbol: int = 0, **terms: Any) -> Order:
        """Order to sell; the same."""
        return self._give(-1, quantity, symbol, terms)

    def order(self, quantity: float, symbol: int = 0, **terms: Any) -> Order:
        """Order ``quantity`` shares (negative sells) from the next bar on.

        ``limit``, ``stop`` (both: stop-limit), ``trail`` (money behind the best price), ``on_close``,
        ``twap`` or ``vwap`` (bars to spread it over; VWAP by the volumes of as many past bars).
        None of them: a market order at the next open. Terms that do not go together, and numbers that
        cannot be, are refused with their name.
        """
        return self._give(1 if quantity > 0 else -1, abs(quantity), symbol, terms)

    def _give(self, side: int, size: float, symbol: int, terms: dict[str, Any]) -> Order:
        if not 0 <= symbol < len(self.bars):
            raise Refusal(
                "unknown_instrument", N_("There is no instrument %(symbol)s; they count from 0 to %(last)s."),
                field="symbol", symbol=symbol, last=len(self.bars) - 1,
            )  # fmt: skip
        if not terms:
            return self._broker.submit(Order(len(self._broker.orders), self.t, symbol, side, size))
        kind, plan = kind_of(terms), list[float]()
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
        """Order towards ``share`` of the equity in the lots of the market, priced at this close.

        None where there is nothing to order, or no close to size it by.
        """
        close = self.bars[symbol].close
        if not close > 0.0:
            return None
        return self.order_target(self._broker.lots_towards(share * self.equity / close, symbol), symbol, **terms)

    def cancel(self, order: Order) -> bool:
        return self._broker.cancel(order)

    def _plan(self, kind: Kind, size: float, symbol: int, bars: int) -> list[float]:
        weights = [1.0] * max(bars, 1)
        volume = self._broker.prices[symbol].volume
        if kind == "vwap" and volume:
            past = volume[max(0, self.t + 1 - bars) : self.t + 1]
            weights = past if len(past) == bars and sum(past) > 0 else weights
        total, run = sum(weights), 0.0
        plan = []
        for weight in weights:
            run += weight
            plan.append(size * run / total)
        plan[-1] = size
        return plan


TERMS = dict.fromkeys(("limit", "stop", "trail", "on_close", "twap", "vwap"))
#: The terms that go together, and the kind of order they make.
KINDS: dict[frozenset[str], Kind] = {
    frozenset(): "market", frozenset({"limit"}): "limit", frozenset({"stop"}): "stop",
    frozenset({"stop", "limit"}): "stop_limit", frozenset({"trail"}): "trailing",
    frozenset({"on_close"}): "on_close", frozenset({"twap"}): "twap", frozenset({"vwap"}): "vwap",
}  # fmt: skip


def kind_of(terms: Mapping[str, Any]) -> Kind:
    """Return the kind of order that ``terms`` make; refuse unknown names, numbers that cannot be, contradictions."""
    for name, value in terms.items():
        known(TERMS, name)
        if name != "on_close" and not 0 < value < math.inf:
            raise Refusal("bad_term", N_("%(name)s must be a number above zero."), field=name, name=name)
    said = frozenset(name for name in terms if name != "on_close" or terms[name])
    if said not in KINDS:
        raise Refusal(
            "terms_apart", N_("One order cannot have %(terms)s at once."), field="terms", terms=", ".join(sorted(said))
        )
    return KINDS[said]


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


def _check(
    bars: Sequence[Bars], volume: Any, indicators: Mapping[str, Any], market: Market | None, leverage: float
) -> None:
    """Refuse what has another shape than the bars (S, T), and a leverage that is none."""
    shape = (len(bars), len(bars[0]) if bars else 0)
    if not bars or any(len(b) != shape[1] for b in bars):
        raise Refusal("bad_bars", N_("Every instrument needs a bar, or a gap, at each time."), field="bars")
    if market is not None and market.up.shape != shape:
        raise Refusal("bad_rules", N_("There must be one rule for each instrument and bar."), field="market")
    if volume is not None and np.atleast_2d(np.asarray(volume)).shape != shape:
        raise Refusal("bad_volume", N_("There must be one volume for each instrument and bar."), field="volume")
    for name, values in indicators.items():
        found = np.atleast_2d(np.asarray(values)).shape
        if found[-1] != shape[1]:
            raise Refusal(
                "bad_indicator", N_("%(name)s has %(found)s values for %(bars)s bars."), field="indicators",
                name=name, found=found[-1], bars=shape[1],
            )  # fmt: skip
    if not 1.0 <= leverage < math.inf:
        raise Refusal("bad_leverage", N_("The leverage must be a number of at least 1."), field="leverage")


def run_on_bar(
    on_bar: OnBar, bars: Bars | Sequence[Bars], costs: Costs | None = None, options: Options | None = None, *,
    volume: NDArray[np.float64] | None = None, indicators: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None, market: Market | None = None, slippage: Slippage | None = None,
    participation: float = 0.0, leverage: float = 1.0, first: int = 0,
) -> OrderRun:  # fmt: skip
    """Call ``on_bar(ctx, bar)`` after every close from bar ``first`` on and trade what it orders.

    ``bar`` is the first instrument's, or the list of all where several are given. ``indicators`` are
    (T,) or (S, T) arrays; ``volume`` (S, T) or (T,). ``participation`` (or ``options.participation``) caps fills at
    that share of a bar's volume; ``leverage`` above 1 makes a margin account whose gross exposure is capped.
    """
    single = isinstance(bars, Bars)
    listed: list[Bars] = [bars] if isinstance(bars, Bars) else list(bars)
    _check(listed, volume, indicators or {}, market, leverage)
    rows = [None] * len(listed) if volume is None else np.atleast_2d(np.asarray(volume, np.float64))
    prices = [Prices(b, row) for b, row in zip(listed, rows, strict=True)]
    options = options or Options()
    if market is None:
        check_days(costs or Costs())
    costs, participation = costs or Costs(), participation or options.participation
    depth = None if volume is None else Depth.of(volume, np.stack([b.close for b in listed]))
    room = room_of(depth, costs, replace(options, participation=participation), (len(listed), len(listed[0])))
    broker = Broker(prices, costs, options, market, slippage, participation, leverage, room)
    seen = {name: np.atleast_2d(np.asarray(values, np.float64)).tolist() for name, values in (indicators or {}).items()}
    context = Context(broker, params or {}, seen)
    shown: Any = context.bars[0] if single else context.bars
    match = broker.match
    for t in range(first, len(listed[0])):
        if t >= broker.wake:
            match(t)
        context.t = t
        on_bar(context, shown)
    given = Counter(order.reason for order in broker.orders if order.reason) + broker.waits
    given["cancelled"] += sum(order.status == "cancelled" for order in broker.orders)
    refused = {name: given.pop(name, 0) for name in REFUSALS} | given
    return OrderRun(
        Result(broker.ledger(), broker.equity(first), refused, first, options.capital, len(listed)), broker.orders
    )
