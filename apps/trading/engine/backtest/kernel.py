"""The compiled loop for one instrument: every order, fill and cost, bar by bar.

One loop, two doors: ``simulate_rule`` computes a named rule first, ``simulate`` is told what is
wanted after each close. Everything after that is the same code.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.compiled import compiled
from apps.trading.engine import costs
from apps.trading.engine.backtest.options import (
    BELOW_LOT,
    CUT_TO_CASH,
    HOLD,
    NO_CASH,
    RUIN,
    SIGNAL,
    STOP_LOSS,
    TAKE_PROFIT,
)
from apps.trading.engine.backtest.rules import rule_signals

order_fee = compiled(costs.order_fee)


@compiled
def write_fill(
    ledger: NDArray[np.void],
    n: int,
    bar: int,
    symbol: int,
    side: int,
    reason: int,
    quantity: float,
    price: float,
    fee: float,
) -> int:
    """Write fill ``n`` where there is room (the caller runs again with more) and return the next number."""
    if n < ledger.shape[0]:
        ledger[n]["bar"] = bar
        ledger[n]["symbol"] = symbol
        ledger[n]["side"] = side
        ledger[n]["reason"] = reason
        ledger[n]["quantity"] = quantity
        ledger[n]["price"] = price
        ledger[n]["fee"] = fee
    return n + 1


@compiled
def affordable(
    quantity: float,
    price: float,
    is_sell: bool,
    cash: float,
    lot: float,
    rate: float,
    per_share: float,
    minimum: float,
    sell_tax: float,
) -> float:
    """Return the largest whole number of lots up to ``quantity`` whose value and fee fit in ``cash``."""
    best = math.floor(min(quantity, cash / (price * (1.0 + rate) + per_share)) / lot) * lot
    while best > 0.0:
        notional = best * price
        if notional + order_fee(notional, best, is_sell, rate, per_share, minimum, sell_tax) <= cash:
            break
        best -= lot
    return max(best, 0.0)


@compiled
def protected_price(
    side: float,
    open_: float,
    high: float,
    low: float,
    entry: float,
    stop_loss: float,
    take_profit: float,
    slippage: float,
) -> tuple[int, float]:
    """Return the reason and price of a stop or target reached in a bar; reason ``SIGNAL`` means neither.

    The stop comes first; a gap through either fills at the open. Stops are market orders and
    slip, targets are limit orders and do not.
    """
    if side > 0.0:
        if stop_loss > 0.0 and low <= entry * (1.0 - stop_loss):
            return STOP_LOSS, min(open_, entry * (1.0 - stop_loss)) * (1.0 - slippage)
        if take_profit > 0.0 and high >= entry * (1.0 + take_profit):
            return TAKE_PROFIT, max(open_, entry * (1.0 + take_profit))
    else:
        if stop_loss > 0.0 and high >= entry * (1.0 + stop_loss):
            return STOP_LOSS, max(open_, entry * (1.0 + stop_loss)) * (1.0 + slippage)
        if take_profit > 0.0 and low <= entry * (1.0 - take_profit):
            return TAKE_PROFIT, min(open_, entry * (1.0 - take_profit))
    return SIGNAL, 0.0


@compiled
def value_quiet_bars(
    signals: NDArray[np.int8],
    current: int,
    t: int,
    cash: float,
    held: float,
    close: NDArray[np.float64],
    equity: NDArray[np.float64],
) -> int:
    """Write the equity of bars from ``t`` until another side than ``current`` is wanted.

    Returns that bar, whose equity is not written yet; at most the last bar.
    """
    # Unsigned numbers spare the compiler the question whether an index is negative.
    i, last = np.uint64(t), np.uint64(signals.shape[0] - 1)
    while i < last and (signals[i] == current or signals[i] == HOLD):
        equity[i] = cash + held * close[i]
        i += np.uint64(1)
    return int(np.int64(i))


@compiled
def simulate(  # noqa: PLR0912, PLR0915 - one loop, so that the compiler sees all of a bar
    signals: NDArray[np.int8],
    open_: NDArray[np.float64], high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64],
    cash: float, fixed: bool, amount: float, allow_short: bool, reduce: bool,
    stop_loss: float, take_profit: float, armed_next: bool,
    rate: float, per_share: float, minimum: float, sell_tax: float, slippage: float, lot: float,
    ledger: NDArray[np.void], refused: NDArray[np.int64], equity: NDArray[np.float64],
) -> int:  # fmt: skip
    """Trade all bars and return the number of fills (which may exceed the ledger's room).

    Arrays are (T,), prices finite; ``equity`` is written. Cash and position follow from the
    ledger (``options.Result``): fresh memory costs more than the trading.
    """
    n = 0
    held, current, entry, entry_bar = 0.0, 0, 0.0, -1
    pending, side, quantity, reason, ruined = False, 0, 0.0, SIGNAL, False
    protection = stop_loss > 0.0 or take_profit > 0.0

    t, bars = 0, close.shape[0]
    while t < bars:
        if pending:
            pending = False
            if held != 0.0:
                is_sell = held > 0.0
                price = open_[t] * (1.0 - slippage) if is_sell else open_[t] * (1.0 + slippage)
                size = abs(held)
                fee = order_fee(size * price, size, is_sell, rate, per_share, minimum, sell_tax)
                cash += held * price - fee
                n = write_fill(ledger, n, t, 0, -current, reason, size, price, fee)
                held, current = 0.0, 0
            if side != 0:
                is_sell = side < 0
                price = open_[t] * (1.0 - slippage) if is_sell else open_[t] * (1.0 + slippage)
                size = quantity
                fee = order_fee(size * price, size, is_sell, rate, per_share, minimum, sell_tax)
                if size * price + fee > cash:
                    if reduce:
                        size = affordable(size, price, is_sell, cash, lot, rate, per_share, minimum, sell_tax)
                    else:
                        size = 0.0
                    refused[CUT_TO_CASH if size > 0.0 else NO_CASH] += 1
                    fee = order_fee(size * price, size, is_sell, rate, per_share, minimum, sell_tax)
                if size > 0.0:
                    held, current = side * size, side
                    cash -= held * price + fee
                    entry, entry_bar = price, t
                    n = write_fill(ledger, n, t, 0, side, reason, size, price, fee)

        if protection and held != 0.0 and (entry_bar < t or not armed_next):
            hit, price = protected_price(held, open_[t], high[t], low[t], entry, stop_loss, take_profit, slippage)
            if hit != SIGNAL:
                size = abs(held)
                fee = order_fee(size * price, size, held > 0.0, rate, per_share, minimum, sell_tax)
                cash += held * price - fee
                n = write_fill(ledger, n, t, 0, -current, hit, size, price, fee)
                held, current = 0.0, 0

        # Where nothing can happen until another side is wanted, bars up to there are valued in one go.
        if cash > 0.0 and (held == 0.0 or (held > 0.0 and not protection)):
            t = value_quiet_bars(signals, current, t, cash, held, close, equity)

        value = cash + held * close[t]
        equity[t] = value
        t += 1
        want = int(signals[t - 1])
        if ruined:
            continue
        if value <= 0.0:
            ruined = True
            pending, side, reason = held != 0.0, 0, RUIN
            continue
        if want == HOLD:
            continue
        side = want if want >= 0 or allow_short else 0
        if side == current:
            continue
        if side != 0:
            quantity = math.floor((amount if fixed else amount * value / close[t - 1]) / lot) * lot
            if quantity <= 0.0:
                refused[BELOW_LOT] += 1
                side = 0
        pending = side != 0 or held != 0.0
    return n


@compiled
def simulate_rule(
    rule: int, fast: int, slow: int, low_level: float, high_level: float, units: NDArray[np.float64], first: int,
    open_: NDArray[np.float64], high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64],
    cash: float, fixed: bool, amount: float, allow_short: bool, reduce: bool,
    stop_loss: float, take_profit: float, armed_next: bool,
    rate: float, per_share: float, minimum: float, sell_tax: float, slippage: float, lot: float,
    ledger: NDArray[np.void], refused: NDArray[np.int64], equity: NDArray[np.float64],
) -> int:  # fmt: skip
    """Compute ``rule`` over all bars, trade it from bar ``first``; see ``simulate``."""
    signals = np.empty(close.shape[0], dtype=np.int8)
    rule_signals(rule, close, units, fast, slow, low_level, high_level, signals)
    return simulate(
        signals[first:], open_[first:], high[first:], low[first:], close[first:],
        cash, fixed, amount, allow_short, reduce, stop_loss, take_profit, armed_next,
        rate, per_share, minimum, sell_tax, slippage, lot, ledger, refused, equity,
    )  # fmt: skip
