"""From a message to a minute: parsing of any shape, what is refused, what is coalesced, what a minute adds up to."""

from __future__ import annotations

import json
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine.quotes import FieldMap, Intake, MinuteBars, Quote
from apps.marketdata.engine.quotes.checks import REASONS, trouble
from apps.marketdata.engine.quotes.intake import MOST_SYMBOLS
from apps.marketdata.engine.quotes.mapping import parse_message
from apps.ui.engine.refusal import Refusal

NOW = 1_700_000_000.0
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["s", "p", "t", "b", "x"]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
SHORT = FieldMap.read({"symbol": "s", "last": "p", "time": "t", "bids": "b", "asks": "a", "volume": "v"})


def quote(symbol="A", last=1.0, time=NOW, **more) -> Quote:
    return Quote(symbol, last, time, NOW, **more)


def parsed(message, mapping=SHORT):
    rejected: Counter[str] = Counter()
    return parse_message(json.dumps(message), mapping, NOW, rejected), rejected


def test_one_quote_a_list_of_quotes_and_quotes_by_symbol_are_read_alike():
    body = {"p": "10.5", "t": NOW * 1000, "b": [[10.4, 100]], "a": [{"price": 10.6, "size": 50}], "v": 7}
    one, _ = parsed({"s": "600000.SH", **body})
    many, _ = parsed([{"s": "sh600000", **body}])
    filed, _ = parsed({"data": {"SH600000": body}}, FieldMap.read({**vars(SHORT), "items": "data"}))
    assert one == many == filed == [
        Quote("SH600000", 10.5, NOW, NOW, ((10.4, 100.0),), ((10.6, 50.0),), volume=7.0)
    ]  # fmt: skip


def test_paths_units_lots_and_separate_sizes():
    mapping = FieldMap.read(
        {"symbol": "i.n", "last": "d.0", "time": "ts", "unit": "s", "bids": "bp", "bid_sizes": "bv", "lot": 100}
    )
    found, _ = parsed({"i": {"n": "X"}, "d": [3, 4], "ts": "2023-11-14T22:13:20", "bp": [2, 0], "bv": [5, 0]}, mapping)
    assert found == [Quote("X", 3.0, NOW, NOW, ((2.0, 500.0),))]


def test_greetings_are_passed_over_and_rubbish_is_counted():
    assert parsed({"event": "subscribed"}) == ([], Counter())
    rejected: Counter[str] = Counter()
    for text in (b"\xff", "{", "[" * 100_000):
        assert parse_message(text, SHORT, NOW, rejected) == []
    assert rejected == {"not_json": 3}
    assert parsed([{"s": "A", "p": True, "t": 1}, {"s": "A", "p": 1}, 7, None])[1] == {"not_understood": 4}


@given(JSON)
def test_no_message_breaks_the_parser_or_the_intake(message):
    rejected: Counter[str] = Counter()
    intake = Intake()
    found = parse_message(json.dumps(message), SHORT, NOW, rejected)
    fresh = intake.take(found)
    assert set(rejected) | set(intake.rejected) <= set(REASONS)
    assert all(not trouble(one) for one in fresh)
    for bar in intake.minutes.take(fresh):
        assert bar.low <= bar.close <= bar.high


@pytest.mark.parametrize(
    "document", [{"symbol": ""}, {"lot": 0}, {"lot": "1"}, {"lot": True}, {"unit": "h"}, {"what": "x"}, {"last": 7}]
)
def test_a_mapping_that_cannot_be_is_refused_at_its_field(document):
    with pytest.raises(Refusal) as caught:
        FieldMap.read(document)
    assert caught.value.field == "mapping"
    assert "%" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"symbol": ""}, "bad_symbol"), ({"symbol": "A\x00"}, "bad_symbol"), ({"symbol": "x" * 33}, "bad_symbol"),
        ({"last": 0.0}, "bad_price"), ({"last": math.nan}, "bad_price"), ({"last": math.inf}, "bad_price"),
        ({"prev_close": -1.0}, "bad_price"), ({"time": 0.0}, "bad_time"), ({"time": math.nan}, "bad_time"),
        ({"time": NOW + 301}, "future"), ({"volume": -1.0}, "bad_volume"), ({"amount": math.nan}, "bad_volume"),
        ({"bids": ((2.0, -1.0),)}, "bad_book"), ({"bids": ((1.0, 1.0), (2.0, 1.0))}, "bad_book"),
        ({"asks": ((2.0, 1.0), (2.0, 1.0))}, "bad_book"), ({"asks": tuple((float(n), 1.0) for n in range(1, 7))}, "bad_book"),
        ({"bids": ((2.0, 1.0),), "asks": ((1.0, 1.0),)}, "crossed"),
    ],
)  # fmt: skip
def test_what_is_no_quote_is_counted_with_its_reason(wrong, reason):
    intake = Intake()
    assert intake.take([quote(**wrong), quote("B")]) == [quote("B")]
    assert intake.rejected == {reason: 1}


def test_an_auction_shows_one_price_on_both_sides():
    assert trouble(quote(bids=((2.0, 1.0),), asks=((2.0, 1.0),))) == ""


def test_a_feed_of_endless_names_is_held():
    intake = Intake(known=[quote(f"S{n}") for n in range(MOST_SYMBOLS)])
    assert intake.take([quote("one-more"), quote("S1", time=NOW + 1)]) == [quote("S1", time=NOW + 1)]
    assert intake.rejected == {"too_many_symbols": 1}


def test_after_a_restart_the_source_that_says_it_again_is_coalesced():
    before = Intake()
    told = before.take([quote(time=NOW - 1, volume=5.0), quote(volume=9.0)])
    after = Intake(known=[told[-1]], bars=before.minutes.take([]))
    assert after.take([told[0], told[1], quote(last=2.0, time=NOW + 1, volume=9.0)]) == [
        quote(last=2.0, time=NOW + 1, volume=9.0)
    ]
    assert (after.latest.counts.late, after.latest.counts.repeated) == (1, 1)


def test_a_minute_ends_at_its_stamp_and_trades_the_difference_of_the_days_totals():
    bars = MinuteBars()
    told = [(0.5, 10.0, 100.0), (60.0, 12.0, 130.0), (60.1, 11.0, 150.0), (130.0, 9.0, 20.0)]
    changed = bars.take([quote(last=last, time=time, volume=volume) for time, last, volume in told])
    assert [(b.minute, b.open, b.high, b.low, b.close, b.volume, b.count) for b in changed] == [
        (60, 10.0, 12.0, 10.0, 12.0, 30.0, 2), (120, 11.0, 11.0, 11.0, 11.0, 20.0, 1),
        (180, 9.0, 9.0, 9.0, 9.0, 20.0, 1),  # a total that fell is a new day's
    ]  # fmt: skip
    assert MinuteBars().take([quote(volume=5.0)])[0].volume is None


def test_a_new_trading_day_begins_its_total_anew_although_it_is_larger():
    bars = MinuteBars()
    changed = bars.take([quote(time=1.0, volume=100.0, day=1), quote(time=2.0, volume=120.0, day=2)])
    assert changed[-1].volume == 120.0


@given(st.lists(st.tuples(st.floats(0.1, 500), st.floats(0.1, 99), st.floats(0, 9)), min_size=1, max_size=30))
def test_minutes_hold_every_quote_once_however_they_are_batched(steps):
    time, total, quotes = 0.0, 0.0, []
    for wait, last, traded in steps:
        time, total = time + wait, total + traded
        quotes.append(quote(last=last, time=time, volume=total))
    whole = {bar.minute: bar for bar in MinuteBars().take(quotes)}
    one_by_one, bars = {}, MinuteBars()
    for one in quotes:
        one_by_one |= {bar.minute: bar for bar in bars.take([one])}
    assert whole == one_by_one
    assert sum(bar.count for bar in whole.values()) == len(quotes)
    assert sum(bar.volume or 0.0 for bar in whole.values()) == pytest.approx(quotes[-1].volume - quotes[0].volume)
