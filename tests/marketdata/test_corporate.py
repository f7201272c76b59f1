"""Events, factors, dated membership and what can be traded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine import store
from apps.marketdata.engine.corporate import adjusted, cumulative_factors, dividend, split
from apps.marketdata.engine.derive import events_of, volume_unit
from apps.marketdata.engine.tradability import last_close, listed, reference_close, suspended
from apps.marketdata.engine.universe import Membership, member_mask, universes
from tests.marketdata.conftest import bars

DAY = np.datetime64("2024-01-03", "D")


def test_a_split_halves_the_prices_before_it_and_doubles_the_volume():
    panel = bars([100, 50, 51], volume=[10, 20, 20])
    events = (split("AAA", panel.times[1], 2.0),)
    forward, backward = adjusted(panel, events, "forward"), adjusted(panel, events, "backward")
    assert forward.close.tolist() == [[50, 50, 51]]
    assert forward.volume.tolist() == [[20, 20, 20]]
    assert backward.close.tolist() == [[100, 100, 102]]
    assert adjusted(panel, events, "raw") is panel


def test_a_dividend_scales_by_what_is_left_of_the_close():
    event = dividend("AAA", DAY, 2.0, 100.0)
    assert (event.factor, event.cash, event.kind) == (0.98, 2.0, "dividend")


@given(st.lists(st.floats(0.1, 3.0), min_size=1, max_size=5))
def test_forward_and_backward_differ_by_one_constant(factors):
    panel = bars(np.linspace(10, 20, 12))
    events = tuple(split("AAA", panel.times[2 * i + 1], 1 / f) for i, f in enumerate(factors))
    ratio = cumulative_factors(panel, events, "forward") / cumulative_factors(panel, events, "backward")
    np.testing.assert_allclose(ratio, ratio[0, 0])
    np.testing.assert_allclose(cumulative_factors(panel, events, "forward")[:, -1], 1.0)
    np.testing.assert_allclose(cumulative_factors(panel, events, "backward")[:, 0], 1.0)


def test_events_of_symbols_that_are_not_there_change_nothing():
    panel = bars([1, 2, 3])
    np.testing.assert_array_equal(cumulative_factors(panel, (split("ZZZ", DAY, 2.0),), "forward"), 1.0)


def test_events_come_from_a_factor_an_adjusted_close_or_the_stated_previous_close():
    by_factor = events_of(bars([100, 50, 50], factor=[1, 2, 2]))
    assert [(e.kind, e.ratio, e.source) for e in by_factor] == [("split", 2.0, "factor")]
    by_close = events_of(bars([100, 99, 100], adj_close=[98.0, 99.0, 100.0]))
    assert [(e.kind, round(e.cash, 2), e.source) for e in by_close] == [("dividend", 2.0, "adj_close")]
    closes, told = np.full(60, 10.0), np.full(60, 10.0)
    told[30] = 9.5
    (stated,) = events_of(bars(closes, prev_close=told))
    assert (stated.kind, stated.cash, stated.source) == ("dividend", 0.5, "prev_close")


def test_rounding_of_an_adjusted_close_is_no_event():
    closes = np.array([30.01, 30.53, 29.99, 30.40])
    assert events_of(bars(closes, adj_close=np.round(closes * 0.31, 2))) == ()


def test_stated_splits_and_payouts_are_taken_as_they_are():
    panel = bars([100, 50, 49], split_ratio=[1, 2, 1], cash_dividend=[0, 0, 0.5])
    assert [(e.kind, e.ratio, e.cash) for e in events_of(panel)] == [("split", 2.0, 0.0), ("dividend", 1.0, 0.5)]


def test_volume_in_lots_shows_in_the_money_traded():
    close, volume = np.linspace(10, 11, 30), np.full(30, 5000.0)
    assert volume_unit({"close": close, "volume": volume, "amount": close * volume * 100}) == 100
    assert volume_unit({"close": close, "volume": volume, "amount": close * volume}) == 1
    assert volume_unit({"close": close, "volume": volume, "amount": np.linspace(50, 150, 30) * close * volume}) == 1


def test_suspension_is_a_mark_an_absent_bar_or_no_volume_between_first_and_last():
    panel = bars([1, np.nan, 3, 4, 5], volume=[1, 1, 0, 1, 1], suspended=[0, 0, 0, 1, 0])
    assert suspended(panel).tolist() == [[False, True, True, True, False]]
    assert listed(bars([np.nan, 2, np.nan, 4, np.nan])).tolist() == [[False, True, True, True, False]]


def test_a_series_without_any_volume_is_not_suspended():
    assert not suspended(bars([1, 2, 3], volume=0)).any()


def test_the_reference_is_the_last_close_less_what_was_paid_out():
    panel = bars([10, np.nan, 12, 6])
    np.testing.assert_array_equal(last_close(panel), [[np.nan, 10, 10, 12]])
    events = (split("AAA", panel.times[3], 2.0),)
    np.testing.assert_array_equal(reference_close(panel, events), [[np.nan, 10, 10, 6]])


def test_an_event_during_a_suspension_counts_on_the_day_of_return():
    panel = bars([10, np.nan, np.nan, 5, 5])
    reference = reference_close(panel, (split("AAA", panel.times[1], 2.0),))
    np.testing.assert_array_equal(reference, [[np.nan, 5, 5, 5, 5]])


def test_the_exchange_knows_its_previous_close_best():
    panel = bars([10, 11], prev_close=[np.nan, 9.7])
    np.testing.assert_array_equal(reference_close(panel), [[np.nan, 9.7]])


def spans():
    return (
        Membership("x", "AAA", np.datetime64("2024-01-02"), np.datetime64("2024-01-03")),
        Membership("y", "AAA", np.datetime64("2020-01-01"), np.datetime64("2030-01-01")),
        Membership("x", "GONE", np.datetime64("2024-01-01"), np.datetime64("2024-01-03")),
    )


def test_membership_is_dated_and_both_ends_count():
    panel = bars([1, 2, 3, 4])
    assert member_mask(panel, spans(), "x").tolist() == [[False, True, True, False]]
    assert member_mask(panel, spans(), "y").all()
    assert member_mask(panel, ()).all()
    assert universes(spans()) == {"x": {"members": 2, "spans": 2}, "y": {"members": 1, "spans": 1}}


def test_events_and_membership_are_stored_and_belong_to_the_hash(tmp_path):
    panel = bars([1, 2, 3])
    events = (dividend("AAA", DAY, 0.1, 2.0, "test"), split("AAA", DAY, 2.0, "test"))
    plain = store.write_panel(panel, tmp_path)
    folder = store.write_panel(panel, tmp_path, events=events, membership=spans())
    assert store.load_events(folder) == events
    assert sorted(map(str, store.load_membership(folder))) == sorted(map(str, spans()))
    assert folder != plain
    assert (store.load_events(plain), store.load_membership(plain)) == ((), ())
    store.verify_hash(folder)
    assert store.write_panel(panel, tmp_path, events=events[::-1], membership=spans()[::-1]) == folder


@pytest.mark.data
def test_csi300_comes_with_its_membership_and_events(market_data):
    from apps.marketdata.engine.readers import read_bars

    made = read_bars(market_data / "cn_csi300")
    assert (len(made.panel.symbols), made.rows) == (751, 2_580_084)
    assert universes(made.membership) == {"csi300": {"members": 789, "spans": 960}}
    mask = member_mask(made.panel, made.membership, "csi300")
    assert mask.sum(axis=0).max() <= 300
    pufa = [e for e in made.events if e.symbol == "SH600000" and e.day == np.datetime64("2010-06-10")]
    assert [(e.kind, round(e.factor, 4)) for e in pufa] == [("adjustment", 0.7632)]
