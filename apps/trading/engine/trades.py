"""Closed trades from the fill ledger: every closing fill with what it closed, first in, first out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.ledger import DIVIDEND
from apps.trading.engine.metrics import Metric

#: Shares below this are rounding noise.
DUST = 1e-9


@dataclass(frozen=True)
class Trade:
    """One closed trade, or what is still open (``exit_bar`` None).

    ``side`` 1 long, -1 short; ``entry_price`` is the mean over what was closed; ``fees`` its
    share of the fees of both sides; ``pnl`` money after fees, with dividends, funding and borrow fees; ``profit`` pnl
    by the money put in; ``reason`` why it was closed (code of the ledger). Over a split, quantity and entry price
    are those of the shares after it.
    """

    symbol: int
    side: int
    quantity: float
    entry_bar: int
    entry_price: float
    exit_bar: int | None
    exit_price: float | None
    fees: float
    pnl: float
    reason: int | None

    @property
    def profit(self) -> float:
        return self.pnl / (self.quantity * self.entry_price)


@dataclass
class _Lot:
    quantity: float
    price: float
    fee: float  # by share
    bar: int
    side: int
    income: float = 0.0  # by share: dividends, and what a split paid for a fraction


def match_trades(ledger: NDArray[np.void]) -> tuple[list[Trade], list[Trade]]:
    """Return the closed trades in the order of their exits, and what is open at the end.

    An open one has no exit and its pnl counts only the fees paid and the dividends received.
    """
    open_lots: dict[int, deque[_Lot]] = {}
    closed: list[Trade] = []
    for fill in _orders(ledger):
        symbol, side, left = int(fill["symbol"]), int(fill["side"]), float(fill["quantity"])
        lots = open_lots.setdefault(symbol, deque())
        if fill["reason"] >= DIVIDEND:
            _act(lots, side, left, float(fill["price"]))
            continue
        fee = float(fill["fee"]) / left
        if lots and lots[0].side != side:
            trade, left = _close(lots, symbol, left, fill, fee)
            closed.append(trade)
        if left > DUST:
            lots.append(_Lot(left, float(fill["price"]), fee, int(fill["bar"]), side))
    return closed, [_open(symbol, lot) for symbol, lots in sorted(open_lots.items()) for lot in lots]


def _orders(ledger: NDArray[np.void]) -> NDArray[np.void]:
    """Return the ledger with what was split into several orders for the market's maximum put together again."""
    if len(ledger) < 2:
        return ledger
    names = ["bar", "symbol", "side", "reason", "price"]
    begins = np.concatenate([[True], ledger[names][1:] != ledger[names][:-1]]) | (ledger["side"] == 0)
    if begins.all():
        return ledger
    first = np.flatnonzero(begins)
    found = ledger[first].copy()
    for name in ("quantity", "fee"):
        found[name] = np.add.reduceat(ledger[name], first)
    return found


def _act(lots: deque[_Lot], side: int, quantity: float, price: float) -> None:
    """Spread money received (``side`` 0), or a change of the number of shares, over what is open."""
    total = sum(lot.quantity for lot in lots)
    if total <= DUST:
        return
    if side == 0:
        for lot in lots:
            lot.income += quantity * price / total
        return
    factor = 1.0 + side * lots[0].side * quantity / total
    for lot in lots:
        lot.quantity, lot.price = lot.quantity * factor, lot.price / factor
        lot.fee, lot.income = lot.fee / factor, lot.income / factor


def _close(lots: deque[_Lot], symbol: int, left: float, fill: Any, fee: float) -> tuple[Trade, float]:
    """Close ``left`` shares against ``lots``; return the trade and the shares that found nothing to close."""
    side, bar, price = lots[0].side, lots[0].bar, float(fill["price"])
    quantity = cost = fees = income = 0.0
    while lots and left > DUST:
        lot = lots[0]
        taken = min(lot.quantity, left)
        quantity, left, lot.quantity = quantity + taken, left - taken, lot.quantity - taken
        cost += taken * lot.price
        fees += taken * (lot.fee + fee)
        income += taken * lot.income
        if lot.quantity <= DUST:
            lots.popleft()
    pnl = side * (quantity * price - cost) - fees + income
    trade = Trade(symbol, side, quantity, bar, cost / quantity, int(fill["bar"]), price, fees, pnl, int(fill["reason"]))
    return trade, left


def _open(symbol: int, lot: _Lot) -> Trade:
    fees = lot.quantity * lot.fee
    pnl = lot.quantity * lot.income - fees
    return Trade(symbol, lot.side, lot.quantity, lot.bar, lot.price, None, None, fees, pnl, None)


def trade_metrics(closed: list[Trade]) -> dict[str, Metric]:
    """Return the figures of closed trades by their glossary name."""
    gains = sum(t.pnl for t in closed if t.pnl > 0)
    losses = -sum(t.pnl for t in closed if t.pnl < 0)
    count = len(closed)
    return {
        "trades": float(count),
        "trade_win_rate": sum(t.pnl > 0 for t in closed) / count if count else None,
        "trade_profit_factor": gains / losses if losses > 0 else None,
        "average_trade": sum(t.profit for t in closed) / count if count else None,
        "average_bars": sum((t.exit_bar or 0) - t.entry_bar for t in closed) / count if count else None,
    }
