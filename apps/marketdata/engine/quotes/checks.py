"""What is no quote: each reason has a code, is counted and never stops a feed."""

from __future__ import annotations

import math

from apps.marketdata.engine.quotes.feed import LEVELS, Quote, Side
from apps.ui.engine.text import N_

#: Seconds a source's clock may be ahead of ours; beyond, its time is wrong.
AHEAD = 300.0
LONGEST_SYMBOL = 32
REASONS = {
    "not_json": N_("not JSON"),
    "not_understood": N_("fields missing or of another kind"),
    "bad_symbol": N_("no usable symbol"),
    "bad_price": N_("price not above zero"),
    "bad_time": N_("no usable time"),
    "future": N_("time ahead of ours by more than five minutes"),
    "bad_volume": N_("negative volume or amount"),
    "bad_book": N_("book with a price or size that cannot be, or not in order"),
    "crossed": N_("best bid above best ask"),
    "dropped": N_("came faster than they could be taken"),
    "too_many_symbols": N_("more symbols than a feed may have"),
}


def trouble(quote: Quote) -> str:
    """Return the code of what is wrong with ``quote`` (a key of ``REASONS``), empty where nothing is."""
    if not usable_symbol(quote.symbol):
        return "bad_symbol"
    if not _positive(quote.last) or (quote.prev_close is not None and not _positive(quote.prev_close)):
        return "bad_price"
    if not _positive(quote.time) or not _positive(quote.received):
        return "bad_time"
    if quote.time - quote.received > AHEAD:
        return "future"
    if any(value is not None and not _counted(value) for value in (quote.volume, quote.amount)):
        return "bad_volume"
    if not _orderly(quote.bids, falling=True) or not _orderly(quote.asks, falling=False):
        return "bad_book"
    # In a call auction both sides may show one price: that is no fault.
    return "crossed" if quote.bids and quote.asks and quote.bids[0][0] > quote.asks[0][0] else ""


def usable_symbol(symbol: str) -> bool:
    """Tell whether ``symbol`` can name an instrument: 1 to 32 printable characters without spaces."""
    return 0 < len(symbol) <= LONGEST_SYMBOL and symbol.isprintable() and " " not in symbol


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _counted(value: float) -> bool:
    return math.isfinite(value) and value >= 0


def _orderly(side: Side, *, falling: bool) -> bool:
    if len(side) > LEVELS:
        return False
    before: float | None = None
    for price, size in side:
        if not _positive(price) or not _counted(size):
            return False
        if before is not None and (price >= before if falling else price <= before):
            return False
        before = price
    return True
