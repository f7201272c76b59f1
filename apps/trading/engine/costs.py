"""What a trade costs: the same numbers and the same arithmetic wherever money moves."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

BP = 1e-4


def order_fee(
    notional: float, quantity: float, is_sell: bool, rate: float, per_share: float, minimum: float, sell_tax: float
) -> float:
    """Return commission and tax of one order; the compiled kernels compile this very function."""
    fee = notional * rate + quantity * per_share
    fee = max(fee, minimum)
    if is_sell:
        fee += notional * sell_tax
    return fee


@dataclass(frozen=True)
class Costs:
    """Costs of one market. Rates are fractions of the traded value (0.001 is 10 bp).

    ``rate`` commission of each side; ``per_share`` commission by share; ``minimum`` the least
    commission of an order; ``sell_tax`` on sales, opening a short included; ``slippage``
    fraction of the price that market and stop orders lose; beside it ``spread`` in money a share, of which they lose
    half, ``volume_impact`` times the square of the order's share of the bar's volume, and ``root_impact`` times the
    volatility of a bar and the root of that share (``backtest.taking``); ``lot`` shares an order is a
    multiple of where no market rule says it; ``levies`` the part of the market's own charges that is paid (1).
    What is owed for holding: ``borrow`` of the value of a short a year (of 360 days), by calendar day; ``funding``
    of the value of a perpetual position at each funding time, longs paying shorts where it is above zero.
    """

    rate: float = 0.0
    per_share: float = 0.0
    minimum: float = 0.0
    sell_tax: float = 0.0
    slippage: float = 0.0
    lot: int = 1
    levies: float = 1.0
    borrow: float = 0.0
    funding: float = 0.0
    spread: float = 0.0
    volume_impact: float = 0.0
    root_impact: float = 0.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not math.isfinite(value) or (value < 0 and item.name != "funding"):
                raise Refusal("bad_costs", N_("%(name)s must be a number that is not negative."), name=item.name)
        if self.lot < 1 or self.lot != int(self.lot):
            raise Refusal("bad_costs", N_("%(name)s must be a whole number of at least 1."), name="lot")
        if self.slippage >= 1:
            raise Refusal("bad_costs", N_("%(name)s must lie below 100 %%."), name="slippage")

    def fee(self, quantity: float, price: float, *, sell: bool) -> float:
        """Return what an order of ``quantity`` shares filled at ``price`` pays, in money."""
        return order_fee(
            quantity * price, quantity, sell, self.rate, self.per_share, self.minimum, self.sell_tax
        )  # fmt: skip

    def scaled(self, factor: float) -> Costs:
        """Return these costs times ``factor`` (the lot stays): the stress test of a report."""
        return replace(
            self,
            rate=self.rate * factor,
            per_share=self.per_share * factor,
            minimum=self.minimum * factor,
            sell_tax=self.sell_tax * factor,
            slippage=min(self.slippage * factor, 0.99),
            levies=self.levies * factor,
            borrow=self.borrow * factor,
            funding=self.funding * factor,
            spread=self.spread * factor,
            volume_impact=self.volume_impact * factor,
            root_impact=self.root_impact * factor,
        )

    def without_slippage(self) -> Costs:
        """Return these costs as if every order met the price that the market shows."""
        return replace(self, slippage=0.0, spread=0.0, volume_impact=0.0, root_impact=0.0)

    @property
    def slips(self) -> bool:
        """Whether market orders get another price than the market shows."""
        return self.without_slippage() != self

    def document(self) -> dict[str, float]:
        """Return the costs as JSON holds them."""
        return {item.name: getattr(self, item.name) for item in fields(self)}
