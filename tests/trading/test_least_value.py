"""The least money of one order at a venue: refused alike in every door, except what closes a holding."""

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
from apps.trading.engine.backtest.permits import whole_lots
from apps.trading.engine.costs import Costs

EXAMPLES = int(os.environ.get("QP_LEDGER_EXAMPLES", "50"))
COSTS = Costs(rate=0.001, slippage=0.0005)
FEW = Options(capital=1000.0, sizing="fixed_shares", shares=0.0004)


def rules(*closes):
    days = [date(2024, 1, 2) + timedelta(days=i) for i in range(len(closes[0]))]
    return Market.of("CRYPTO", ["spot"] * len(closes), days, np.array(closes, float))


def bars_at(*prices):
    return Bars.of(list(prices), list(prices))


def test_a_purchase_worth_less_is_refused_and_counted():
    bars = bars_at(10_000, 10_000, 10_000, 13_000, 13_000)
    targets = np.array([1, 2, 0, 1, 2], np.int8)
    result = run_targets(targets, bars, COSTS, FEW, market=rules(bars.close))
    assert [(int(f["bar"]), float(f["quantity"])) for f in result.ledger] == [(4, 0.0004)], "5.2 are enough, 4 are not"
    assert result.refused["min_notional"] == 1


def test_without_the_rules_of_a_venue_any_value_trades():
    bars = bars_at(1, 1)
    one = Options(capital=1000.0, sizing="fixed_shares", shares=1)
    targets = np.array([1, 2], np.int8)
    assert len(run_targets(targets, bars, COSTS, one).ledger) == 1
    assert len(run_targets(targets, bars, COSTS, one, market=rules(bars.close)).ledger) == 0


def test_what_closes_a_holding_is_sold_whatever_it_is_worth():
    bars = bars_at(20_000, 20_000, 500, 500)
    targets = np.array([1, 2, 0, 2], np.int8)
    result = run_targets(targets, bars, COSTS, FEW, market=rules(bars.close))
    assert [int(f["side"]) for f in result.ledger] == [1, -1]
    assert result.position[0, -1] == 0.0


@pytest.mark.parametrize(("choice", "code"), [("reduce", "cash"), ("refuse", "cash")])
def test_what_is_cut_to_the_cash_still_has_to_be_worth_it(choice, code):
    bars = bars_at(10_000, 10_000)
    options = Options(capital=4.0, sizing="fixed_shares", shares=0.01, cash_short=choice)
    result = run_targets(np.array([1, 2], np.int8), bars, COSTS, options, market=rules(bars.close))
    assert len(result.ledger) == 0
    assert result.refused[code] == 1


def test_weights_make_no_small_change_but_do_close():
    open_ = close = np.full((2, 5), 100.0)
    weights = np.array([[0.5, 0.502, 0.5, 0.0, 0.0], [0.5, 0.4, 0.4, 0.4, 0.4]])
    result = run_weights(weights, open_, close, COSTS, Options(capital=1000.0), market=rules(*close))
    changes = {(int(f["bar"]), int(f["symbol"])) for f in result.ledger}
    assert (2, 0) not in changes, "2 of 1,000 is not worth an order"
    assert (2, 1) in changes
    assert (4, 0) in changes
    assert result.refused["min_notional"] >= 1


def test_an_order_of_a_program_is_refused_with_the_reason():
    bars = bars_at(10_000, 10_000, 10_000)

    def on_bar(ctx, bar):
        if ctx.t == 0:
            ctx.buy(0.0004)
            ctx.buy(0.0006)
        elif ctx.t == 1:
            ctx.sell(0.0001)

    found = run_on_bar(on_bar, bars, COSTS, Options(capital=1000.0), market=rules(bars.close))
    assert [(order.status, order.reason) for order in found.orders] == [
        ("refused", "min_notional"), ("filled", ""), ("refused", "min_notional"),
    ]  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([5.5, 8.0, 20.0, 1000.0]), st.sampled_from(["refuse", "reduce"]))
def test_the_doors_are_equal_and_nothing_small_is_bought(seed, capital, cash_short):
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.05, 60))), 2)
    open_ = np.round(np.concatenate([[20.0], close[:-1]]) * (1 + rng.normal(0, 0.02, 60)), 2)
    bars, options = Bars.of(open_, close), Options(capital=capital, fraction=0.97, cash_short=cash_short)
    market = rules(close)
    targets = rule_targets("sma_cross", {"fast": 2, "slow": 5}, bars)

    def on_bar(ctx, bar):
        if targets[ctx.t] == 1 and not ctx.position():
            wanted = whole_lots(options.fraction * ctx.equity / bar.close, market.minimum[0], market.step[0])
            ctx.buy(wanted) if wanted else None
        elif targets[ctx.t] == 0 and ctx.position():
            ctx.sell(ctx.position())

    ours = run_targets(targets, bars, COSTS, options, market=market)
    rule = run_rule("sma_cross", {"fast": 2, "slow": 5}, bars, COSTS, options, market=market)
    assert ours.ledger.tobytes() == rule.ledger.tobytes()
    program = run_on_bar(on_bar, bars, COSTS, options, market=market).result
    assert ours.ledger.tobytes() == program.ledger.tobytes()
    bought = ours.ledger[ours.ledger["side"] == 1]
    assert (bought["quantity"] * open_[bought["bar"]] >= 5.0 - 0.005).all()
    assert ours.equity[-1] == pytest.approx(ours.cash[-1] + ours.position[0, -1] * close[-1])
