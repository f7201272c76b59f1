"""Several instruments by target weights, and money that is never made or lost by the books."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from apps.trading.engine.backtest import Bars, Options, run_targets, run_weights
from apps.trading.engine.costs import Costs
from apps.ui.engine.refusal import Refusal

NAN = float("nan")


def run(weights, open_, close, costs=None, capital=1_000.0, **more):
    options = Options(capital=capital, **{k: more.pop(k) for k in ("allow_short", "cash_short") if k in more})
    grids = (np.array(a, float) for a in (weights, open_, close))
    return run_weights(*grids, costs, options, **more)


def fills(result):
    return [
        (int(f["bar"]), int(f["symbol"]), int(f["side"]), float(f["quantity"]), float(f["price"]))
        for f in result.ledger
    ]


def test_target_shares_are_whole_priced_at_the_close_and_filled_at_the_next_open():
    result = run([[0.5, NAN], [0.3, NAN]], [[10, 11], [7, 7]], [[10, 12], [7, 7]])
    assert fills(result) == [(1, 0, 1, 50, 11), (1, 1, 1, 42, 7)]
    assert result.cash[-1] == 1_000 - 550 - 294
    assert result.equity[-1] == result.cash[-1] + 600 + 294


def test_sells_come_first_then_buys_in_column_order():
    weights = [[0.0, 0.5, NAN], [0.5, 0.0, NAN], [0.4, 0.0, NAN]]
    result = run(weights, [[10] * 3] * 3, [[10] * 3] * 3)
    assert [(bar, s, side) for bar, s, side, *_ in fills(result)] == [
        (1, 1, 1),
        (1, 2, 1),
        (2, 1, -1),
        (2, 2, -1),
        (2, 0, 1),
    ]


def test_a_nan_column_keeps_the_shares_held():
    result = run([[1.0, NAN, NAN]], [[10, 10, 10]], [[10, 20, 40]])
    assert len(result.ledger) == 1
    assert result.equity.tolist() == [1_000, 2_000, 4_000]


def test_an_instrument_without_an_open_waits():
    result = run([[0.5, NAN, NAN, NAN]], [[10, NAN, NAN, 8]], [[10, NAN, 9, 9]])
    assert fills(result) == [(3, 0, 1, 50, 8)]


def test_without_a_close_the_last_price_counts_and_nothing_is_sized():
    result = run([[0.5, 1.0, NAN]], [[10, 10, 10]], [[10, NAN, 12]])
    assert result.equity.tolist() == [1_000, 1_000, 1_100]
    assert len(result.ledger) == 1


def test_a_price_before_the_first_bar_values_what_is_missing_then():
    result = run([[NAN, 0.5, NAN, NAN]], [[10, 10, 10, 10]], [[10, 10, NAN, 11]], first=1)
    assert result.equity.tolist() == [1_000, 1_000, 1_050]


def test_buying_beyond_the_cash_is_refused_or_cut():
    refused = run([[1.0, NAN]], [[10, 12]], [[10, 12]])
    assert (len(refused.ledger), refused.refused["cash"]) == (0, 1)
    cut = run([[1.0, NAN]], [[10, 12]], [[10, 12]], cash_short="reduce")
    assert fills(cut) == [(1, 0, 1, 83, 12)]
    assert cut.refused["cut_to_cash"] == 1


def test_a_weight_too_small_for_a_lot_is_counted():
    assert run([[0.001, NAN]], [[10, 10]], [[10, 10]]).refused["below_lot"] == 1


def test_negative_weights_are_shorts_where_allowed_and_nothing_elsewhere():
    grid = ([[-0.5, NAN, NAN]], [[10, 10, 10]], [[10, 8, 8]])
    short = run(*grid, allow_short=True)
    assert fills(short) == [(1, 0, -1, 50, 10)]
    assert short.equity[-1] == 1_100
    assert len(run(*grid).ledger) == 0


def test_ruin_closes_everything_and_ends_trading():
    grid = ([[-1.0, NAN, 1.0, 1.0]], [[10, 10, 25, 25]], [[10, 21, 25, 25]])
    result = run(*grid, allow_short=True)
    assert fills(result) == [(1, 0, -1, 100, 10), (2, 0, 1, 100, 25)]
    assert result.ledger["reason"].tolist() == [4, 3]


def test_a_turn_from_short_to_long_buys_at_least_the_short_back():
    grid = ([[-0.5, 1.0, NAN]], [[10, 10, 20]], [[10, 16, 20]])
    result = run(*grid, allow_short=True)
    assert fills(result) == [(1, 0, -1, 50, 10), (2, 0, 1, 50, 20)]
    assert result.position[0, -1] == 0


def test_invest_scales_the_weights():
    assert fills(run([[1.0, NAN]], [[10, 10]], [[10, 10]], invest=0.5))[0][3] == 50


def test_arrays_of_different_shapes_are_refused():
    with pytest.raises(Refusal) as refused:
        run([[1.0]], [[10, 10]], [[10, 10]])
    assert refused.value.code == "bad_targets"


def test_a_ledger_that_outgrows_its_room_is_written_whole():
    weights = np.tile([[0.3, 0.2]], (3, 2_000))
    result = run(weights, np.full((3, 4_000), 10.0), np.full((3, 4_000), 10.0), capital=10_000.0)
    assert len(result.ledger) == 3 * 3_999
    assert result.position.shape == (3, 4_000)


def replay(result, close, capital):
    """Cash and equity from the ledger alone."""
    cash, held, last, out = capital, np.zeros(len(close)), np.zeros(len(close)), []
    by_bar = {}
    for f in result.ledger:
        by_bar.setdefault(int(f["bar"]), []).append(f)
    for t in range(close.shape[1]):
        for f in by_bar.get(t, []):
            cash -= f["side"] * f["quantity"] * f["price"] + f["fee"]
            held[f["symbol"]] += f["side"] * f["quantity"]
        last = np.where(np.isfinite(close[:, t]), close[:, t], last)
        out.append((cash, cash + float(held @ last)))
    return np.array(out).T


grids = st.integers(2, 30).flatmap(
    lambda bars: st.tuples(
        arrays(float, (3, bars), elements=st.sampled_from([0.0, 0.1, 0.33, 0.5, NAN])),
        arrays(float, (3, bars), elements=st.sampled_from([9.5, 10.0, 10.5, 13.0, NAN])),
        arrays(float, (3, bars), elements=st.sampled_from([9.0, 10.0, 11.0, 12.0, NAN])),
    )
)
costs_ = st.builds(
    Costs,
    rate=st.sampled_from([0.0, 0.001]),
    minimum=st.sampled_from([0.0, 5.0]),
    sell_tax=st.sampled_from([0.0, 0.0005]),
    slippage=st.sampled_from([0.0, 0.01]),
    lot=st.sampled_from([1, 10]),
)


@settings(max_examples=600, deadline=None)
@given(grids, costs_, st.sampled_from(["refuse", "reduce"]))
def test_cash_positions_and_fees_conserve_equity_for_weights(grid, costs, short):
    weights, open_, close = grid
    result = run_weights(weights, open_, close, costs, Options(capital=5_000.0, cash_short=short))
    cash, equity = replay(result, close, 5_000.0)
    np.testing.assert_allclose(result.cash, cash, rtol=1e-12, atol=1e-6)
    np.testing.assert_allclose(result.equity, equity, rtol=1e-12, atol=1e-6)
    assert (result.cash >= -1e-9).all() or costs.minimum > 0
    assert (result.position >= 0).all()
    assert (result.ledger["quantity"] % costs.lot == 0).all()


@settings(max_examples=600, deadline=None)
@given(
    arrays(np.int8, 40, elements=st.sampled_from([-1, 0, 1, 2])),
    arrays(float, (2, 40), elements=st.sampled_from([8.0, 9.5, 10.0, 10.5, 13.0, NAN])),
    costs_,
    st.booleans(),
    st.sampled_from([None, 0.05]),
)
def test_cash_positions_and_fees_conserve_equity_for_targets(targets, prices, costs, allow_short, stop):
    bars = Bars.of(prices[0], prices[1], prices.max(axis=0) + 1, prices.min(axis=0) - 1)
    options = Options(capital=5_000.0, fraction=1.0, allow_short=allow_short, stop_loss=stop, cash_short="reduce")
    result = run_targets(targets, bars, costs, options)
    close = np.where(np.isfinite(prices[0]), prices[1], NAN)[None]
    cash, equity = replay(result, close, 5_000.0)
    np.testing.assert_allclose(result.cash, cash, rtol=1e-12, atol=1e-6)
    np.testing.assert_allclose(result.equity, equity, rtol=1e-12, atol=1e-6)
    missing = np.flatnonzero(~np.isfinite(prices).all(axis=0))
    assert not set(result.ledger["bar"].tolist()) & set(missing.tolist())
