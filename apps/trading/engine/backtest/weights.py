"""The compiled loop for several instruments held by target weights."""

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
    LIMIT_DOWN,
    LIMIT_UP,
    NO_CASH,
    NOT_SETTLED,
    REPLACED,
    SUSPENDED,
    VOLUME,
)
from apps.trading.engine.backtest.permits import allowed_change, inside, open_to, too_large, too_small, total_fee
from apps.trading.engine.backtest.taking import lost_in, part_of, volume_left
from apps.trading.engine.ledger import REBALANCE, RUIN
from apps.trading.engine.rules.schedule import MARKET_ORDER


@compiled
def rebalance(  # noqa: PLR0912, PLR0915 - one loop, so that the compiler sees all of a bar
    weights: NDArray[np.float64], open_: NDArray[np.float64], close: NDArray[np.float64],
    first: int, cash: float, invest: float, allow_short: bool, reduce: bool,
    rate: float, per_share: float, minimum: float, sell_tax: float, slippage: float, lot: float,
    ledger: NDArray[np.void], refused: NDArray[np.int64],
    equity: NDArray[np.float64], rules: Any, room: Any,
) -> int:  # fmt: skip
    """Trade bars ``first`` to the end and return the number of fills (which may exceed the ledger's room).

    After each close: target shares = floor(invest * equity * weight / close) in whole lots; a
    NaN weight keeps the shares held. At the next open that trades: sells first, then buys,
    each in column order. An instrument without an open waits; one without a close keeps its
    last price and cannot be sized. Arrays are (S, T). ``rules`` (``market.Rules`` or None): an order at a
    price limit or for shares bought the same day waits as well, and quantities are the market's lots. With ``room``
    (``depth.Room`` or None) what a bar's volume leaves of an order waits, too.
    """
    symbols, bars = close.shape
    held = np.zeros(symbols)
    target = np.zeros(symbols)
    waiting = np.zeros(symbols, dtype=np.bool_)
    last = np.zeros(symbols)
    bought = np.zeros(symbols)  # since the session began
    kept = np.zeros(symbols)  # of those, the most that a sale wanted
    n, event, ruined, reason = 0, 0, False, REBALANCE
    if rules is not None:
        while event < rules.event_bar.shape[0] and rules.event_bar[event] <= first:
            event += 1
    for s in range(symbols):
        for t in range(first):
            if close[s, t] > 0.0:
                last[s] = close[s, t]

    for t in range(first, bars):
        if rules is not None:
            if rules.owes:
                for s in range(symbols):
                    if held[s] != 0.0:
                        cash, n = carry(rules, t, s, held[s], last[s], cash, ledger, n)
            while event < rules.event_bar.shape[0] and rules.event_bar[event] <= t:
                s, ratio = rules.event_symbol[event], rules.event_ratio[event]
                held[s], cash, n = act(rules, event, held[s], open_[s, t], cash, ledger, n)
                bought[s] = min(math.floor(bought[s] * ratio), max(held[s], 0.0))
                target[s] = math.floor(target[s] * ratio) if target[s] >= 0.0 else math.ceil(target[s] * ratio)
                if waiting[s]:
                    target[s] = held[s] + allowed_change(target[s] - held[s], held[s], rules.minimum[s], rules.step[s])
                    waiting[s] = target[s] != held[s]
                last[s] = (last[s] - rules.event_payout[event]) / ratio
                event += 1
            if t == first or rules.day[t] != rules.day[t - 1]:
                bought[:] = 0.0
                kept[:] = 0.0
        for leg in range(2):
            for s in range(symbols):
                if not waiting[s]:
                    continue
                change = target[s] - held[s]
                is_sell = change < 0.0
                if is_sell != (leg == 0):
                    continue
                if not open_[s, t] > 0.0:
                    if rules is not None:
                        refused[SUSPENDED] += 1
                    continue
                size, whole = abs(change), True
                closes = held[s] * change < 0.0 and size <= abs(held[s])
                if too_large(size, closes, rules, s, t):
                    refused[ABOVE_MAXIMUM] += 1
                    waiting[s] = False
                    continue
                if too_small(size, open_[s, t], closes and size == abs(held[s]), rules, s):
                    refused[BELOW_VALUE] += 1
                    waiting[s] = False
                    continue
                if rules is not None:
                    if not open_to(is_sell, open_[s, t], rules.up[s, t], rules.down[s, t]):
                        refused[LIMIT_DOWN if is_sell else LIMIT_UP] += 1
                        continue
                    unsettled = is_sell and held[s] > 0.0 and rules.settle[s] != 0 and bought[s] > 0.0
                    if unsettled and size > held[s] - bought[s]:
                        refused[NOT_SETTLED] += 1
                        short = min(size - max(held[s] - bought[s], 0.0), bought[s])
                        kept[s] = keep_back(refused, short, kept[s])
                        whole = False
                        size = math.floor(max(held[s] - bought[s], 0.0) / rules.step[s]) * rules.step[s]
                        if size <= 0.0:
                            continue
                lost = slippage
                if room is not None:
                    fit = part_of(size, volume_left(room, s, t), lot if rules is None else rules.step[s])
                    if fit < size:
                        refused[VOLUME] += 1
                        whole, size = False, fit
                        if size <= 0.0:
                            continue
                    lost += lost_in(room, s, t, size, open_[s, t])
                waiting[s] = not whole
                price = open_[s, t] * (1.0 - lost) if is_sell else open_[s, t] * (1.0 + lost)
                if rules is not None:
                    price = inside(price, rules.up[s, t], rules.down[s, t])
                fee = total_fee(size, price, is_sell, rate, per_share, minimum, sell_tax, rules, s, t, MARKET_ORDER)
                cover = max(-held[s], 0.0)  # buying a short back is never refused
                if not is_sell and size > cover and size * price + fee > cash:
                    size = (
                        affordable(size, price, is_sell, cash, lot, rate, per_share, minimum, sell_tax, rules, s, t)
                        if reduce
                        else 0.0
                    )
                    size, waiting[s] = max(size, cover), False
                    refused[CUT_TO_CASH if size > 0.0 else NO_CASH] += 1
                if size <= 0.0:
                    continue
                held[s] += -size if is_sell else size
                if not is_sell:
                    bought[s] += size
                cash, n = trade(
                    ledger, n, t, s, -1 if is_sell else 1, reason, size, price, cash,
                    rate, per_share, minimum, sell_tax, rules, MARKET_ORDER,
                )  # fmt: skip

        value = cash
        for s in range(symbols):
            if close[s, t] > 0.0:
                last[s] = close[s, t]
            value += held[s] * last[s]
        equity[t - first] = value

        if ruined:
            continue
        if value <= 0.0:
            ruined, reason = True, RUIN
            for s in range(symbols):
                target[s], waiting[s] = 0.0, held[s] != 0.0
            continue
        for s in range(symbols):
            weight = weights[s, t]
            if math.isnan(weight) or not close[s, t] > 0.0:
                continue
            if weight < 0.0 and not allow_short:
                weight = 0.0
            unit = lot if rules is None else min(rules.step[s], 1.0)
            wanted = invest * value * weight / close[s, t] / unit
            waited = target[s] - held[s] if waiting[s] else 0.0
            target[s] = (math.floor(wanted) if wanted >= 0.0 else math.ceil(wanted)) * unit
            if rules is not None:
                target[s] = held[s] + allowed_change(target[s] - held[s], held[s], rules.minimum[s], rules.step[s])
            waiting[s] = target[s] != held[s]
            if waited != 0.0 and waited != target[s] - held[s]:
                refused[REPLACED if waited * (target[s] - held[s]) > 0.0 else CANCELLED] += 1
            if weight != 0.0 and target[s] == 0.0:
                refused[BELOW_LOT] += 1
    return n
