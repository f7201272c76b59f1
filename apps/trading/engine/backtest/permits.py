"""What a market lets an order do, compiled: price limits, settlement, lots, charges, corporate actions.

``rules`` is ``market.Rules`` or None; the compiler makes one machine code without any rule and one with
them, so that runs without rules pay nothing. The broker of the third door runs the same functions in Python.
"""

from __future__ import annotations

import math
from typing import Any

from apps.marketdata.engine.compiled import compiled
from apps.trading.engine import costs
from apps.trading.engine.backtest.market import SAME
from apps.trading.engine.rules.schedule import BOTH, MARKET_ORDER, MOST_SOLD, SELL, SHARE_SOLD

order_fee = compiled(costs.order_fee)


@compiled
def whole_lots(quantity: float, least: float, step: float) -> float:
    """Return the largest quantity that may be bought up to ``quantity``: ``least`` and whole steps above, or 0."""
    if quantity < least:
        return 0.0
    return least + math.floor((quantity - least) / step) * step


@compiled
def sale_lots(quantity: float, held: float, step: float) -> float:
    """Return the largest quantity up to ``quantity`` that a holder of ``held`` may sell.

    Whole steps, with the odd remainder of the holding or without it; all of it always.
    """
    if quantity >= held:
        return held
    whole = math.floor(quantity / step) * step
    odd = held - math.floor(held / step) * step
    if quantity >= odd:
        whole = max(whole, odd + math.floor((quantity - odd) / step) * step)
    return whole


@compiled
def allowed_change(change: float, held: float, least: float, step: float) -> float:
    """Return the part of a change of ``held`` shares that the lots of the market allow, in its direction.

    Closing is always allowed; a short grows and falls by the lots of a purchase.
    """
    if change < 0.0:
        if held > 0.0:
            sold = sale_lots(min(-change, held), held, step)
            beyond = -change - held
            return -sold - (whole_lots(beyond, least, step) if beyond > 0.0 else 0.0)
        return -whole_lots(-change, least, step)
    if held < 0.0:
        bought = sale_lots(min(change, -held), -held, step)
        beyond = change + held
        return bought + (whole_lots(beyond, least, step) if beyond > 0.0 else 0.0)
    return whole_lots(change, least, step)


@compiled
def open_to(is_sell: bool, price: float, up: float, down: float) -> bool:
    """Return whether anybody can be met at ``price``: nobody sells at limit up, nobody buys at limit down.

    A price beyond a limit cannot have been traded: the bar is at fault. NaN limits are none.
    """
    if price > up + up * SAME or price < down - down * SAME:
        return False
    return not (price <= down + down * SAME if is_sell else price >= up - up * SAME)


@compiled
def inside(price: float, up: float, down: float) -> float:
    """Return ``price`` moved into the limits, as slippage may have pushed it out; NaN limits are none."""
    if price > up:  # noqa: PLR1730 - a NaN limit must lose every comparison
        price = up
    if price < down:  # noqa: PLR1730
        price = down
    return price


@compiled
def levied(
    fee: float, notional: float, quantity: float, is_sell: bool,
    both: float, sell: float, share_sold: float, most_sold: float,
) -> float:  # fmt: skip
    """Return ``fee`` and what the market charges on top."""
    fee += notional * both
    if is_sell:
        fee += notional * sell + min(quantity * share_sold, most_sold)
    return fee


@compiled
def child_of(left: float, most: float, least: float) -> float:
    """Return the quantity of the next order where ``left`` is to be traded and one order holds ``most``.

    What stays for the last is at least ``least``, the smallest order there may be.
    """
    if left <= most:
        return left
    return left - least if left - most < least else most


@compiled
def total_fee(
    quantity: float, price: float, is_sell: bool,
    rate: float, per_share: float, minimum: float, sell_tax: float, rules: Any, s: int, t: int, kind: int,
) -> float:  # fmt: skip
    """Return commission, tax and charges of trading instrument ``s`` at bar ``t``, in as many orders as it takes."""
    notional = quantity * price
    if rules is None:
        return order_fee(notional, quantity, is_sell, rate, per_share, minimum, sell_tax)
    row, most = rules.charges[rules.board[s], t], rules.maxima[rules.board[s], t, kind]
    if quantity <= most:
        fee = order_fee(notional, quantity, is_sell, rate, per_share, minimum, sell_tax)
        return levied(fee, notional, quantity, is_sell, row[BOTH], row[SELL], row[SHARE_SOLD], row[MOST_SOLD])
    total, left = 0.0, quantity
    while left > 0.0:
        part = child_of(left, most, rules.minimum[s])
        fee = order_fee(part * price, part, is_sell, rate, per_share, minimum, sell_tax)
        total += levied(fee, part * price, part, is_sell, row[BOTH], row[SELL], row[SHARE_SOLD], row[MOST_SOLD])
        left -= part
    return total


@compiled
def too_large(quantity: float, closes: bool, rules: Any, s: int, t: int) -> bool:
    """Return whether an order at the market is refused for its size: never one that ``closes`` a holding."""
    if rules is None:
        return False
    return bool(rules.refuse and not closes and quantity > rules.maxima[rules.board[s], t, MARKET_ORDER])


@compiled
def too_small(quantity: float, price: float, closes: bool, rules: Any, s: int) -> bool:
    """Return whether an order is refused for its value at ``price``: never one that ``closes`` a holding."""
    if rules is None:
        return False
    return bool(not closes and quantity * price < rules.least_value[s])


@compiled
def after_event(held: float, ratio: float) -> tuple[float, float]:
    """Return the whole shares that ``held`` become and the fraction paid out in cash (signed like ``held``)."""
    exact = abs(held) * ratio
    whole = math.floor(exact + 1e-9)
    sign = 1.0 if held > 0.0 else -1.0
    return sign * whole, sign * max(exact - whole, 0.0)
