"""The dated rules of many instruments over many days at once, as arrays.

The same rows as ``day_rules``, asked once for each board instead of once for each bar: 751 stocks over
16 years take a second. Prices are counted in whole ticks, so that half a tick goes up exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.rules.boards import Board
from apps.trading.engine.rules.tables import ROWS, Row

Floats = NDArray[np.float64]
Days = NDArray[np.datetime64]
#: Columns of ``charges``: of the money of both sides, of the money of a sale, by share sold, its most an order.
BOTH, SELL, SHARE_SOLD, MOST_SOLD = range(4)
#: Columns of ``maxima``: of a limit order, of one at the market.
LIMIT_ORDER, MARKET_ORDER = range(2)
#: What a market charges beside the commission: rule, column.
CHARGES: dict[str, tuple[tuple[str, int], ...]] = {
    "CN": (("transfer_fee", BOTH), ("stamp_duty", SELL), ("stamp_duty_both", BOTH)),
    "US": (("sec_fee", SELL), ("taf", SHARE_SOLD)),
    "CRYPTO": (),
}
#: A charge that was taken in another way at other times is one charge to a reader.
SAME_CHARGE = {"stamp_duty_both": "stamp_duty"}
#: Bands are whole numbers of this part.
PART = 10_000


def rows_of(board: Board, what: str) -> list[Row]:
    """Return the rows that rule ``what``, a board's own before those for all boards."""
    market, name = board
    return [row for own in (name, "*") for row in ROWS if (row.market, row.board, row.what) == (market, own, what)]


def over(board: Board, what: str, days: Days) -> list[tuple[Row, NDArray[np.bool_]]]:
    """Return each row with the days (T,) it rules; a day that an earlier one ruled is not its own."""
    free = np.ones(len(days), dtype=bool)
    found = []
    for row in rows_of(board, what):
        mine = free & (days >= np.datetime64(row.since, "D"))
        if row.until is not None:
            mine &= days <= np.datetime64(row.until, "D")
        if mine.any():
            found.append((row, mine))
            free = free & ~mine
    return found


def known(board: Board, what: str, days: Days) -> NDArray[np.bool_]:
    """Return on which days (T,) a row rules ``what``."""
    ruled = np.zeros(len(days), dtype=bool)
    for _, mine in over(board, what, days):
        ruled |= mine
    return ruled


def latest(board: Board, what: str, days: Days, otherwise: Any) -> Any:
    """Return the value on the last day, or ``otherwise`` where no row rules it."""
    found = over(board, what, days[-1:])
    return found[0][0].value if found else otherwise


def charges(board: Board, days: Days) -> Floats:
    """Return (T, 4) what the market charges beside the commission (``BOTH`` …); 0 where no row is known."""
    found = np.zeros((len(days), 4))
    found[:, MOST_SOLD] = np.inf
    for what, column in CHARGES[board[0]]:
        found[:, column] += rates(board, what, days)
        if column == SHARE_SOLD:
            for row, mine in over(board, what, days):
                found[mine, MOST_SOLD] = row.value[1]
    return found


def rates(board: Board, what: str, days: Days) -> Floats:
    """Return the rate (T,) of one charge, of money or (what is taken by share) of shares; 0 where no row is known."""
    found = np.zeros(len(days))
    for row, mine in over(board, what, days):
        found[mine] = row.value[0] if isinstance(row.value, tuple) else row.value
    return found


def maxima(board: Board, days: Days) -> Floats:
    """Return (T, 2) the most shares of one order (``LIMIT_ORDER`` …); infinite where no row is known."""
    return _pairs(board, "maximum", days, np.inf)


def cages(board: Board, days: Days) -> Floats:
    """Return (T, 2) how far a limit order may lie through the market: share and money; NaN where no row is known."""
    found = _pairs(board, "cage", days, np.nan)
    for row, mine in over(board, "tick", days):
        found[mine, 1] *= row.value
    return found


def _pairs(board: Board, what: str, days: Days, otherwise: float) -> Floats:
    found = np.full((len(days), 2), otherwise)
    for row, mine in over(board, what, days):
        found[mine] = row.value
    return found


def uncharged(board: Board, days: Days) -> dict[str, tuple[str, str]]:
    """Return for each charge the first and last day on which no row tells it, as ISO dates."""
    ruled: dict[str, NDArray[np.bool_]] = {}
    for what, _ in CHARGES[board[0]]:
        name = SAME_CHARGE.get(what, what)
        ruled[name] = known(board, what, days) | ruled.get(name, np.zeros(len(days), dtype=bool))
    missing = {what: days[~told] for what, told in ruled.items()}
    return {what: (str(gap[0]), str(gap[-1])) for what, gap in missing.items() if len(gap)}


def limits(
    board: Board, days: Days, reference: Floats, *, st: NDArray[np.bool_] | None = None,
    age: NDArray[np.int64] | None = None,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return the (S, T) price limits after the closes ``reference``; NaN: none, or none known.

    ``st`` (S, T) marks special treatment, ``age`` (S, T) the session since listing from 1, 0 long ago.
    """
    shape = reference.shape
    nothing = np.full(shape, np.nan)
    if board[0] != "CN":
        return nothing, nothing.copy()
    tick = float(latest(board, "tick", days, 0.01))
    per_unit = round(1.0 / tick)
    band = _spread(board, "band", days, shape)
    if st is not None:
        special = _spread(board, "band_st", days, shape)
        band = np.where(st[..., None] & np.isfinite(special), special, band)
    if age is not None:
        for row, mine in over(board, "ipo", days):
            fresh = (age > 0) & (age <= row.value[0]) & mine
            band[fresh] = np.nan if row.value[1] is None else _parts(row.value[1])
    ruled = np.isfinite(reference) & (reference > 0) & np.isfinite(band[..., 0])
    base = np.where(ruled, np.floor(np.where(ruled, reference, 1.0) * per_unit + 0.5), 1.0).astype(np.int64)
    up, down = (
        (2 * base * (PART + sign * np.where(ruled, band[..., side], 0.0).astype(np.int64)) + PART) // (2 * PART)
        for side, sign in ((0, 1), (1, -1))
    )
    up, down = np.maximum(up, base + 1), np.maximum(np.minimum(down, base - 1), 1)
    return np.where(ruled, up / per_unit, np.nan), np.where(ruled, down / per_unit, np.nan)


def _parts(band: Sequence[float]) -> list[float]:
    return [float(round(part * PART)) for part in band]


def _spread(board: Board, what: str, days: Days, shape: tuple[int, ...]) -> Floats:
    """Return the bands of a rule as (S, T, 2) in parts, NaN where no row rules."""
    found = np.full((len(days), 2), np.nan)
    for row, mine in over(board, what, days):
        found[mine] = _parts(row.value)
    return np.broadcast_to(found, (*shape, 2)).copy()
