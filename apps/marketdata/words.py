"""What columns of bars and checks are called, in the active language."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from apps.ui.engine.text import N_


def field_words() -> dict[str, str]:
    """Return the words of fields and of what else a column of a source may mean."""
    return {
        "datetime": _("Date and time"), "date": _("Date"), "time": _("Time of day"), "symbol": _("Symbol"),
        "open": pgettext("bar", "Open"), "high": pgettext("bar", "High"), "low": pgettext("bar", "Low"),
        "close": pgettext("bar", "Close"), "volume": _("Volume"), "amount": _("Turnover"), "vwap": _("VWAP"),
        "prev_close": _("Previous close"), "adj_close": _("Adj. close"), "factor": _("Factor"),
        "suspended": _("Suspended"), "traded": _("Traded (1) or suspended (0)"), "st": _("Special treatment (ST)"),
        "limit_up": _("Upper limit"), "limit_down": _("Lower limit"), "open_interest": _("Open interest"),
        "split_ratio": _("Split ratio"), "cash_dividend": _("Payout a share"), "bid": _("Bid"), "ask": _("Ask"),
        "kind": _("Kind"), "side": _("Side"), "price": _("Price"), "size": pgettext("trade", "Size"), "id": _("Number"),
        "bid_price": _("Bid price"), "ask_price": _("Ask price"),
        "funding": _("Funding rate"), "bid_size": _("Bid size"), "ask_size": _("Ask size"),
    }  # fmt: skip


def field_word(name: str) -> str:
    """Return the word of one field; one that we have none for keeps its name."""
    return field_words().get(name, name)


def event_words() -> dict[str, str]:
    """Return the words of what happens in trades and order books, and of who wanted it."""
    return {
        "snapshot": pgettext("event", "Stated book"), "add": pgettext("event", "Order added"),
        "reduce": pgettext("event", "Order reduced"), "delete": pgettext("event", "Order removed"),
        "trade": pgettext("event", "Trade"), "hidden": pgettext("event", "Hidden trade"),
        "cross": pgettext("event", "Auction"), "halt": pgettext("event", "Halt"),
        "update": pgettext("event", "Levels changed"), "buy": pgettext("event", "Buy"),
        "sell": pgettext("event", "Sell"),
    }  # fmt: skip


def named(text: str) -> str:
    """Return a list of fields, separated by commas, in words."""
    words = field_words()
    return ", ".join(words.get(name, name) for name in text.split(", "))


#: What each check finds, in a few words.
CHECKS = {
    "refused_file": N_("Refused file"),
    "truncated_file": N_("Truncated file"),
    "missing_value": N_("Missing value"),
    "duplicate_bar": N_("Duplicate bar"),
    "repeated_file": N_("Repeated file"),
    "left_out": N_("File left out"),
    "ticker_change": N_("Change of ticker"),
    "only_close": N_("Closing prices only"),
    "no_header": N_("No header"),
    "numbered_days": N_("Numbered days"),
    "unsorted_time": N_("Unsorted time"),
    "newest_first": N_("Newest row first"),
    "volume_in_lots": N_("Volume in lots"),
    "no_volume": N_("No volume"),
    "ohlc_inconsistent": N_("Inconsistent prices of a bar"),
    "non_positive_price": N_("Price of zero or less"),
    "negative_volume": N_("Negative volume"),
    "missing_session": N_("Missing session"),
    "extra_session": N_("Extra session"),
    "calendar_end": N_("End of the calendar"),
    "split_like_jump": N_("Jump like a split"),
    "impossible_move": N_("Impossible move"),
    "dividend_not_applied": N_("Payout not applied"),
    "large_move": N_("Large move"),
    "relisting": N_("Relisting"),
    "price_move_without_volume": N_("Move without volume"),
    "zero_volume": N_("Bars without trade"),
    "constant_volume": N_("Constant volume"),
    "flat_bars": N_("Flat bars"),
    "stale_price": N_("Stale price"),
    "missing_bars": N_("Missing bars"),
    "outlier": N_("Outlier"),
    "outlier_wick": N_("Outlier of a high or low"),
    "volume_unit_change": N_("Change of the volume's unit"),
    "amount_mismatch": N_("Money that does not fit"),
    "mixed_time_zones": N_("Mixed time zones"),
    "survivorship": N_("Members without bars"),
    "only_survivors": N_("Only survivors"),
    "crossed_book": N_("Crossed book"),
    "locked_book": N_("Locked book"),
    "unordered_levels": N_("Levels out of order"),
    "hole_in_levels": N_("Hole in the levels"),
    "empty_level": N_("Level without size"),
    "negative_size": N_("Size of zero or less"),
    "one_sided_book": N_("One-sided book"),
    "time_backwards": N_("Time that runs backwards"),
    "sequence_gap": N_("Missing updates"),
    "stale_update": N_("Stale updates"),
    "before_stated_book": N_("Messages before the first book"),
    "no_stated_book": N_("No whole book"),
    "messages_left_out": N_("Messages left out"),
    "dummy_levels": N_("Empty levels"),
    "trading_halt": N_("Trading halt"),
    "trade_outside_spread": N_("Trades outside the spread"),
    "event_without_effect": N_("Event that does not fit the book"),
    "duplicate_trade": N_("Duplicate trade"),
    "trades_missing": N_("Missing trades"),
    "unfinished_bars": N_("Unfinished bars"),
    "more_like_this": N_("More of a kind"),
}


def check_word(name: str) -> str:
    """Return the words of a check; one that we have none for keeps its name."""
    return _(CHECKS[name]) if name in CHECKS else name
