"""Targets by weight in the third door: the rows that the door of weights leaves; and what it refuses."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from apps.trading.engine.backtest import Bars, Market, Options, run_on_bar, run_weights
from apps.trading.engine.costs import Costs
from apps.trading.engine.rules import BOARDS
from apps.ui.engine.refusal import Refusal

FLAT = Bars.of([10.0] * 6, [10.0] * 6)
DAYS = [date(2024, 1, 2) + timedelta(days=i) for i in range(60)]


def rows(result):
    """Return what both doors write, sales first and then by column; the reason is each door's own."""
    columns = ("bar", "side", "symbol", "quantity", "price", "fee")
    return sorted(zip(*(result.ledger[name].tolist() for name in columns), strict=True))


def refused(on_bar, field, bars=FLAT, **more):
    with pytest.raises(Refusal) as refusal:
        run_on_bar(on_bar, bars, **more)
    assert refusal.value.field == field


@pytest.mark.parametrize("where", [None, *((market, board) for market, boards in BOARDS.items() for board in boards)])
@pytest.mark.parametrize("seed", range(3))
def test_targets_by_share_leave_the_rows_that_weights_leave(where, seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.04, (3, 60)), axis=1)), 2)
    opens = np.round(close * (1 + rng.normal(0, 0.02, (3, 60))), 2)
    close[rng.random((3, 60)) < 0.08] = np.nan
    opens[np.isnan(close)] = np.nan
    weights = np.where(rng.random((3, 60)) < 0.3, rng.random((3, 60)) / 4, np.nan)
    market = None if where is None else Market.of(where[0], [where[1]] * 3, DAYS, close)

    def on_bar(ctx, bars):
        for s in range(3):
            if not np.isnan(weights[s, ctx.t]):
                ctx.order_target_percent(float(weights[s, ctx.t]), s)

    costs, options = Costs(rate=0.0003, minimum=5.0, slippage=0.001), Options(capital=300_000.0)
    ours = run_on_bar(
        on_bar, [Bars.of(o, c) for o, c in zip(opens, close, strict=True)], costs, options, market=market
    ).result
    other = run_weights(weights, opens, close, costs, options, market=market)
    assert len(other.ledger) > 20
    assert rows(ours) == rows(other)
    assert ours.equity == pytest.approx(other.equity, rel=1e-12)


def test_a_share_that_cannot_be_sized_orders_nothing():
    gap = Bars.of([10.0, 10.0, 10.0], [10.0, np.nan, 10.0])
    given = []
    run_on_bar(lambda ctx, bar: given.append(ctx.order_target_percent(0.5) if ctx.t == 1 else None), gap)
    assert given == [None, None, None]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"limit": -1.0}, "limit"), ({"limit": float("nan")}, "limit"), ({"stop": 0}, "stop"), ({"trail": -0.1}, "trail"),
        ({"twap": 0}, "twap"), ({"vwap": -3}, "vwap"), ({"limit": 10, "twap": 3}, "terms"),
        ({"trail": 1, "stop": 9}, "terms"), ({"on_close": True, "limit": 9}, "terms"), ({"twap": 2, "vwap": 2}, "terms"),
    ],
)  # fmt: skip
def test_terms_that_cannot_be_are_refused_by_name(terms, field):
    refused(lambda ctx, bar: ctx.buy(10, **terms), field)


def test_a_term_that_is_unknown_names_the_one_meant():
    with pytest.raises(Refusal, match="Did you mean limit"):
        run_on_bar(lambda ctx, bar: ctx.buy(10, limt=9), FLAT)


def test_what_is_not_to_be_at_the_close_is_an_order_at_the_market():
    ours = run_on_bar(lambda ctx, bar: ctx.t or ctx.buy(10, on_close=False), FLAT)
    assert [order.kind for order in ours.orders] == ["market"]


@pytest.mark.parametrize("quantity", [0, -5, float("nan"), float("inf")])
def test_a_quantity_that_is_none_is_no_order_the_other_way_round(quantity):
    ours = run_on_bar(lambda ctx, bar: ctx.t or (ctx.buy(quantity), ctx.sell(quantity)), FLAT)
    assert [order.reason for order in ours.orders] == ["quantity", "quantity"]
    assert not len(ours.result.ledger)


@pytest.mark.parametrize("symbol", [-1, 1])
def test_an_instrument_that_is_not_there_is_refused(symbol):
    refused(lambda ctx, bar: ctx.buy(10, symbol), "symbol")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"volume": [1.0, 2.0]}, "volume"), ({"indicators": {"slow": [1.0] * 5}}, "indicators"), ({"leverage": 0.5}, "leverage"),
        ({"leverage": float("nan")}, "leverage"), ({"bars": [FLAT, Bars.of([1.0], [1.0])]}, "bars"), ({"bars": []}, "bars"),
        ({"market": Market.of("CN", ["main"], DAYS[:5], np.ones((1, 5)))}, "market"),
        ({"participation": 1.5}, "participation_pct"),
    ],
)  # fmt: skip
def test_what_has_another_shape_than_the_bars_is_refused_before_the_first(more, field):
    called = []
    refused(lambda ctx, bar: called.append(ctx.t), field, **more)
    assert not called
