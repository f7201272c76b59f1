"""Every choice a backtest makes, by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from apps.trading.engine.ledger import BORROW, DIVIDEND, FUNDING, SPLIT, trades_of
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Values of a target: short, flat, long, and "no order, keep what is held".
SHORT, FLAT, LONG, HOLD = -1, 0, 1, 2

#: Why an order was not filled, or not whole (columns of ``refused``). From ``LIMIT_UP`` on most count the bars an
#: order waited: a purchase at limit up, a sale at limit down, a sale for settlement, while suspended, for volume.
#: ``SHARES_LOCKED`` counts shares: the most of an instrument that a session's sales wanted and T+1 kept.
#: ``CANCELLED`` are waiting orders given up as something else was wanted, ``REPLACED`` those sized anew while waiting.
(
    NO_CASH, BELOW_LOT, CUT_TO_CASH, LIMIT_UP, NOT_SETTLED, SUSPENDED, ABOVE_MAXIMUM, VOLUME, LIMIT_DOWN,
    SHARES_LOCKED, CANCELLED, REPLACED, BELOW_VALUE,
) = range(13)  # fmt: skip
REFUSALS = (
    "cash", "below_lot", "cut_to_cash", "limit_up", "t_plus_1", "suspended", "maximum", "volume", "limit_down",
    "t_plus_1_shares", "cancelled", "replaced", "min_notional",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How orders are sized and protected.

    A decision at the close of bar t fills at the open of the next bar that trades. Shares are
    whole lots. ``equity_fraction`` spends ``fraction`` of the equity, priced at the close of
    the signal; ``fixed_shares`` orders ``shares``. ``stop_loss`` and ``take_profit`` are
    fractions of the entry price: inside a bar the stop comes first, a gap fills at the open;
    armed ``at_once`` (on the bar of the entry) or on the ``next_bar``. An order that costs
    more than the cash is refused (``cash_short="refuse"``) or cut to what is affordable
    (``"reduce"``). Shorts need their full value in cash. When equity is gone the position is
    closed at the next open and nothing is traded after.

    What is above the market's ``order_maximum`` is given as several orders that each obey it (``split``, as an
    execution desk does; each pays the minimum commission) or refused as the exchange refuses one order
    (``refuse``); what closes a holding is split in either case, so that nobody is locked in. The
    ``price_cage`` holds for limit orders of ``on_bar`` that reach the market ``in_session``: at the first bar of
    a session they join the opening call, which has no cage; or at ``every_bar``.

    ``participation`` above 0 is the largest part of a bar's volume that one instrument trades: what is above
    waits for the next bar, as a new order that pays the least commission again (orders are good for a bar).
    """

    capital: float = 1_000_000.0
    sizing: Literal["equity_fraction", "fixed_shares"] = "equity_fraction"
    fraction: float = 0.95
    shares: float = 0.0
    allow_short: bool = False
    stop_loss: float | None = None
    take_profit: float | None = None
    armed: Literal["at_once", "next_bar"] = "at_once"
    cash_short: Literal["refuse", "reduce"] = "refuse"
    order_maximum: Literal["split", "refuse"] = "split"
    price_cage: Literal["in_session", "every_bar"] = "in_session"
    participation: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.capital) or self.capital <= 0:
            raise Refusal("bad_capital", N_("The capital must be a number above zero."), field="capital")
        if self.sizing == "equity_fraction" and not 0 < self.fraction <= 1:
            raise Refusal(
                "bad_fraction",
                N_("The share of equity must lie above 0 and must not exceed 100 percent."),
                field="fraction",
            )
        if self.sizing == "fixed_shares" and not self.shares > 0:
            raise Refusal("bad_shares", N_("The number of shares must be above zero."), field="shares")
        if not 0 <= self.participation <= 1:
            raise Refusal(
                "bad_participation", N_("The share of a bar's volume must lie between 0 and 100 percent."),
                field="participation_pct",
            )  # fmt: skip
        for name in ("stop_loss", "take_profit"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise Refusal("bad_protection", N_("Stop-loss and take-profit must be above zero."), field=name)


@dataclass(frozen=True)
class Result:
    """What a run did, over the bars from ``first`` on.

    ``ledger`` is a ``LEDGER`` array in the order of the fills, its ``bar`` counted over all
    bars given, warm-up included; ``equity`` (T,) is the money after each close; ``refused``
    counts orders, bars and shares by reason.
    """

    ledger: NDArray[np.void]
    equity: NDArray[np.float64]
    refused: dict[str, int]
    first: int
    capital: float
    symbols: int = 1

    @property
    def fills(self) -> NDArray[np.void]:
        """The rows of the ledger that are trades."""
        return trades_of(self.ledger)

    @property
    def payouts(self) -> float:
        """Money from dividends and fractions of shares."""
        return self._received(DIVIDEND, SPLIT)

    @property
    def funding(self) -> float:
        """Money paid as funding of perpetual positions; negative: received."""
        return 0.0 - self._received(FUNDING)

    @property
    def borrow(self) -> float:
        """Money paid for shares borrowed."""
        return 0.0 - self._received(BORROW)

    def _received(self, *reasons: int) -> float:
        rows = self.ledger[(self.ledger["side"] == 0) & np.isin(self.ledger["reason"], reasons)]
        return float((rows["quantity"] * rows["price"]).sum())

    @property
    def fees(self) -> float:
        return float(self.ledger["fee"].sum())

    @cached_property
    def cash(self) -> NDArray[np.float64]:
        """Cash after each close, (T,): the capital and every flow of the ledger."""
        flow = np.where(self.ledger["side"] == 0, -1.0, self.ledger["side"])
        paid = flow * self.ledger["quantity"] * self.ledger["price"] + self.ledger["fee"]
        after = np.concatenate([[self.capital], self.capital - np.cumsum(paid)])
        return after[np.searchsorted(self.ledger["bar"], self._bars, side="right")]

    @cached_property
    def position(self) -> NDArray[np.float64]:
        """Shares held after each close, (S, T); exact, shares being whole."""
        held = np.zeros((self.symbols, len(self.equity)))
        at = (self.ledger["symbol"], self.ledger["bar"] - self.first)
        np.add.at(held, at, self.ledger["side"] * self.ledger["quantity"])
        return np.cumsum(held, axis=1, out=held)

    @property
    def _bars(self) -> NDArray[np.int64]:
        return np.arange(self.first, self.first + len(self.equity))
