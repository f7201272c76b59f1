"""Top-k dropout as pyqlib trades it: hold ``topk``, swap the ``n_drop`` worst each day.

The score of day t-1 trades on day t. Semantics follow pyqlib 0.9.7's TopkDropoutStrategy,
SimulatorExecutor and Exchange, sells before buys; equal to it to 1e-9 on the reference cases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TopkOptions:
    """Options under pyqlib's names. Costs are fractions of the traded value, ``min_cost`` money an order.

    ``limit_threshold`` None: no price limit (pyqlib puts the region's own number there).
    ``trade_unit`` None: any amount; else raw shares, amounts being adjusted by ``factor``.
    """

    topk: int = 50
    n_drop: int = 5
    hold_thresh: int = 1
    risk_degree: float = 0.95
    forbid_all_trade_at_limit: bool = True
    open_cost: float = 0.0015
    close_cost: float = 0.0025
    min_cost: float = 5.0
    trade_unit: float | None = None
    limit_threshold: float | None = None
    account: float = 1e8


@dataclass(frozen=True)
class TopkResult:
    """Daily (T,) figures from the first day on: ``returns`` before costs, ``turnover`` and ``cost`` over the
    account of the day before; ``account``, ``value``, ``cash``, ``traded`` and ``paid`` in money."""

    account: Floats
    returns: Floats
    traded: Floats
    turnover: Floats
    paid: Floats
    cost: Floats
    value: Floats
    cash: Floats


class _Account:
    """Positions and cash of one run; amounts are in adjusted shares."""

    def __init__(self, options: TopkOptions, rounding: bool) -> None:
        self.options, self.rounding = options, rounding
        self.cash = options.account
        self.amount: dict[int, float] = {}
        self.days: dict[int, int] = {}
        self.traded = self.paid = 0.0

    def rounded(self, amount: float, factor: float) -> float:
        unit = self.options.trade_unit
        if unit is None or not self.rounding:
            return amount
        return (amount * factor + 0.1) // unit * unit / factor

    def sell(self, s: int, price: float) -> None:
        amount = self.amount[s]
        value = amount * price
        fee = max(value * self.options.close_cost, self.options.min_cost) if value > 1e-5 else 0.0
        if self.cash + value < fee:
            return
        del self.amount[s], self.days[s]
        self._book(value, fee, sign=1.0)

    def buy(self, s: int, wanted: float, price: float, factor: float) -> None:
        rate, least = self.options.open_cost, self.options.min_cost
        amount = self.rounded(wanted, factor)
        value = amount * price
        fee = max(value * rate, least)
        if self.cash < fee:
            return
        if self.cash < value + fee:
            amount = self.rounded(min(self._affordable(price), amount), factor)
            value = amount * price
            fee = max(value * rate, least)
        if value <= 1e-5:
            return
        self.amount[s] = self.amount.get(s, 0.0) + amount
        self.days.setdefault(s, 0)
        self._book(value, fee, sign=-1.0)

    def _affordable(self, price: float) -> float:
        rate, least = self.options.open_cost, self.options.min_cost
        if self.cash >= (least / rate + least if rate else math.inf) or not least:
            return self.cash / (1.0 + rate) / price
        return max(self.cash - least, 0.0) / price

    def _book(self, value: float, fee: float, sign: float) -> None:
        self.cash += sign * value - fee
        self.traded += value
        self.paid += fee


def topk_dropout(
    scores: Floats, price: Floats, close: Floats, options: TopkOptions, *, first: int = 0,
    factor: Floats | None = None, change: Floats | None = None,
) -> TopkResult:  # fmt: skip
    """Trade ``scores`` (T, S) at ``price`` (T, S) from day ``first`` on; NaN close: suspended.

    ``factor`` (T, S) is adjusted over raw price; where it is missing for any price nothing is rounded.
    ``change`` (T, S) is the day's change, against which the limit is held.
    """
    traded_at = np.isfinite(close)
    factors = np.ones_like(close) if factor is None else factor
    rounding = factor is None or not np.isnan(factors[traded_at]).any()
    account = _Account(options, rounding)
    rows: list[tuple[float, ...]] = []
    before, last = options.account, np.zeros(close.shape[1])
    for t in range(first, len(close)):
        account.traded = account.paid = 0.0
        if t > 0 and np.isfinite(scores[t - 1]).any():
            _trade(account, scores[t - 1], price[t], factors[t], *_open(traded_at[t], change, t, options))
        last = np.where(traded_at[t], close[t], last)
        value = float(sum(amount * last[s] for s, amount in account.amount.items()))
        for s in account.days:
            account.days[s] += 1
        now = value + account.cash
        gain = (now - before + account.paid) / before
        rows.append((
            now, gain, account.traded, account.traded / before, account.paid, account.paid / before, value, account.cash
        ))  # fmt: skip
        before = now
    table = np.array(rows, np.float64).reshape(-1, 8)
    return TopkResult(*(np.ascontiguousarray(table[:, i]) for i in range(8)))


def _open(
    traded: NDArray[np.bool_], change: Floats | None, t: int, options: TopkOptions
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which instruments may be bought and which sold on day ``t``."""
    limit = options.limit_threshold
    if limit is None or change is None:
        return traded, traded
    with np.errstate(invalid="ignore"):
        up, down = change[t] >= limit, change[t] <= -limit
    if options.forbid_all_trade_at_limit:
        return traded & ~up & ~down, traded & ~up & ~down
    return traded & ~up, traded & ~down


def _trade(
    account: _Account, score: Floats, price: Floats, factor: Floats,
    buyable: NDArray[np.bool_], sellable: NDArray[np.bool_],
) -> None:  # fmt: skip
    options = account.options
    order = [int(s) for s in np.argsort(-np.where(np.isnan(score), -np.inf, score), kind="stable")]
    held = list(account.amount)
    last = [s for s in order if s in account.amount]
    fresh = [s for s in order if s not in account.amount and not math.isnan(score[s])]
    today = fresh[: max(options.n_drop + options.topk - len(last), 0)]
    together = set(last) | set(today)
    combined = [s for s in order if s in together]
    worst = set(combined[-options.n_drop :]) if options.n_drop else set()
    sell = [s for s in last if s in worst]
    buy = today[: max(len(sell) + options.topk - len(last), 0)]
    chosen = set(sell)
    for s in held:
        if s in chosen and sellable[s] and account.days[s] >= options.hold_thresh:
            account.sell(s, float(price[s]))
    money = account.cash * options.risk_degree / len(buy) if buy else 0.0
    for s in buy:
        if buyable[s]:
            wanted = account.rounded(money / float(price[s]), float(factor[s]))
            account.buy(s, wanted, float(price[s]), float(factor[s]))
