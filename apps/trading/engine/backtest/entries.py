"""The rows that the compiled loops write into the ledger: trades, events, what is owed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.compiled import compiled
from apps.trading.engine.backtest.options import SHARES_LOCKED
from apps.trading.engine.backtest.permits import after_event, child_of, too_small, total_fee, whole_lots
from apps.trading.engine.ledger import BORROW, DIVIDEND, FUNDING, SPLIT
from apps.trading.engine.rules.schedule import MARKET_ORDER


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
    rules: Any,
    s: int,
    t: int,
) -> float:
    """Return the largest whole number of lots up to ``quantity`` whose value and fee fit in ``cash``; 0 where that
    is worth less than the market's least order."""
    most = min(quantity, cash / (price * (1.0 + rate) + per_share))
    if rules is None:
        least, step = lot, lot
        best = math.floor(most / lot) * lot
    else:
        least, step = rules.minimum[s], rules.step[s]
        best = whole_lots(most, least, step)
    while best >= least:
        fee = total_fee(best, price, is_sell, rate, per_share, minimum, sell_tax, rules, s, t, MARKET_ORDER)
        if best * price + fee <= cash:
            return 0.0 if too_small(best, price, False, rules, s) else best
        best -= step
    return 0.0


@compiled
def trade(
    ledger: NDArray[np.void], n: int, t: int, s: int, side: int, reason: int, size: float, price: float, cash: float,
    rate: float, per_share: float, minimum: float, sell_tax: float, rules: Any, kind: int,
) -> tuple[float, int]:  # fmt: skip
    """Buy or sell ``size`` in as many orders as the market's maximum asks; return the cash and the next row."""
    left = size
    while left > 0.0:
        part = left
        if rules is not None:
            part = child_of(left, rules.maxima[rules.board[s], t, kind], rules.minimum[s])
        fee = total_fee(part, price, side < 0, rate, per_share, minimum, sell_tax, rules, s, t, kind)
        cash -= side * part * price + fee
        n = write_fill(ledger, n, t, s, side, reason, part, price, fee)
        left -= part
    return cash, n


@compiled
def act(
    rules: Any, e: int, held: float, open_price: float, cash: float, ledger: NDArray[np.void], n: int
) -> tuple[float, float, int]:
    """Let event ``e`` happen to ``held`` shares; return what is held after, the cash, the next row of the ledger.

    A dividend pays (a short pays it); a split leaves whole shares and pays the fraction at the open.
    """
    t, s, ratio, payout = rules.event_bar[e], rules.event_symbol[e], rules.event_ratio[e], rules.event_payout[e]
    if held == 0.0:
        return held, cash, n
    if payout != 0.0:
        cash += held * payout
        n = write_fill(ledger, n, t, s, 0, DIVIDEND, held, payout, 0.0)
    if ratio != 1.0:
        whole, part = after_event(held, ratio)
        if whole != held:
            change = whole - held
            n = write_fill(ledger, n, t, s, 1 if change > 0.0 else -1, SPLIT, abs(change), 0.0, 0.0)
        if part != 0.0:
            cash += part * open_price
            n = write_fill(ledger, n, t, s, 0, SPLIT, part, open_price, 0.0)
        held = whole
    return held, cash, n


@compiled
def carry(
    rules: Any, t: int, s: int, held: float, mark: float, cash: float, ledger: NDArray[np.void], n: int
) -> tuple[float, int]:
    """Pay at the start of bar ``t`` what is owed for ``held``, each worth ``mark``; return cash and next row."""
    rate = rules.funding[s, t]
    if rate != 0.0:
        price = -mark * rate
        cash += held * price
        n = write_fill(ledger, n, t, s, 0, FUNDING, held, price, 0.0)
    if held < 0.0 and rules.borrow[t] != 0.0:
        price = mark * rules.borrow[t]
        cash += held * price
        n = write_fill(ledger, n, t, s, 0, BORROW, held, price, 0.0)
    return cash, n


@compiled
def keep_back(refused: NDArray[np.int64], short: float, kept: float) -> float:
    """Count the ``short`` shares of a session that settlement keeps from a sale; return the most of that session.

    A sale that is asked for again at the next bar of the session counts only what it asks for beyond ``kept``.
    """
    if short > kept:
        refused[SHARES_LOCKED] += int(short - kept)
        return short
    return kept
