"""The named rules on whole ticks, compiled.

Averages are compared as integer sums: ``slow * sum(fast closes)`` against
``fast * sum(slow closes)``. So a tie is a tie on every machine, and a tie gives no order.
Prices are counted in units of 10**-d: the fewest decimals that hold every price (the tick),
or, where prices lie on no such grid (adjusted by a factor), the finest grid whose sums still
fit in 64 bits, which is about 12 significant digits.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.compiled import compiled
from apps.trading.engine.backtest.options import FLAT, HOLD, LONG

SMA_CROSS, RSI_REVERSAL, BUY_AND_HOLD = range(3)
RULES = {"sma_cross": SMA_CROSS, "rsi_reversal": RSI_REVERSAL, "buy_and_hold": BUY_AND_HOLD}

MAX_DECIMALS = 8
#: Bits of one price in ticks; two windows of up to 2**11 bars multiply the sums to 2**62.
TICK_BITS = 40
#: Rounding of a decimal price in ticks: a double's relative step, and something for small ones.
EPSILON, NOISE = 2.0**-52, 1e-9
#: Closes turned into ticks at a time: few enough to stay in the processor's nearest memory.
BLOCK = 2048


@compiled
def all_traded(prices: NDArray[np.float64]) -> bool:
    """Return whether every price is finite and above zero."""
    bad = 0
    for i in range(prices.shape[0]):
        bad += not (prices[i] > 0.0 and prices[i] < np.inf)
    return bad == 0


@compiled
def to_ticks(prices: NDArray[np.float64], unit: float, out: NDArray[np.int64]) -> bool:
    """Write ``prices * unit`` rounded half up; return whether all lie on the grid, as far as a double tells."""
    off = 0
    for i in range(prices.shape[0]):
        scaled = prices[i] * unit
        whole = np.floor(scaled + 0.5)
        off += abs(scaled - whole) > NOISE + 2.0 * EPSILON * scaled
        out[i] = np.int64(whole)
    return off == 0


@compiled
def on_grid(prices: NDArray[np.float64], unit: float) -> bool:
    """Return whether all prices (T,) are whole numbers of ``1 / unit``; stops at the first block that is not."""
    ticks = np.empty(BLOCK, dtype=np.int64)
    for start in range(0, prices.shape[0], BLOCK):
        block = prices[start : start + BLOCK]
        if not to_ticks(block, unit, ticks[: block.shape[0]]):
            return False
    return True


@compiled
def sma_signals(
    prices: NDArray[np.float64], unit: float, strict: bool, fast: int, slow: int, out: NDArray[np.int8]
) -> bool:
    """Write LONG where the fast average of (T,) closes is above the slow one, FLAT below, HOLD on a tie.

    ``strict`` stops and returns False where a price does not lie on the grid of ``unit``.
    """
    ticks = np.empty(slow + BLOCK, dtype=np.int64)
    ticks[:] = 0  # before the first bar: adds nothing to the sums
    lead = np.int64(0)  # slow * sum of the last fast closes - fast * sum of the last slow ones
    for start in range(0, prices.shape[0], BLOCK):
        block = prices[start : start + BLOCK]
        count = block.shape[0]
        now = ticks[slow : slow + count]
        if not to_ticks(block, unit, now) and strict:
            return False
        left_fast, left_slow, wanted = ticks[slow - fast :], ticks, out[start : start + count]
        for i in range(count):
            lead += slow * (now[i] - left_fast[i]) - fast * (now[i] - left_slow[i])
            wanted[i] = LONG if lead > 0 else FLAT if lead < 0 else HOLD
        ticks[:slow] = ticks[count : count + slow].copy()
    out[: slow - 1] = HOLD
    return True


@compiled
def rsi_signals(
    prices: NDArray[np.float64], unit: float, strict: bool, window: int, low: float, high: float, out: NDArray[np.int8]
) -> bool:
    """Write LONG where Wilder's RSI of (T,) closes is below ``low``, FLAT above ``high``, else HOLD.

    The first averages are means over ``window`` changes; later ones are smoothed by 1/window.
    ``strict`` as in ``sma_signals``.
    """
    gain, loss = 0.0, 0.0
    ticks = np.empty(1 + BLOCK, dtype=np.int64)
    for start in range(0, prices.shape[0], BLOCK):
        block = prices[start : start + BLOCK]
        count = block.shape[0]
        if not to_ticks(block, unit, ticks[1 : 1 + count]) and strict:
            return False
        if start == 0:
            ticks[0] = ticks[1]
        for i in range(count):
            t = start + i
            change = float(ticks[i + 1] - ticks[i])
            up, down = max(change, 0.0), max(-change, 0.0)
            if t <= window:
                gain += up / window
                loss += down / window
            else:
                gain += (up - gain) / window
                loss += (down - loss) / window
            want = HOLD
            if t >= window and gain + loss > 0.0:
                # RSI = 100 gain / (gain + loss), compared without the division.
                if 100.0 * gain < low * (gain + loss):
                    want = LONG
                elif 100.0 * gain > high * (gain + loss):
                    want = FLAT
            out[t] = want
        ticks[0] = ticks[count]
    return True


@compiled
def rule_signals(
    rule: int,
    prices: NDArray[np.float64],
    units: NDArray[np.float64],
    fast: int,
    slow: int,
    low: float,
    high: float,
    out: NDArray[np.int8],
) -> None:
    """Write what ``rule`` wants after each close; ``fast`` is the window of the RSI.

    ``units`` are tried from the coarsest; the last one is taken whether or not prices lie on it.
    """
    if rule == BUY_AND_HOLD:
        out[:] = LONG
        return
    for k in range(units.shape[0]):
        strict = k < units.shape[0] - 1
        if rule == SMA_CROSS:
            done = sma_signals(prices, units[k], strict, fast, slow, out)
        else:
            done = rsi_signals(prices, units[k], strict, fast, low, high, out)
        if done:
            break


def price_units(prices: NDArray[np.float64], tick: float | None = None) -> NDArray[np.float64]:
    """Return the grids to try for finite ``prices`` (T,): ticks in one unit of price, coarsest first."""
    if tick is not None:
        return np.array([1.0 / tick])
    top = max(float(prices.max()), 1e-9) if len(prices) else 1.0
    most = math.floor((TICK_BITS - math.ceil(math.log2(top))) * math.log10(2.0))
    decimals = [*range(min(MAX_DECIMALS, most) + 1), most]
    return np.array([10.0**d for d in decimals])


def price_unit(prices: NDArray[np.float64], tick: float | None = None) -> float:
    """Return the first of ``price_units`` on which all prices lie, or the finest."""
    units = price_units(prices, tick)
    return next((float(unit) for unit in units[:-1] if on_grid(prices, unit)), float(units[-1]))
