"""The compiled loop for one instrument: every order, fill and cost, bar by bar.

One loop, two doors: ``simulate_rule`` computes a named rule first, ``simulate`` is told what is
wanted after each close. Everything after that is the same code.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.compiled import compiled
from apps.trading.engine.backtest.entries import act, affordable, carry, keep_back, trade
from apps.trading.engine.backtest.options import (
    ABOVE_MAXIMUM,
    BELOW_LOT,
    BELOW_VALUE,
    CANCELLED,
    CUT_TO_CASH,
    HOLD,
    LIMIT_DOWN,
    LIMIT_UP,
    NO_CASH,
    NOT_SETTLED,
    REPLACED,
    SUSPENDED,
    VOLUME,
)
from apps.trading.engine.backtest.permits import (
    after_event,
    inside,
    open_to,
    too_large,
    too_small,
    total_fee,
    whole_lots,
)
from apps.trading.engine.backtest.rules import rule_signals
from apps.trading.engine.backtest.taking import lost_in, part_of, volume_left
from apps.trading.engine.ledger import RUIN, SIGNAL, STOP_LOSS, TAKE_PROFIT
from apps.trading.engine.rules.schedule import LIMIT_ORDER, MARKET_ORDER


@compiled
def protected_price(
    side: float,
    open_: float,
    high: float,
    low: float,
    entry: float,
    stop_loss: float,
    take_profit: float,
) -> tuple[int, float]:
    """Return the reason and price of a stop or target reached in a bar; reason ``SIGNAL`` means neither.

    The stop comes first; a gap through either fills at the open. Stops are market orders, whose slippage
    is the caller's; targets are limit orders and do not slip.
    """
    if side > 0.0:
        if stop_loss > 0.0 and low <= entry * (1.0 - stop_loss):
            return STOP_LOSS, min(open_, entry * (1.0 - stop_loss))
        if take_profit > 0.0 and high >= entry * (1.0 + take_profit):
            return TAKE_PROFIT, max(open_, entry * (1.0 + take_profit))
    else:
        if stop_loss > 0.0 and high >= entry * (1.0 + stop_loss):
            return STOP_LOSS, max(open_, entry * (1.0 + stop_loss))
        if take_profit > 0.0 and low <= entry * (1.0 - take_profit):
            return TAKE_PROFIT, min(open_, entry * (1.0 - take_profit))
    return SIGNAL, 0.0


@compiled
def value_quiet_bars(
    signals: NDArray[np.int8],
    current: int,
    t: int,
    stop: int,
    cash: float,
    held: float,
    close: NDArray[np.float64],
    equity: NDArray[np.float64],
) -> int:
    """Write the equity of bars from ``t`` until another side than ``current`` is wanted.

    Returns that bar, whose equity is not written yet; at most ``stop``.
    """
    # Unsigned numbers spare the compiler the question whether an index is negative.
    i, last = np.uint64(t), np.uint64(stop)
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
    ledger: NDArray[np.void], refused: NDArray[np.int64], equity: NDArray[np.float64], rules: Any, room: Any,
) -> int:  # fmt: skip
    """Trade all bars and return the number of rows of the ledger (which may exceed its room).

    Arrays are (T,), prices finite; ``equity`` is written. Cash and position follow from the
    ledger (``options.Result``): fresh memory costs more than the trading. ``rules`` (``market.Rules`` of one
    instrument, or None) keeps an order waiting where the market lets nobody trade; it goes on waiting until
    it can be filled or another side is wanted. So does, with ``room`` (``depth.Room`` or None), what a bar's
    volume leaves of it.
    """
    n, event, locked, locked_on = 0, 0, 0.0, -(1 << 40)  # locked: bought in the session ``locked_on``
    kept = 0.0  # of the locked shares, the most that a sale of that session wanted
    left, step, adding = math.inf, lot, False  # adding: what waits is the rest of what is held
    if rules is not None:
        step = rules.step[0]
    held, current, entry, entry_bar = 0.0, 0, 0.0, -1
    pending, side, quantity, reason, ruined = False, 0, 0.0, SIGNAL, False
    protection = stop_loss > 0.0 or take_profit > 0.0
    up, down = math.nan, math.nan

    t, bars = 0, close.shape[0]
    while t < bars:
        free = abs(held)
        if rules is not None:
            up, down = rules.up[0, t], rules.down[0, t]
            if rules.owes and held != 0.0:
                cash, n = carry(rules, t, 0, held, close[t - 1], cash, ledger, n)
            while event < rules.event_bar.shape[0] and rules.event_bar[event] <= t:
                held, cash, n = act(rules, event, held, open_[t], cash, ledger, n)
                ratio = rules.event_ratio[event]
                entry = (entry - rules.event_payout[event]) / ratio
                if ratio != 1.0:
                    quantity = whole_lots(quantity * ratio, rules.minimum[0], rules.step[0])
                    locked = after_event(locked, ratio)[0]
                event += 1
            if held == 0.0:
                current = 0
            free = abs(held)
            if held > 0.0 and rules.settle[0] != 0 and rules.day[t] == locked_on:
                free = math.floor(max(held - locked, 0.0) / step) * step
            if pending:
                refused[SUSPENDED] += rules.missed[t]
        if room is not None:
            left = volume_left(room, 0, t)
        if pending:
            adding = held != 0.0 and side == current
            if held != 0.0 and not adding:
                is_sell = held > 0.0
                if rules is not None and free < held and rules.day[t] == locked_on:
                    kept = keep_back(refused, min(locked, held), kept)
                if rules is None or (free > 0.0 and open_to(is_sell, open_[t], up, down)):
                    size, lost = free, slippage
                    if room is not None:
                        size = part_of(size, left, step)
                        lost += lost_in(room, 0, t, size, open_[t])
                    price = open_[t] * (1.0 - lost) if is_sell else open_[t] * (1.0 + lost)
                    if rules is not None:
                        price = inside(price, up, down)
                    cash, n = trade(
                        ledger, n, t, 0, -current, reason, size, price, cash,
                        rate, per_share, minimum, sell_tax, rules, MARKET_ORDER,
                    )  # fmt: skip
                    held -= current * size
                    if held == 0.0:
                        current = 0
                    elif size < free:
                        refused[VOLUME] += 1
                    left, free = left - size, free - size
                else:
                    refused[NOT_SETTLED if free <= 0.0 else LIMIT_DOWN if is_sell else LIMIT_UP] += 1
            if held == 0.0 or adding:
                pending = False
                is_sell = side < 0
                if side != 0 and too_large(quantity, False, rules, 0, t):
                    refused[ABOVE_MAXIMUM] += 1
                elif side != 0 and too_small(quantity, open_[t], False, rules, 0):
                    refused[BELOW_VALUE] += 1
                elif side != 0 and rules is not None and not open_to(is_sell, open_[t], up, down):
                    pending = True
                    refused[LIMIT_DOWN if is_sell else LIMIT_UP] += 1
                elif side != 0:
                    size, lost = quantity, slippage
                    if room is not None:
                        size = part_of(size, left, step)
                        lost += lost_in(room, 0, t, size, open_[t])
                        if size < quantity:  # the rest is ordered again for the next bar
                            pending = True
                            refused[VOLUME] += 1
                    quantity -= size
                    price = open_[t] * (1.0 - lost) if is_sell else open_[t] * (1.0 + lost)
                    if rules is not None:
                        price = inside(price, up, down)
                    fee = total_fee(size, price, is_sell, rate, per_share, minimum, sell_tax, rules, 0, t, MARKET_ORDER)
                    if size > 0.0 and size * price + fee > cash:
                        if reduce:
                            size = affordable(
                                size, price, is_sell, cash, lot, rate, per_share, minimum, sell_tax, rules, 0, t
                            )
                        else:
                            size = 0.0
                        pending = False
                        refused[CUT_TO_CASH if size > 0.0 else NO_CASH] += 1
                    if size > 0.0:
                        if held == 0.0:
                            entry, entry_bar, current = price, t, side
                        else:
                            entry = (entry * abs(held) + price * size) / (abs(held) + size)
                        held += side * size
                        left -= size
                        cash, n = trade(
                            ledger, n, t, 0, side, reason, size, price, cash,
                            rate, per_share, minimum, sell_tax, rules, MARKET_ORDER,
                        )  # fmt: skip
                        if rules is not None:
                            if side > 0 and rules.settle[0] != 0:
                                if rules.day[t] != locked_on:
                                    locked, kept, locked_on = 0.0, 0.0, rules.day[t]
                                locked += size
                                free = math.floor(max(held - locked, 0.0) / step) * step
                            else:
                                free = abs(held)

        if rules is None:
            free = abs(held)
        if protection and free > 0.0 and (entry_bar < t or not armed_next):
            hit, price = protected_price(held, open_[t], high[t], low[t], entry, stop_loss, take_profit)
            is_sell = held > 0.0
            if hit != SIGNAL and rules is not None and not open_to(is_sell, price, up, down):
                refused[LIMIT_DOWN if is_sell else LIMIT_UP] += 1
            elif hit != SIGNAL:
                if rules is not None and free < held and rules.day[t] == locked_on:
                    kept = keep_back(refused, min(locked, held), kept)
                size, lost = free, slippage
                if room is not None:
                    size = part_of(size, left, step)
                    lost += lost_in(room, 0, t, size, price)
                    refused[VOLUME] += 1 if size < free else 0
                if pending and side == current:  # nothing more is bought of what is being sold
                    pending = False
                if hit == STOP_LOSS:
                    price = price * (1.0 - lost) if is_sell else price * (1.0 + lost)
                    if rules is not None:
                        price = inside(price, up, down)
                cash, n = trade(
                    ledger, n, t, 0, -current, hit, size, price, cash, rate, per_share, minimum, sell_tax, rules,
                    MARKET_ORDER if hit == STOP_LOSS else LIMIT_ORDER,
                )  # fmt: skip
                held -= current * size
                if held == 0.0:
                    current = 0

        elif (
            rules is not None and protection and held > 0.0 and free <= 0.0 and (entry_bar < t or not armed_next)
            and protected_price(held, open_[t], high[t], low[t], entry, stop_loss, take_profit)[0] != SIGNAL
        ):  # fmt: skip
            # Settlement forbids the sale that a stop or target asks for.
            refused[NOT_SETTLED] += 1
            kept = keep_back(refused, min(locked, held), kept)

        # Where nothing can happen until another side is wanted, bars up to there are valued in one go.
        if not pending and cash > 0.0 and (held == 0.0 or (held > 0.0 and not protection)):
            last = bars - 1
            if rules is not None and rules.owes and held != 0.0:
                last = t
            elif rules is not None and event < rules.event_bar.shape[0]:
                last = min(last, rules.event_bar[event] - 1)
            t = value_quiet_bars(signals, current, t, last, cash, held, close, equity)

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
        want = want if want >= 0 or allow_short else 0
        if want == current:
            if pending and side != current:
                pending = False
                refused[CANCELLED] += 1
            continue
        if pending and side != want:
            refused[CANCELLED] += 1
        waited = quantity if pending and side == want else 0.0
        side = want
        if side != 0:
            wanted = amount if fixed else amount * value / close[t - 1]
            if rules is None:
                quantity = math.floor(wanted / lot) * lot
            else:
                quantity = whole_lots(wanted, rules.minimum[0], rules.step[0])
            if quantity <= 0.0:
                refused[BELOW_LOT] += 1
                side = 0
            if waited > 0.0 and waited != quantity:
                refused[REPLACED if side != 0 else CANCELLED] += 1
        pending = side != 0 or held != 0.0
    return n


@compiled
def simulate_rule(
    rule: int, fast: int, slow: int, low_level: float, high_level: float, units: NDArray[np.float64], first: int,
    open_: NDArray[np.float64], high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64],
    cash: float, fixed: bool, amount: float, allow_short: bool, reduce: bool,
    stop_loss: float, take_profit: float, armed_next: bool,
    rate: float, per_share: float, minimum: float, sell_tax: float, slippage: float, lot: float,
    ledger: NDArray[np.void], refused: NDArray[np.int64], equity: NDArray[np.float64], rules: Any, room: Any,
) -> int:  # fmt: skip
    """Compute ``rule`` over all bars, trade it from bar ``first``; see ``simulate``."""
    signals = np.empty(close.shape[0], dtype=np.int8)
    rule_signals(rule, close, units, fast, slow, low_level, high_level, signals)
    return simulate(
        signals[first:], open_[first:], high[first:], low[first:], close[first:],
        cash, fixed, amount, allow_short, reduce, stop_loss, take_profit, armed_next,
        rate, per_share, minimum, sell_tax, slippage, lot, ledger, refused, equity, rules, room,
    )  # fmt: skip
