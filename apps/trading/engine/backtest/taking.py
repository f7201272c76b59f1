"""What an order takes of a bar's volume and what that costs, compiled: the same arithmetic in every door.

``room`` is ``depth.Room`` or None; as with ``rules`` the compiler makes one machine code without it and one with it,
so that runs that ask for neither pay nothing.
"""

from __future__ import annotations

import math
from typing import Any

from apps.marketdata.engine.compiled import compiled
from apps.trading.engine.backtest.depth import MOST


@compiled
def volume_left(room: Any, s: int, t: int) -> float:
    """Return the shares that a bar lets one account trade."""
    if room.participation <= 0.0:
        return math.inf
    volume = room.volume[s, t]
    return room.participation * volume if volume > 0.0 else 0.0


@compiled
def part_of(size: float, left: float, step: float) -> float:
    """Return what of ``size`` fits in ``left`` shares: all of it, or whole steps."""
    return size if size <= left else math.floor(left / step) * step


@compiled
def lost_in(room: Any, s: int, t: int, size: float, price: float) -> float:
    """Return the part of the price that ``size`` shares at the market lose beside a fixed slippage.

    Half the spread; impact times the square of the share of the bar's volume; and the root of that share times
    the volatility of a bar (Almgren et al. 2005). An unknown volume counts as all taken.
    """
    volume, lost = room.volume[s, t], room.spread / 2.0 / price
    share = min(size / volume, 1.0) if volume > 0.0 else 1.0
    if room.impact > 0.0:
        lost += room.impact * share * share
    if room.root > 0.0:
        lost += room.root * room.volatility[s, t] * math.sqrt(share)
    return float(min(lost, MOST))
