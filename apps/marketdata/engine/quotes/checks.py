"""What is no quote: each reason has a code, is counted and never stops a feed."""

from __future__ import annotations

import math

from apps.marketdata.engine.quotes.feed import LEVELS, Quote, Side
from apps.ui.engine.text import N_

#: Seconds a source's clock may be ahead of ours; beyond, its time is wrong.
AHEAD = 300.0
LONGEST_SYMBOL = 32
INFINITE = math.inf
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
    # Chained comparisons: not a number and infinity fail them, and nothing is called ten thousand times a second.
    if not 0.0 < quote.last < INFINITE or not (quote.prev_close is None or 0.0 < quote.prev_close < INFINITE):
        return "bad_price"
    if not 0.0 < quote.time < INFINITE or not 0.0 < quote.received < INFINITE:
        return "bad_time"
    if quote.time - quote.received > AHEAD:
        return "future"
    if not (quote.volume is None or 0.0 <= quote.volume < INFINITE):
        return "bad_volume"
    if not (quote.amount is None or 0.0 <= quote.amount < INFINITE):
        return "bad_volume"
    if not _orderly(quote.bids, falling=True) or not _orderly(quote.asks, falling=False):
        return "bad_book"
    # In a call auction both sides may show one price: that is no fault.
    return "crossed" if quote.bids and quote.asks and quote.bids[0][0] > quote.asks[0][0] else ""


def usable_symbol(symbol: str) -> bool:
    """Tell whether ``symbol`` can name an instrument: 1 to 32 printable characters without spaces."""
    return 0 < len(symbol) <= LONGEST_SYMBOL and symbol.isprintable() and " " not in symbol


def _orderly(side: Side, *, falling: bool) -> bool:
    if len(side) > LEVELS:
        return False
    before = INFINITE if falling else 0.0
    for price, size in side:
        if not (0.0 < price < before if falling else before < price < INFINITE) or not 0.0 <= size < INFINITE:
            return False
        before = price
    return True
