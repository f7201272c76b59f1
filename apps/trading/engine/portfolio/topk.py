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
    traded = np.isfinite(close)
    factors = np.ones_like(close) if factor is None else factor
    account = _Account(options, factor is None or not np.isnan(factors[traded]).any())
    buyable, sellable = _open(traded, change, options)
    # Plain lists: a day touches a dozen values one by one, which arrays answer ten times slower.
    known = ~np.isnan(scores)
    order = np.argsort(np.where(known, -scores, np.inf), axis=1, kind="stable")
    days = list(zip(
        order.tolist(), known.tolist(), price[1:].tolist(), factors[1:].tolist(), buyable[1:].tolist(),
        sellable[1:].tolist(), strict=False,
    ))  # fmt: skip
    scored: list[bool] = np.any(np.isfinite(scores), axis=1).tolist()
    lasts: list[list[float]] = _last_prices(close, traded, first).tolist()
    rows: list[tuple[float, ...]] = []
    before = options.account
    for t in range(first, len(close)):
        account.traded = account.paid = 0.0
        if t > 0 and scored[t - 1]:
            _trade(account, *days[t - 1])
        last = lasts[t - first]
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


def _last_prices(close: Floats, traded: NDArray[np.bool_], first: int) -> Floats:
    """Return the last close known on each day from ``first`` on; 0 before the first one."""
    seen = np.where(traded[first:], np.arange(len(close) - first)[:, None], -1)
    rows = np.maximum.accumulate(seen, axis=0)
    return np.where(rows < 0, 0.0, np.take_along_axis(close[first:], np.maximum(rows, 0), axis=0))


def _open(
    traded: NDArray[np.bool_], change: Floats | None, options: TopkOptions
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which instruments may be bought and which sold on each day."""
    limit = options.limit_threshold
    if limit is None or change is None:
        return traded, traded
    with np.errstate(invalid="ignore"):
        up, down = np.greater_equal(change, limit), np.less_equal(change, -limit)
    if options.forbid_all_trade_at_limit:
        free = traded & ~up & ~down
        return free, free
    return traded & ~up, traded & ~down


def _trade(
    account: _Account, order: list[int], known: list[bool], price: list[float], factor: list[float],
    buyable: list[bool], sellable: list[bool],
) -> None:  # fmt: skip
    """Trade a day; ``order`` are the instruments by the score of the day before, best first, ``known`` those scored."""
    options, amounts = account.options, account.amount
    held = list(amounts)
    last = [s for s in order if s in amounts]
    fresh = [s for s in order if s not in amounts and known[s]]
    today = fresh[: max(options.n_drop + options.topk - len(last), 0)]
    together = {*last, *today}
    combined = [s for s in order if s in together]
    # None to drop are all: pyqlib cuts its list in the same way.
    worst = set(combined[-options.n_drop :])
    sell = [s for s in last if s in worst]
    buy = today[: max(len(sell) + options.topk - len(last), 0)]
    chosen = set(sell)
    for s in held:
        if s in chosen and sellable[s] and account.days[s] >= options.hold_thresh:
            account.sell(s, price[s])
    money = account.cash * options.risk_degree / len(buy) if buy else 0.0
    for s in buy:
        if buyable[s]:
            account.buy(s, account.rounded(money / price[s], factor[s]), price[s], factor[s])
