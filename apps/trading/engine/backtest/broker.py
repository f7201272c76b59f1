"""The broker of the third door: takes orders after a close, fills them from the next bar on.

The arithmetic of cash and fees is the kernel's, operation by operation, so the same decisions leave
the same bytes in the ledger.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter

import numpy as np

from apps.trading.engine.backtest.account import Account, Prices
from apps.trading.engine.backtest.depth import Room
from apps.trading.engine.backtest.market import SAME, Event, Market
from apps.trading.engine.backtest.options import Options
from apps.trading.engine.backtest.orders import Order, Slippage, follow, touched
from apps.trading.engine.backtest.own_rules import NEVER, moved, owed_by_bar, own_rules, session_starts, whole_steps
from apps.trading.engine.backtest.permits import after_event, allowed_change, child_of, inside, levied, whole_lots
from apps.trading.engine.backtest.taking import lost_in
from apps.trading.engine.costs import Costs, order_fee
from apps.trading.engine.ledger import BORROW, DIVIDEND, FUNDING, SPLIT
from apps.trading.engine.rules.day import within_cage
from apps.trading.engine.rules.schedule import LIMIT_ORDER, MARKET_ORDER

#: This part of an order is what rounding leaves of sums of its fills: no order to anyone.
DUST = 1e-12


class Broker(Account):
    """Account, open orders and ledger of one run, prices one an instrument.

    ``wake`` is the next bar at which an order or a corporate action may have something to do:
    before it ``match`` need not be called.
    """

    def __init__(
        self, prices: list[Prices], costs: Costs, options: Options, market: Market | None,
        slippage: Slippage | None, participation: float, leverage: float, room: Room | None,
    ) -> None:  # fmt: skip
        super().__init__(prices, options.capital)
        self.costs, self.options, self.market = costs, options, market
        self.slippage, self.participation, self.leverage = slippage, participation, leverage
        self.room = room if room is not None and room.spread + room.impact + room.root > 0.0 else None
        self.orders: list[Order] = []
        self.open: list[Order] = []
        self._fee = (costs.rate, costs.per_share, costs.minimum, costs.sell_tax)
        self._rules = [own_rules(market, s) for s in range(len(prices))] if market else []
        self._sessions = session_starts(market.day) if market else []
        self._opens = {0, *self._sessions}
        self._events = list(moved(market, prices)) if market and market.events else []
        self._next_event = self._events[0].bar if self._events else NEVER
        self._owed = owed_by_bar(market, prices, costs) if market else None
        self._owing = [] if self._owed is None else [*np.flatnonzero(self._owed.any(axis=(0, 1))).tolist(), NEVER]
        self.wake = self._next_event
        self._session_ends = -1
        #: Bars that orders waited at a limit or without a bar to trade in, shares that T+1 kept from a sale.
        self.waits: Counter[str] = Counter()
        self._kept: dict[int, float] = {}  # of this session, by instrument
        self._before = options.capital  # equity at the last close, of a margin account
        #: Last prices of this bar without the rights that went at its open.
        self._bare: dict[int, float] = {}
        paid = market.levied(costs.levies).charges if market else None
        self._charges = [] if market is None or paid is None else [paid[kind] for kind in market.board]

    def submit(self, order: Order) -> Order:
        """Take an order, or refuse it with the reason."""
        order.reason = self._refusal(order)
        order.status = "refused" if order.reason else "open"
        self.orders.append(order)
        if not order.reason:
            self.open.append(order)
            self.wake = 0
        return order

    def cancel(self, order: Order) -> bool:
        """Cancel what is left of an open order; False where there is nothing left."""
        if order.status != "open":
            return False
        order.status = "cancelled"
        self.open.remove(order)
        return True

    def lots_towards(self, wanted: float, s: int) -> float:
        """Return the holding nearest to ``wanted`` shares (towards nothing) that lots let the account reach."""
        unit = float(self.costs.lot) if not self._rules else min(self._rules[s].lots[1], 1.0)
        count = wanted / unit
        target = (math.floor(count) if count >= 0.0 else math.ceil(count)) * unit
        if not self._rules:
            return target
        return self.held[s] + allowed_change(target - self.held[s], self.held[s], *self._rules[s].lots)

    def _refusal(self, order: Order) -> str:
        quantity = order.quantity
        if not 0 < quantity < math.inf:
            return "quantity"
        held, lot = self.held[order.symbol], self.costs.lot
        minimum, step = self._rules[order.symbol].lots if self._rules else (lot, lot)
        closes = order.side * held < 0 and quantity <= abs(held)
        if not closes and (quantity < minimum or not whole_steps(quantity - minimum, step)):
            return "below_lot" if quantity < minimum else "lot"
        if closes and self._rules and quantity != abs(held) and step > 1 and quantity % step not in (0.0, held % step):
            return "lot"
        if order.side < 0 and quantity > held and not self.options.allow_short:
            return "not_held"
        return ""

    def match(self, t: int) -> None:
        """Fill open orders from bar ``t``: sales first, each leg in the order given; corporate actions before."""
        self._bare.clear()
        if self.leverage > 1.0 and t:
            self._before = self.value(t - 1)
        if self._owing and t:
            self._carry(t)
        while self._next_event <= t:
            self._act(self._events.pop(0), t)
            self._next_event = self._events[0].bar if self._events else NEVER
        if self._sessions and t >= self._session_ends:
            self.bought = [0.0] * len(self.held)
            self._kept = {}
            self._session_ends = self._sessions[bisect_right(self._sessions, t)]
        # Most orders that wait at all wait for settlement: they cost nothing until the session is over.
        waiting = self.open
        if self._rules:
            waiting = []
            for order in self.open:
                if self._unsettled(order):
                    self._keep_back(order.symbol, order.left)
                else:
                    waiting.append(order)
        if waiting:
            self._trade(waiting, t)
        self.wake = self._next_event
        if self.open:
            self.wake = 0 if waiting else min(self.wake, self._session_ends)
        if self._owing and any(self.held):
            self.wake = min(self.wake, self._owing[bisect_right(self._owing, t)])

    def _trade(self, waiting: list[Order], t: int) -> None:
        room: dict[int, float] = {}
        for side in (-1, 1):
            for order in waiting:
                if order.side == side:
                    self._try(order, t, room)
        for order in self.open:
            bar = self.prices[order.symbol]
            if order.kind == "trailing" and order.status == "open" and bar.close[t] > 0:
                follow(order, bar.high[t], bar.low[t])
        self.open = [order for order in self.open if order.status == "open"]

    def _unsettled(self, order: Order) -> bool:
        """Return whether an order to sell at the market has nothing yet that may be sold."""
        s = order.symbol
        if order.side > 0 or order.kind != "market":
            return False
        return self._rules[s].settles and 0.0 < self.held[s] <= self.bought[s] and not self.options.allow_short

    def _keep_back(self, s: int, wanted: float) -> None:
        """Count the shares that settlement keeps from a sale of ``wanted``, each once a session."""
        short = min(wanted - max(self.held[s] - self.bought[s], 0.0), self.bought[s])
        before = self._kept.get(s, 0.0)
        if short > before:
            self._kept[s] = short
            self.waits["t_plus_1_shares"] += int(short - before)

    def _carry(self, t: int) -> None:
        """Pay what is owed for holding over the bars since the last: funding and borrow fees, at the last price."""
        if self._owed is None:
            return
        for s, held in enumerate(self.held):
            if not held:
                continue
            mark, borrow, rate = self.prices[s].marks.item(t - 1), self._owed.item(0, s, t), self._owed.item(1, s, t)
            if rate:
                self.cash += held * (-mark * rate)
                self.write((t, s, 0, FUNDING, held, -mark * rate, 0.0))
            if held < 0.0 and borrow:
                self.cash += held * (mark * borrow)
                self.write((t, s, 0, BORROW, held, mark * borrow, 0.0))

    def _act(self, event: Event, t: int) -> None:
        """Let a dividend or split happen to what is held and to the open orders."""
        s, held = event.symbol, self.held[event.symbol]
        price = self.prices[s].open[event.bar]
        if held and event.payout:
            self.cash += held * event.payout
            self.write((event.bar, s, 0, DIVIDEND, held, event.payout, 0.0))
        if held and event.ratio != 1.0:
            whole, part = after_event(held, event.ratio)
            self.held[s], self.bought[s] = whole, after_event(self.bought[s], event.ratio)[0]
            if whole != held:
                self.write((event.bar, s, 1 if whole > held else -1, SPLIT, abs(whole - held), 0.0, 0.0))
            if part:
                self.cash += part * price
                self.write((event.bar, s, 0, SPLIT, part, price, 0.0))
        if event.bar == t:
            self._bare[s] = (self._last(s, t) - event.payout) / event.ratio
        least, step = self._rules[s].lots
        for order in self.open:
            if order.symbol == s:
                order.adjust(event.ratio, event.payout, least, step)
                if order.left <= 0.0:
                    order.status = "cancelled"
        self.open = [order for order in self.open if order.status == "open"]

    def _last(self, s: int, t: int) -> float:
        """Return the last price known before bar ``t`` opens, without the rights that go there."""
        if s in self._bare:
            return self._bare[s]
        return self.prices[s].marks.item(t - 1) if t else 0.0

    def _one(self, order: Order, t: int, notional: float, size: float) -> float:
        """Return commission, tax and charges of ``size`` shares in one order to the exchange."""
        is_sell = order.side < 0
        fee = order_fee(notional, size, is_sell, *self._fee)
        if self._charges:
            fee = levied(fee, notional, size, is_sell, *self._charges[order.symbol][t].tolist())
        return fee

    def _total(self, order: Order, t: int, size: float, price: float) -> float:
        """Return the same in as many orders as it takes."""
        most, least = self._most(order, t)
        if size <= most:
            return self._one(order, t, size * price, size)
        total, left = 0.0, size
        while left > 0.0:
            part = child_of(left, most, least)
            total += self._one(order, t, part * price, part)
            left -= part
        return total

    def _most(self, order: Order, t: int) -> tuple[float, float]:
        """Return the most shares that one order may hold at bar ``t``, and the least."""
        if not self._rules:
            return math.inf, float(self.costs.lot)
        own = self._rules[order.symbol]
        return own.most[LIMIT_ORDER if order.kind == "limit" else MARKET_ORDER].item(t), own.lots[0]

    def _try(self, order: Order, t: int, room: dict[int, float]) -> None:
        s, bar = order.symbol, self.prices[order.symbol]
        if not (bar.open[t] > 0 and bar.close[t] > 0):
            if self._rules:
                self.waits["suspended"] += 1
            return
        if order.kind == "market":
            price, slips = bar.open[t], True
        else:
            if self._outside_cage(order, t):
                return
            price, slips = touched(order, bar.open[t], bar.high[t], bar.low[t], bar.close[t])
            if order.kind == "limit" and self._outside_cage(order, t):  # a stop-limit that has just become one
                return
        if math.isnan(price) or self._bad_size(order, price, t) or not self._may_trade(order, price, t):
            return
        size = self._size(order, t, bar, room)
        if size <= 0:
            return
        if slips:
            price = self._slipped(order, size, bar, price, t)
        size = self._fitting(order, t, size, price)
        if size > 0:
            room[s] = room.get(s, math.inf) - size
            self._fill(order, t, size, price)

    def _outside_cage(self, order: Order, t: int) -> bool:
        """Refuse a limit order that reaches the market too far through it; the last price stands for its quotes.

        A stop that was reached is measured from the price that reached it.
        """
        if order.sent or order.kind != "limit" or not self._rules:
            return False
        order.sent = True
        s = order.symbol
        cage = self._rules[s].cage
        if cage is None or math.isnan(cage.item(t, 0)):
            return False
        quote = self._last(s, t)
        if order.stop == order.stop:
            first = self.prices[s].open[t]
            quote = max(first, order.stop) if order.side > 0 else min(first, order.stop)
        elif t in self._opens and self.options.price_cage == "in_session":
            return False
        if not quote > 0 or within_cage(order.limit, quote, cage.item(t, 0), cage.item(t, 1), sell=order.side < 0):
            return False
        order.refuse("price_cage")
        return True

    def _bad_size(self, order: Order, price: float, t: int) -> bool:
        """Refuse what is above the maximum, or worth too little when it first trades; never what closes a holding."""
        if not self._rules:
            return False
        held, due, own = self.held[order.symbol], self._due(order, t), self._rules[order.symbol]
        closing = order.side * held < 0 and order.left <= abs(held)
        if self.options.order_maximum == "refuse" and not closing and due > self._most(order, t)[0]:
            order.refuse("maximum")
        elif not (order.filled or (order.side * held < 0 and due == abs(held))) and due * price < own.least_value:
            order.refuse("min_notional")
        return order.status == "refused"

    def _may_trade(self, order: Order, price: float, t: int) -> bool:
        """Return whether the price limit leaves anyone to trade with: nothing is bought at limit up."""
        if not self._rules:
            return True
        up, down = self._rules[order.symbol].up.item(t), self._rules[order.symbol].down.item(t)
        if price > up + up * SAME or price < down - down * SAME:  # no such trade can have been: the bar is at fault
            return False
        if price >= up - up * SAME if order.side > 0 else price <= down + down * SAME:
            self.waits["limit_up" if order.side > 0 else "limit_down"] += 1
            return False
        return True

    def _slipped(self, order: Order, size: float, bar: Prices, price: float, t: int) -> float:
        lost = self.costs.slippage
        if self.room is not None:
            lost += lost_in(self.room, order.symbol, t, size, price)
        if self.slippage is not None:
            lost += self.slippage(size, bar.volume[t] if bar.volume else 0.0, price)
        price = price * (1.0 - lost) if order.side < 0 else price * (1.0 + lost)
        if self._rules:
            price = inside(price, self._rules[order.symbol].up.item(t), self._rules[order.symbol].down.item(t))
        return price

    def _due(self, order: Order, t: int) -> float:
        """Return what is to be traded of the order by bar ``t``."""
        if not order.plan:
            return order.left
        return min(order.left, order.plan[min(t - order.bar - 1, len(order.plan) - 1)] - order.filled)

    def _size(self, order: Order, t: int, bar: Prices, room: dict[int, float]) -> float:
        size, s = self._due(order, t), order.symbol
        step = self._rules[s].lots[1] if self._rules else self.costs.lot
        whole = size >= order.left
        if self.participation and bar.volume:
            # A volume that nobody knows is none: there may have been nobody to trade with.
            limit = room.setdefault(s, self.participation * bar.volume[t] if bar.volume[t] > 0 else 0.0)
            whole, size = whole and limit >= size, min(size, limit)
        if order.side < 0 and not self.options.allow_short:
            locked = self.bought[s] if self._rules and self._rules[s].settles else 0.0
            sellable = self.held[s] - locked
            if locked and size > sellable:
                self._keep_back(s, size)
            whole, size = whole and sellable >= size - order.quantity * DUST, min(size, sellable)
        return size if whole else math.floor(size / step) * step

    def _fitting(self, order: Order, t: int, size: float, price: float) -> float:
        """Return what the account can pay for: all, a part, or nothing (``cash_short``)."""
        held = self.held[order.symbol]
        cover = max(-held * order.side, 0.0)
        if size <= cover:
            return size
        power = self.cash
        if self.leverage > 1.0:
            gross = sum(abs(h) * self._last(s, t) for s, h in enumerate(self.held) if h)
            power = self.leverage * max(self._before, 0.0) - gross
        if size * price + self._total(order, t, size, price) <= power:
            return size
        fit = 0.0
        if self.options.cash_short == "reduce" and power > 0:
            most = min(size, power / (price * (1.0 + self._fee[0]) + self._fee[1]))
            lot = float(self.costs.lot)
            least, step = self._rules[order.symbol].lots if self._rules else (lot, lot)
            fit = whole_lots(most, least, step) if self._rules else math.floor(most / lot) * lot
            while fit >= least and fit * price + self._total(order, t, fit, price) > power:
                fit -= step
            fit = fit if fit >= least else 0.0
            if self._rules and fit * price < self._rules[order.symbol].least_value:
                fit = 0.0
        fit = max(fit, cover)
        order.reason = "cut_to_cash" if fit > 0 else "cash"
        order.status = "open" if fit > 0 else "refused"
        order.quantity = order.filled + fit if fit > 0 else order.quantity
        return fit

    def _fill(self, order: Order, t: int, size: float, price: float) -> None:
        """Fill ``size``, in as many orders to the exchange as it takes.

        The minimum is owed once for each of those, however many fills it takes.
        """
        s, left, dust = order.symbol, size, order.quantity * DUST
        while left > dust:
            order.begin(*self._most(order, t))
            size = min(left, order.part)
            fee = self._one(order, t, size * price, size)
            if order.part_filled:
                whole = self._one(order, t, order.part_spent + size * price, order.part_filled + size)
                fee = max(whole - order.part_fee, 0.0)
            signed = size if order.side > 0 else -size
            self.held[s] += signed
            self.cash -= signed * price + fee
            if order.side > 0:
                self.bought[s] += size
            order.filled, order.fee, order.spent = order.filled + size, order.fee + fee, order.spent + size * price
            order.part_filled, order.part_fee = order.part_filled + size, order.part_fee + fee
            order.part_spent, order.part = order.part_spent + size * price, order.part - size
            self.write((t, s, order.side, 0, size, price, fee))
            left -= size
        if order.left <= dust:
            order.status = "filled"
