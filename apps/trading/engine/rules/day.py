"""The rules of one board on one day, and their arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

from apps.trading.engine.rules.tables import ROWS, Row
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

Band = tuple[float, float]
BOARDS: dict[str, tuple[str, ...]] = {
    market: tuple(dict.fromkeys(r.board for r in ROWS if r.market == market and r.board != "*"))
    for market in dict.fromkeys(r.market for r in ROWS)
}


@lru_cache(maxsize=8192)
def find_row(market: str, board: str, what: str, day: date) -> Row | None:
    """Return the row that rules ``what`` on ``day``; the board's own before one for all boards."""
    for name in (board, "*"):
        for row in ROWS:
            if row.market == market and row.board == name and row.what == what and row.holds(day):
                return row
    return None


def half_up(price: Decimal, tick: Decimal) -> Decimal:
    """Return ``price`` on the grid of ``tick``, halves going up."""
    return (price / tick).to_integral_value(ROUND_HALF_UP) * tick


def fund_payment(mark: float, size: float, rate: float) -> float:
    """Return what a perpetual position of ``size`` pays at the funding stamp (negative: receives)."""
    return mark * size * rate


def within_cage(price: float, quote: float, share: float, room: float, *, sell: bool) -> bool:
    """Return whether a limit order at ``price`` lies at most ``share`` of ``quote`` or ``room`` money through it.

    The wider of the two counts; exact in decimals.
    """
    base, wide = Decimal(str(quote)), max(Decimal(str(quote)) * Decimal(str(share)), Decimal(f"{room:.9g}"))
    return Decimal(str(price)) >= base - wide if sell else Decimal(str(price)) <= base + wide


@dataclass(frozen=True)
class DayRules:
    """What holds for one instrument of a board on one day. ``band`` None: no price limit.

    ``settle`` 1 means that shares bought today are sold tomorrow at the earliest; ``minimum`` and ``step``
    are shares an order to buy needs and grows by; ``maxima`` shares of a limit and of a market order.
    """

    market: str
    board: str
    day: date
    band: Band | None
    tick: float
    minimum: float
    step: float
    settle: int
    maxima: tuple[float, float] | None = None
    min_notional: float = 0.0
    cage: tuple[float, int] | None = None

    def within_cage(self, price: float, quote: float, *, sell: bool) -> bool:
        """Return whether a limit order at ``price`` may be given while the other side's best price is ``quote``.

        A buy may lie above it by a share of it or by some ticks, whichever is more; a sell mirrored.
        """
        return self.cage is None or within_cage(price, quote, self.cage[0], self.cage[1] * self.tick, sell=sell)

    def limits(self, previous: float) -> tuple[float, float] | None:
        """Return (limit up, limit down) after a close of ``previous``: half up, at least one tick away."""
        if self.band is None or not previous > 0 or not math.isfinite(previous):
            return None
        base, tick = Decimal(str(previous)), Decimal(str(self.tick))
        up = half_up(base * (1 + Decimal(str(self.band[0]))), tick)
        down = half_up(base * (1 - Decimal(str(self.band[1]))), tick)
        return float(max(up, base + tick)), float(max(min(down, base - tick), tick))

    def nearest_below(self, quantity: float) -> float:
        """Return the largest quantity up to ``quantity`` that may be bought; 0 where there is none."""
        if quantity < self.minimum:
            return 0.0
        step, least = Decimal(str(self.step)), Decimal(str(self.minimum))
        steps = (Decimal(str(quantity)) - least) // step
        return float(least + steps * step)

    def may_sell(self, quantity: float, held: float) -> bool:
        """Return whether ``quantity`` of ``held`` is a lot, or takes an odd remainder along whole."""
        if quantity <= 0 or quantity > held:
            return False
        if quantity == held and self.market != "CRYPTO":  # a venue's step holds for the last coin, too
            return True
        if self.step == 1.0 or self.market != "CN":
            return self.nearest_below(quantity) == quantity
        remainder = held % self.step
        return quantity % self.step in (0.0, remainder)


def day_rules(
    market: str, board: str, day: date, *, st: bool = False, delisting: bool = False, listed_for: int | None = None,
    relisted_for: int | None = None,
) -> DayRules:  # fmt: skip
    """Return the rules of ``board`` on ``day``.

    ``listed_for`` counts sessions since listing (or the first of a delisting period) from 1, ``relisted_for`` since a
    share came back after its listing was suspended or had ended; None is long ago.
    Raises ``Refusal`` for a market, board or day no row covers: a rule is never guessed.
    """
    if board not in BOARDS.get(market, ()):
        known = ", ".join(f"{m} {b}" for m, boards in BOARDS.items() for b in boards)
        raise Refusal(
            "unknown_board", N_("There are no rules for %(board)s; known are %(known)s."),
            board=f"{market} {board}".strip(), known=known,
        )  # fmt: skip
    lot = _value(market, board, "lot", day)
    maxima, notional = find_row(market, board, "maximum", day), find_row(market, board, "min_notional", day)
    cage = find_row(market, board, "cage", day)
    first = {"delisting_first" if delisting else "ipo": listed_for, "relisting": relisted_for}
    band = _band(market, board, day, st=st, delisting=delisting, first=first)
    return DayRules(
        market, board, day, band, float(_value(market, board, "tick", day)), float(lot[0]), float(lot[1]),
        int(_value(market, board, "settle", day)), maxima.value if maxima else None,
        float(notional.value) if notional else 0.0, cage.value if cage else None,
    )  # fmt: skip


def _value(market: str, board: str, what: str, day: date) -> Any:
    row = find_row(market, board, what, day)
    if row is None:
        raise Refusal(
            "no_rule",
            N_("No rule for %(what)s of %(board)s is known on %(day)s."),
            what=what,
            board=board,
            day=str(day),
        )
    return row.value


def _band(
    market: str, board: str, day: date, *, st: bool, delisting: bool, first: Mapping[str, int | None]
) -> Band | None:
    """Return the band of a day; ``first`` counts sessions by the rule for first days that they may fall under."""
    if market != "CN":
        return None
    for what, session in first.items():
        free = find_row(market, board, what, day)
        if session is not None and free is not None and session <= free.value[0]:
            band: Band | None = free.value[1]
            return band
    leaving = find_row(market, board, "band_delisting", day) if delisting else None
    special = find_row(market, board, "band_st", day) if st else None
    ruling = leaving or special
    chosen: Band = ruling.value if ruling else _value(market, board, "band", day)
    return chosen
