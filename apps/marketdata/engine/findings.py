"""What a check can say about a bar: its name, how bad it is, its sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from apps.ui.engine.text import N_

Severity = Literal["note", "warning", "error"]
Verdict = Literal["clean", "look", "blocked"]

# One sentence per check; ``more_like_this`` closes a list that was cut.
MESSAGES: Mapping[str, str] = {
    "refused_file": N_("Not read: %(reason)s"),
    "truncated_file": N_(
        "The file ends in the middle of a line: %(cells)s of %(expected)s cells. "
        "The line was left out; get the whole file."
    ),
    "missing_value": N_("No value for %(columns)s."),
    "duplicate_bar": N_("This bar was there before, on line %(first)s of %(file)s; the first one is kept."),
    "repeated_file": N_("%(file)s repeats %(count)s bars of %(first)s; each counts once."),
    "left_out": N_("%(file)s was left out: %(why)s"),
    "ticker_change": N_("It was called %(old)s until %(day)s; another company may use that name now."),
    "only_close": N_("There are only closing prices: no candles, and no order can fill at an open."),
    "no_header": N_("The file has no header; its cells were taken as %(columns)s."),
    "numbered_days": N_("The file has no dates; its rows were numbered from %(first)s on the days of %(calendar)s."),
    "unsorted_time": N_("The rows of the file are not in time order; they were sorted."),
    "newest_first": N_("The file has the newest row first; it was turned around."),
    "volume_in_lots": N_("The volume counts lots, as the money traded shows; it was multiplied by %(unit)s."),
    "no_volume": N_("There is no volume: orders cannot be limited by it."),
    "ohlc_inconsistent": N_("%(what)s: open %(open)s, high %(high)s, low %(low)s, close %(close)s."),
    "non_positive_price": N_("The %(column)s is %(value)s; a price is above zero."),
    "negative_volume": N_("The volume is %(value)s; it cannot be negative."),
    "missing_session": N_("No bar, although %(calendar)s was open."),
    "extra_session": N_("A bar, although %(calendar)s was closed."),
    "calendar_end": N_(
        "The calendar %(calendar)s knows sessions from %(first)s to %(last)s only; "
        "%(count)s days outside were not compared."
    ),
    "split_like_jump": N_("Split %(ratio)s not applied, %(before)s → %(after)s, true %(true)s."),
    "impossible_move": N_(
        "%(move)s in one day is beyond the price limit of %(limit)s: an unadjusted event, %(before)s → %(after)s."
    ),
    "dividend_not_applied": N_(
        "A payout of %(amount)s (%(share)s of the price) is not in the prices, %(before)s → %(after)s."
    ),
    "large_move": N_("Return %(move)s on %(times)s× the usual turnover: look whether it is real."),
    "relisting": N_("Return %(move)s after %(days)s days without trade: a relisting, not an error."),
    "price_move_without_volume": N_("The price moved %(move)s although nothing was traded."),
    "zero_volume": N_("%(count)s bars without trade, first on %(first)s: the symbol was suspended or nobody traded."),
    "constant_volume": N_("The volume is %(value)s on every bar: it is made up."),
    "flat_bars": N_("%(count)s of %(bars)s bars have open, high, low and close equal: there is no range to trade in."),
    "stale_price": N_("The close stays at %(value)s for %(count)s bars in a row."),
    "missing_bars": N_("%(count)s bars are missing between %(before)s and this one."),
    "outlier": N_("The close moves %(move)s and comes back with the next bar (robust z %(z)s): a bad tick?"),
    "outlier_wick": N_("The %(column)s of %(value)s lies %(share)s away from every price around it."),
    "volume_unit_change": N_("From here on the volume is %(way)s%(times)s and stays so: another unit?"),
    "amount_mismatch": N_("The money traded is %(times)s× volume × close; one of the three is wrong."),
    "mixed_time_zones": N_(
        "The times carry %(count)s different offsets (%(offsets)s), more than summer time explains."
    ),
    "survivorship": N_(
        "%(count)s of %(members)s members of %(universe)s have no bars (%(symbols)s): "
        "a test on the rest knows who survived."
    ),
    "only_survivors": N_(
        "All %(count)s symbols trade to the last day: nobody left. A test on them may know who survived."
    ),
    "crossed_book": N_("The best bid of %(bid)s lies above the best ask of %(ask)s."),
    "locked_book": N_("The best bid and the best ask are both %(bid)s."),
    "unordered_levels": N_(
        "Level %(level)s of the %(side)s side is %(price)s, which is not behind the %(above)s before it."
    ),
    "hole_in_levels": N_("Level %(level)s of the %(side)s side is empty although a deeper one is not."),
    "empty_level": N_("Level %(level)s of the %(side)s side has a price but no size."),
    "negative_size": N_("The size is %(value)s; it is above zero where there is an order or a trade."),
    "one_sided_book": N_("%(count)s of %(rows)s rows have an empty side."),
    "time_backwards": N_("The time is %(seconds)s s before that of the row above; the book is not what it was then."),
    "sequence_gap": N_(
        "Updates are missing: this one follows update %(after)s, the one before ended with %(before)s. "
        "Until the next whole book the levels are not to be trusted."
    ),
    "stale_update": N_("%(count)s updates were older than the book and were left out."),
    "before_stated_book": N_("%(count)s messages before the first whole book were left out."),
    "no_stated_book": N_(
        "There is no whole book in the source: it was built from %(count)s changes, so levels that never changed "
        "are missing."
    ),
    "messages_left_out": N_("%(count)s messages of the kind %(kind)s were left out."),
    "dummy_levels": N_("%(count)s levels at the end of the %(levels)s kept are empty, over %(rows)s rows."),
    "trading_halt": N_("Trading was stopped or went on again here."),
    "trade_outside_spread": N_("%(count)s trades outside the best prices before them, the first at %(first)s."),
    "event_without_effect": N_("The event changes the size at %(price)s by %(told)s, the book by %(found)s."),
    "duplicate_trade": N_("The trade %(id)s was there before."),
    "trades_missing": N_("%(count)s trades are missing between %(before)s and %(after)s."),
    "unfinished_bars": N_("The last bar of %(count)s symbols was not full and was left out."),
    "more_like_this": N_("%(count)s more findings of this kind (%(name)s) are not listed."),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One finding: where (symbol, time, source line, ordinal of the symbol's bar), which check, how bad."""

    check: str
    severity: Severity
    symbol: str = ""
    time: np.datetime64 | None = None
    line: int | None = None
    row: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The English sentence."""
        return MESSAGES[self.check] % self.params

    @property
    def date(self) -> str | None:
        """ISO day, or day and time of an intraday bar; None where the finding is not about one bar."""
        if self.time is None:
            return None
        text = str(self.time.astype("datetime64[s]"))
        return text.removesuffix("T00:00:00")

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``check_data``."""
        return {
            "symbol": self.symbol or None,
            "date": self.date,
            "line": self.line,
            "check": self.check,
            "severity": self.severity,
            "message": self.message,
        }


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """One error blocks runs, one warning asks for a look, notes alone leave it clean."""
    severities = {finding.severity for finding in findings}
    return "blocked" if "error" in severities else "look" if "warning" in severities else "clean"
