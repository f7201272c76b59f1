"""What the columns of bars are called, in the active language."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import pgettext


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
        "funding": _("Funding rate"), "bid_size": _("Bid size"), "ask_size": _("Ask size"),
    }  # fmt: skip


def field_word(name: str) -> str:
    """Return the word of one field; one that we have none for keeps its name."""
    return field_words().get(name, name)


def named(text: str) -> str:
    """Return a list of fields, separated by commas, in words."""
    words = field_words()
    return ", ".join(words.get(name, name) for name in text.split(", "))
