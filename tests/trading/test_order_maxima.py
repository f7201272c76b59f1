"""The most shares of one order and the cage of limit orders: split or refused, in every door alike."""

from __future__ import annotations

import os
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.engine.backtest import (
    Bars,
    Market,
    Options,
    rule_targets,
    run_on_bar,
    run_rule,
    run_targets,
    run_weights,
)
from apps.trading.engine.backtest.permits import child_of
from apps.trading.engine.costs import Costs
from apps.trading.engine.rules.schedule import LIMIT_ORDER, MARKET_ORDER
from apps.trading.engine.trades import match_trades

EXAMPLES = int(os.environ.get("QP_LEDGER_EXAMPLES", "50"))
RICH = 1e10
COSTS = Costs(rate=0.0003, minimum=5.0, slippage=0.001)


def days(count, bars_a_day=1, start=date(2024, 1, 2)):
    return [start + timedelta(days=i // bars_a_day) for i in range(count)]


def flat(count, price=10.0):
    return Bars.of([price] * count, [price] * count)


def rules(bars, board="star", bars_a_day=1, start=date(2024, 1, 2)):
    return Market.of("CN", [board], days(len(bars), bars_a_day, start), bars.close[None])


def fills(result):
    return [(int(f["bar"]), int(f["side"]), float(f["quantity"]), float(f["price"])) for f in result.ledger]


def once(quantity, at=0, **terms):
    return lambda ctx, bar: ctx.order(quantity, **terms) if ctx.t == at else None


class TestSplit:
    def test_an_order_above_the_maximum_is_given_as_several_that_obey_it(self):
        bars = flat(3)
        options = Options(capital=RICH, sizing="fixed_shares", shares=120_000)
        result = run_targets(np.array([1, 0, 0], np.int8), bars, Costs(minimum=5.0), options, market=rules(bars))
        bought, sold = (
            [(1, 1, q, 10.0) for q in (50_000, 50_000, 20_000)],
            [(2, -1, q, 10.0) for q in (50_000, 50_000, 20_000)],
        )
        assert fills(result) == bought + sold
        assert (result.ledger["fee"][:3] >= 5.0).all(), "each order owes the minimum"
        assert "maximum" not in result.refused

    def test_what_is_left_for_the_last_order_is_a_lot(self):
        assert [child_of(50_100.0, 50_000.0, 200.0), child_of(200.0, 50_000.0, 200.0)] == [49_900.0, 200.0]

    def test_what_was_split_is_one_trade(self):
        bars = flat(3)
        options = Options(capital=RICH, sizing="fixed_shares", shares=120_000)
        result = run_targets(np.array([1, 0, 0], np.int8), bars, COSTS, options, market=rules(bars))
        closed, opened = match_trades(result.ledger)
        assert [trade.quantity for trade in closed] == [120_000]
        assert not opened
        assert RICH + closed[0].pnl == pytest.approx(result.equity[-1])

    def test_weights_are_split_as_well(self):
        bars = flat(4)
        weights = np.array([[0.5, np.nan, 0.0, np.nan]])
        options = Options(capital=2_400_000.0)
        result = run_weights(weights, bars.open[None], bars.close[None], None, options, market=rules(bars))
        parts = [50_000, 50_000, 20_000]
        assert [side * q for _, side, q, _ in fills(result)] == [*parts, *(-part for part in parts)]

    def test_the_maximum_is_the_one_of_the_day(self):
        """ChiNext: none is told before 2020-08-24, 150,000 at the market since."""
        options = Options(capital=RICH, sizing="fixed_shares", shares=300_000)
        bars, wanted = flat(2), np.array([1, 1], np.int8)
        before, after = (
            run_targets(wanted, bars, None, options, market=rules(bars, "chinext", start=start))
            for start in (date(2020, 8, 20), date(2020, 8, 24))
        )
        assert [len(before.ledger), len(after.ledger)] == [1, 2]

    def test_limit_orders_have_a_maximum_of_their_own(self):
        bars = flat(3)
        run = run_on_bar(once(120_000, limit=10.0), bars, None, Options(capital=RICH), market=rules(bars))
        assert [q for _, _, q, _ in fills(run.result)] == [100_000, 20_000]

    def test_the_minimum_is_owed_once_for_each_order_however_many_fills_it_takes(self):
        bars = flat(6)
        run = run_on_bar(once(100_000), bars, Costs(minimum=500.0), Options(capital=RICH), market=rules(bars),
                         volume=np.full(6, 200_000.0), participation=0.2)  # fmt: skip
        assert [q for _, _, q, _ in fills(run.result)] == [40_000, 10_000, 30_000, 20_000]
        assert run.result.fees - run.result.ledger["quantity"].sum() * 10.0 * 0.00001 == pytest.approx(1000.0)


class TestRefuse:
    REFUSE = Options(capital=RICH, sizing="fixed_shares", shares=120_000, order_maximum="refuse")

    def test_an_order_above_the_maximum_is_refused_and_counted(self):
        bars = flat(3)
        result = run_targets(np.array([1, 1, 1], np.int8), bars, None, self.REFUSE, market=rules(bars))
        assert fills(result) == []
        assert result.refused["maximum"] == 2

    def test_on_bar_and_weights_refuse_alike(self):
        bars = flat(3)
        run = run_on_bar(once(120_000), bars, None, self.REFUSE, market=rules(bars))
        assert (run.orders[0].status, run.orders[0].reason, run.result.refused["maximum"]) == ("refused", "maximum", 1)
        weights = np.array([[0.0012, np.nan, np.nan]])
        held = run_weights(weights, bars.open[None], bars.close[None], None, self.REFUSE, market=rules(bars))
        assert (len(held.ledger), held.refused["maximum"]) == (0, 1)

    def test_what_closes_a_holding_is_split_all_the_same(self):
        bars = flat(6)

        def on_bar(ctx, bar):
            if ctx.t < 2:
                ctx.buy(50_000)
            if ctx.t == 3:
                ctx.sell(100_000)

        run = run_on_bar(on_bar, bars, None, self.REFUSE, market=rules(bars))
        assert fills(run.result)[2:] == [(4, -1, 50_000, 10), (4, -1, 50_000, 10)]


class TestCage:
    """Main board since 2023-04-10: 2 % or ten ticks through the market."""

    MINUTES = Bars.of(
        [10.0, 10.0, 10.0, 10.0], [10.0, 10.0, 10.0, 10.0], [10.0, 10.5, 10.5, 10.0], [10.0, 9.5, 9.5, 10.0]
    )

    def give(self, quantity, bars=MINUTES, bars_a_day=4, board="main", **terms):
        options = Options(capital=RICH, price_cage=terms.pop("price_cage", "in_session"), allow_short=quantity < 0)
        start = terms.pop("start", date(2024, 1, 2))
        return run_on_bar(once(quantity, **terms), bars, None, options, market=rules(bars, board, bars_a_day, start))

    @pytest.mark.parametrize(
        ("quantity", "limit", "reason"),
        [(100, 10.20, ""), (100, 10.21, "price_cage"), (-100, 9.80, ""), (-100, 9.79, "price_cage"), (100, 9.0, "")],
    )
    def test_a_limit_order_too_far_through_the_last_price_is_refused(self, quantity, limit, reason):
        run = self.give(quantity, limit=limit)
        assert run.orders[0].reason == reason
        assert run.result.refused.get("price_cage", 0) == bool(reason)
        assert bool(len(run.result.ledger)) == (not reason and limit != 9.0)

    def test_ten_ticks_are_the_wider_room_of_a_low_price(self):
        bars = Bars.of([2.0] * 4, [2.0] * 4)
        assert self.give(100, bars, limit=2.10).orders[0].reason == ""
        assert self.give(100, bars, limit=2.11).orders[0].reason == "price_cage"
        assert self.give(200, bars, board="star", limit=2.05).orders[0].reason == "price_cage", "no ticks there"

    def test_the_first_bar_of_a_session_joins_the_opening_call_which_has_no_cage(self):
        assert self.give(100, bars_a_day=1, limit=10.9).orders[0].status == "filled"
        assert self.give(100, bars_a_day=1, limit=10.9, price_cage="every_bar").orders[0].reason == "price_cage"

    def test_it_is_measured_when_the_order_reaches_the_market_not_later(self):
        bars = Bars.of([10.0, 10.0, 9.0, 9.0], [10.0, 9.0, 9.0, 9.0], [10.0, 10.0, 9.0, 9.0], [10.0, 9.9, 9.0, 9.0])
        assert fills(self.give(100, bars, limit=9.5).result) == [(2, 1, 100, 9.0)]

    def test_a_stop_limit_is_measured_from_the_price_that_reached_its_stop(self):
        assert self.give(100, stop=10.3, limit=10.5).orders[0].status == "filled"
        assert self.give(100, stop=10.3, limit=10.6).orders[0].reason == "price_cage"

    def test_before_it_was_made_there_was_none(self):
        assert self.give(100, limit=10.9, start=date(2023, 4, 7)).orders[0].status == "filled"


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.sampled_from(["main", "chinext", "star", "bse", "etf"]), st.integers(0, 2**32 - 1),
    st.sampled_from([40_000, 50_100, 150_000, 299_900, 1_000_000, 2_500_000, 2_500_050]),
    st.sampled_from(["split", "refuse"]), st.sampled_from([1, 4]), st.booleans(),
)  # fmt: skip
def test_the_three_doors_are_equal_and_no_order_is_above_the_maximum(
    board, seed, shares, choice, bars_a_day, protected
):
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.02, 80))), 2)
    open_ = np.round(np.concatenate([[20.0], close[:-1]]) * (1 + rng.normal(0, 0.004, 80)), 2)
    bars = Bars.of(open_, close)
    market = rules(bars, board, bars_a_day)
    options = Options(capital=RICH, sizing="fixed_shares", shares=shares, order_maximum=choice)
    targets = rule_targets("sma_cross", {"fast": 2, "slow": 5}, bars)
    wanted, order = 0, None

    def on_bar(ctx, bar):
        nonlocal order, wanted
        wanted = int(targets[ctx.t]) if targets[ctx.t] != 2 else wanted
        if order is not None:
            ctx.cancel(order)
            order = None
        least, step = market.minimum[0], market.step[0]
        if targets[ctx.t] == 1 and not ctx.position():
            order = ctx.buy(least + (shares - least) // step * step)
        elif wanted == 0 and ctx.position():
            order = ctx.sell(ctx.position())

    ours = run_on_bar(on_bar, bars, COSTS, options, market=market).result
    for other in (
        run_targets(targets, bars, COSTS, options, market=market),
        run_rule("sma_cross", {"fast": 2, "slow": 5}, bars, COSTS, options, market=market),
    ):
        assert ours.ledger.tobytes() == other.ledger.tobytes()
        assert ours.equity.tobytes() == other.equity.tobytes()
    if protected:
        ours = run_targets(
            targets, bars, COSTS, Options(**{**options.__dict__, "take_profit": 0.03, "stop_loss": 0.02}), market=market
        )
    most = np.where(
        ours.ledger["reason"] == 2,
        market.most(0, LIMIT_ORDER)[ours.ledger["bar"]],
        market.most(0, MARKET_ORDER)[ours.ledger["bar"]],
    )
    assert (ours.ledger["quantity"] <= most).all()
    assert ours.equity[-1] == pytest.approx(ours.cash[-1] + ours.position[0, -1] * close[-1])
