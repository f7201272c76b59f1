"""The rule library: what held on which day, and that no rule is guessed."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.trading.engine.rules import ROWS, answer, day_rules, truth_table
from apps.ui.engine.refusal import Refusal

DOCS = Path(__file__).parents[2] / "docs" / "market-rules.md"


def limits(board, day, previous, **more):
    found = answer({"market": "CN", "board": board, "date": day, "prev_close": previous, **more})
    return found["limit_up"], found["limit_down"]


@pytest.mark.parametrize(
    ("board", "day", "more", "expected"),
    [
        ("main", "2024-03-01", {}, (11.06, 9.05)),
        ("main", "2026-07-03", {"st": True}, (10.55, 9.55)),
        ("main", "2026-07-06", {"st": True}, (11.06, 9.05)),
        ("chinext", "2020-08-21", {}, (11.06, 9.05)),
        ("chinext", "2020-08-24", {"st": True}, (12.06, 8.04)),
        ("star", "2019-07-22", {"listed_for": 5}, (None, None)),
        ("star", "2019-07-22", {"listed_for": 6}, (12.06, 8.04)),
        ("main", "2023-04-07", {"listed_for": 1}, (14.47, 6.43)),
        ("main", "2023-04-07", {"listed_for": 2}, (11.06, 9.05)),
        ("main", "2023-04-10", {"listed_for": 5}, (None, None)),
        ("main", "2013-05-06", {"listed_for": 1}, (None, None)),
        ("main", "2013-05-07", {"listed_for": 2}, (11.06, 9.05)),
        ("chinext", "2010-05-06", {"listed_for": 1}, (None, None)),
        ("main", "2013-05-06", {"st": True, "relisted_for": 1}, (None, None)),
        ("main", "2024-05-07", {"st": True, "relisted_for": 2}, (10.55, 9.55)),
        ("main", "2020-12-30", {"delisting": True, "st": True, "listed_for": 1}, (11.06, 9.05)),
        ("main", "2012-12-28", {"delisting": True, "st": True, "listed_for": 1}, (10.55, 9.55)),
        ("bse", "2022-01-05", {}, (13.07, 7.04)),
        ("bse", "2022-01-05", {"listed_for": 1}, (None, None)),
        ("main", "2021-06-01", {"delisting": True, "listed_for": 1}, (None, None)),
        ("main", "2021-06-01", {"delisting": True, "st": True, "listed_for": 2}, (11.06, 9.05)),
        ("etf", "2024-03-01", {}, (11.055, 9.045)),
    ],
)
def test_price_limits_follow_board_day_and_status(board, day, more, expected):
    assert limits(board, day, 10.05, **more) == expected


def test_a_limit_lies_at_least_one_tick_away():
    assert limits("main", "2024-03-01", 0.02) == (0.03, 0.01)
    assert limits("main", "2024-03-01", 0.01) == (0.02, 0.01)


@given(st.integers(1, 10**7), st.sampled_from(["main", "chinext", "star", "bse", "etf"]))
def test_limits_are_ticks_nearest_to_the_band(ticks, board):
    rules = day_rules("CN", board, date(2024, 1, 2))
    previous = ticks * (1 if board == "etf" else 10) / 1000
    up, down = rules.limits(previous)
    assert up > previous > 0
    assert 0 < down <= previous
    assert abs(up - previous * (1 + rules.band[0])) <= rules.tick * 1.000001 or up == pytest.approx(
        previous + rules.tick
    )


@pytest.mark.parametrize(
    ("ask", "allowed", "reason"),
    [
        ({"board": "main", "side": "buy", "quantity": 150}, False, "lot"),
        ({"board": "star", "side": "buy", "quantity": 199}, False, "lot"),
        ({"board": "star", "side": "buy", "quantity": 201}, True, None),
        ({"board": "bse", "side": "buy", "quantity": 101}, True, None),
        ({"board": "main", "side": "sell", "quantity": 150, "held": 250}, True, None),
        ({"board": "main", "side": "sell", "quantity": 20, "held": 250}, False, "lot"),
        ({"board": "main", "side": "sell", "quantity": 100, "held": 200, "bought_today": 150}, False, "t_plus_1"),
        ({"board": "etf_t0", "side": "sell", "quantity": 100, "held": 100, "bought_today": 100}, True, None),
        ({"board": "main", "side": "buy", "quantity": 100, "price": 11.07, "prev_close": 10.05}, False, "price_limit"),
        ({"board": "main", "side": "buy", "quantity": 100, "price": 11.005}, False, "tick"),
        ({"board": "main", "side": "buy", "quantity": 100, "suspended": True}, False, "suspended"),
        ({"board": "chinext", "side": "buy", "quantity": 150_100, "order": "market"}, False, "maximum"),
        ({"board": "star", "side": "buy", "quantity": 100_001}, False, "maximum"),
        ({"board": "star", "side": "buy", "quantity": 50_001, "order": "market"}, False, "maximum"),
        ({"board": "star", "side": "buy", "quantity": 100_000}, True, None),
        ({"board": "main", "side": "buy", "quantity": 100, "price": 10.20, "best_ask": 10}, True, None),
        ({"board": "main", "side": "buy", "quantity": 100, "price": 10.21, "best_ask": 10}, False, "price_cage"),
        ({"board": "main", "side": "buy", "quantity": 100, "price": 2.10, "best_ask": 2}, True, None),
        ({"board": "main", "side": "sell", "quantity": 100, "held": 100, "price": 9.79, "best_bid": 9.99}, False, "price_cage"),
        ({"board": "main", "side": "sell", "quantity": 100, "held": 100, "price": 9.80, "best_bid": 9.99}, True, None),
        ({"board": "main", "side": "buy", "quantity": 100, "price": 10.5, "best_ask": 10, "auction": True}, True, None),
        ({"board": "main", "side": "buy", "quantity": 100, "price": 10.5, "best_ask": 10, "date": "2023-04-07"}, True, None),
        ({"board": "bse", "side": "buy", "quantity": 100, "price": 10.5, "best_bid": 10}, True, None),
        ({"board": "main", "side": "sell", "quantity": 200, "held": 100}, False, "not_held"),
        ({"market": "CRYPTO", "board": "spot", "side": "buy", "quantity": 0.001, "step": 0.001, "price": 100.0}, False, "min_notional"),
        ({"market": "CRYPTO", "board": "spot", "side": "buy", "quantity": 0.0015, "step": 0.001}, False, "lot"),
        ({"market": "CRYPTO", "board": "spot", "side": "sell", "quantity": 0.0015, "held": 1, "step": 0.001}, False, "lot"),
        ({"market": "CRYPTO", "board": "spot", "side": "sell", "quantity": 0.0015, "held": 0.0015, "step": 0.001}, False, "lot"),
        ({"market": "CRYPTO", "board": "spot", "side": "sell", "quantity": 0.01, "held": 1, "price": 100.0, "min_notional": 5}, False, "min_notional"),
        ({"board": "main", "side": "SELL", "quantity": 50, "held": 50, "price": 0.05}, True, None),
        ({"market": "US", "board": "stock", "side": "sell", "quantity": 7, "held": 7, "bought_today": 7}, True, None),
    ],
)  # fmt: skip
def test_orders_are_allowed_or_refused_with_the_rule_broken(ask, allowed, reason):
    found = answer({"market": "CN", "date": "2024-01-02", **ask})
    assert (found["allowed"], found["reason"]) == (allowed, reason)


def test_nearest_quantity_below():
    assert answer({"market": "CN", "date": "2024-01-02", "quantity": 150})["nearest_below"] == 100
    assert answer({"market": "CN", "board": "star", "date": "2024-01-02", "quantity": 199})["nearest_below"] == 0
    coins = {"market": "CRYPTO", "date": "2024-01-02", "quantity": 0.0279, "step": 0.005}
    assert answer(coins)["nearest_below"] == 0.025


@pytest.mark.parametrize(
    ("fee", "more", "expected"),
    [
        ("stamp_duty", {"date": "2023-08-27", "side": "sell"}, 100.0),
        ("stamp_duty", {"date": "2023-08-28", "side": "sell"}, 50.0),
        ("stamp_duty", {"date": "2023-08-28", "side": "buy"}, 0.0),
        ("stamp_duty", {"date": "1998-06-11", "side": "buy"}, 500.0),
        ("stamp_duty", {"date": "2001-11-15", "side": "sell"}, 400.0),
        ("stamp_duty", {"date": "2001-11-16", "side": "buy"}, 200.0),
        ("stamp_duty", {"date": "2007-05-29", "side": "buy"}, 100.0),
        ("stamp_duty", {"date": "2007-05-30", "side": "buy"}, 300.0),
        ("stamp_duty", {"date": "2008-09-18", "side": "buy"}, 100.0),
        ("stamp_duty", {"date": "2008-09-19", "side": "buy"}, 0.0),
        ("stamp_duty", {"date": "2006-06-01", "side": "buy", "board": "etf"}, 0.0),
        ("transfer_fee", {"date": "2022-04-28"}, 2.0),
        ("transfer_fee", {"date": "2022-04-29"}, 1.0),
        ("commission", {"date": "2024-01-02", "rate": 0.00025}, 25.0),
        ("commission", {"date": "2024-01-02", "rate": 0.01}, 300.0),
        ("sec_fee", {"date": "2024-06-03", "side": "sell", "market": "US"}, 2.78),
        ("sec_fee", {"date": "2009-04-09", "side": "sell", "market": "US"}, 0.56),
        ("sec_fee", {"date": "2009-04-10", "side": "sell", "market": "US"}, 2.57),
        ("sec_fee", {"date": "2018-05-22", "side": "sell", "market": "US"}, 1.3),
        ("taf", {"date": "2024-06-03", "side": "sell", "market": "US", "quantity": 1000}, 0.166),
    ],
)
def test_fees_by_day(fee, more, expected):
    assert answer({"market": "CN", "fee": fee, "notional": 100_000, **more})["fee"] == pytest.approx(expected)


def test_funding_is_paid_by_longs_where_the_rate_is_positive():
    assert (
        answer({"market": "CRYPTO", "date": "2024-01-02", "funding_rate": 1e-4, "mark": 50_000, "quantity": -2})["fee"]
        == -10
    )


@pytest.mark.parametrize("ask", [{"board": "moon"}, {"market": "MARS"}, {"board": "star", "date": "2018-01-02"}])
def test_what_no_row_covers_is_refused(ask):
    with pytest.raises(Refusal):
        answer({"market": "CN", "date": "2024-01-02", "prev_close": 10, **ask})


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        ({"date": "2024-13-01"}, "date"), ({"date": None}, "date"), ({"side": "sel", "quantity": 100}, "side"),
        ({"fee": "stamp_duty", "notional": 1e5}, "side"), ({"market": "US", "fee": "taf", "quantity": 1}, "side"),
    ],
)  # fmt: skip
def test_a_question_that_is_not_one_is_refused_at_its_field(ask, field):
    with pytest.raises(Refusal) as refusal:
        answer({"market": "CN", "date": "2024-01-02", **ask})
    assert refusal.value.field == field


def test_a_market_without_rules_is_named():
    with pytest.raises(Refusal, match="no rules for MARS;"):
        answer({"market": "mars", "date": "2024-01-02", "prev_close": 1})


def test_rows_of_one_rule_never_overlap_and_name_their_source():
    for a in ROWS:
        assert a.source
        assert a.checked in ("official", "secondary")
        same = [b for b in ROWS if (b.market, b.board, b.what) == (a.market, a.board, a.what) and b.holds(a.since)]
        assert same == [a]


def test_the_documents_show_the_rows_that_rule():
    assert truth_table() in DOCS.read_text(encoding="utf-8")
