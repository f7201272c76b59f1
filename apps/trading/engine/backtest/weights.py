"""The compiled loop for several instruments held by target weights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.compiled import compiled
from apps.trading.engine.backtest.kernel import affordable, order_fee, write_fill
from apps.trading.engine.backtest.options import BELOW_LOT, CUT_TO_CASH, NO_CASH, REBALANCE, RUIN


@compiled
def rebalance(  # noqa: PLR0912, PLR0915 - one loop, so that the compiler sees all of a bar
    weights: NDArray[np.float64], open_: NDArray[np.float64], close: NDArray[np.float64],
    first: int, cash: float, invest: float, allow_short: bool, reduce: bool,
    rate: float, per_share: float, minimum: float, sell_tax: float, slippage: float, lot: float,
    ledger: NDArray[np.void], refused: NDArray[np.int64],
    equity: NDArray[np.float64],
) -> int:  # fmt: skip
    """Trade bars ``first`` to the end and return the number of fills (which may exceed the ledger's room).

    After each close: target shares = floor(invest * equity * weight / close) in whole lots; a
    NaN weight keeps the shares held. At the next open that trades: sells first, then buys,
    each in column order. An instrument without an open waits; one without a close keeps its
    last price and cannot be sized. Arrays are (S, T).
    """
    symbols, bars = close.shape
    held = np.zeros(symbols)
    target = np.zeros(symbols)
    waiting = np.zeros(symbols, dtype=np.bool_)
    last = np.zeros(symbols)
    n, ruined, reason = 0, False, REBALANCE
    for s in range(symbols):
        for t in range(first):
            if close[s, t] > 0.0:
                last[s] = close[s, t]

    for t in range(first, bars):
        for leg in range(2):
            for s in range(symbols):
                if not waiting[s] or not open_[s, t] > 0.0:
                    continue
                change = target[s] - held[s]
                is_sell = change < 0.0
                if is_sell != (leg == 0):
                    continue
                waiting[s] = False
                price = open_[s, t] * (1.0 - slippage) if is_sell else open_[s, t] * (1.0 + slippage)
                size = abs(change)
                fee = order_fee(size * price, size, is_sell, rate, per_share, minimum, sell_tax)
                cover = max(-held[s], 0.0)  # buying a short back is never refused
                if not is_sell and size > cover and size * price + fee > cash:
                    size = (
                        affordable(size, price, is_sell, cash, lot, rate, per_share, minimum, sell_tax)
                        if reduce
                        else 0.0
                    )
                    size = max(size, cover)
                    refused[CUT_TO_CASH if size > 0.0 else NO_CASH] += 1
                    fee = order_fee(size * price, size, is_sell, rate, per_share, minimum, sell_tax)
                if size <= 0.0:
                    continue
                signed = -size if is_sell else size
                held[s] += signed
                cash -= signed * price + fee
                n = write_fill(ledger, n, t, s, -1 if is_sell else 1, reason, size, price, fee)

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
            wanted = invest * value * weight / close[s, t] / lot
            target[s] = (math.floor(wanted) if wanted >= 0.0 else math.ceil(wanted)) * lot
            waiting[s] = target[s] != held[s]
            if weight != 0.0 and target[s] == 0.0:
                refused[BELOW_LOT] += 1
    return n
