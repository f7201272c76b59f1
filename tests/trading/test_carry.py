"""What is owed for holding: borrow fees of shorts and funding of perpetual positions, in every door."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.engine.backtest import HOLD, Bars, Market, Options, run_on_bar, run_targets, run_weights
from apps.trading.engine.backtest.market import Event
from apps.trading.engine.costs import Costs
from apps.trading.engine.ledger import BORROW, FUNDING, SPLIT
from apps.trading.engine.trades import match_trades
from apps.ui.engine.refusal import Refusal

EXAMPLES = int(os.environ.get("QP_LEDGER_EXAMPLES", "50"))
SHORT = Options(capital=100_000.0, sizing="fixed_shares", shares=100, allow_short=True)


def market(close, days=None, board=("US", "stock"), stamps=None, funded=None, events=()):
    close = np.atleast_2d(close)
    days = days or [date(2001, 1, 1) + timedelta(days=i) for i in range(close.shape[1])]
    made = Market.of(board[0], [board[1]] * len(close), days, close, events=events)
    return replace(made, stamps=stamps, funded=funded)


def wants(*values):
    return np.array(values, np.int8)


def rows(result, reason):
    return [(int(r["bar"]), float(r["quantity"]), float(r["price"])) for r in result.ledger if r["reason"] == reason]


class TestBorrow:
    BARS = Bars.of([10.0, 10.0, 11.0, 12.0, 12.0], [10.0, 11.0, 12.0, 12.0, 12.0])

    def test_a_short_pays_for_each_night_over_a_weekend_too(self):
        days = [date(2001, 1, d) for d in (3, 4, 5, 8, 9)]  # Wednesday … Friday, Monday, Tuesday
        rules = market(self.BARS.close, days)
        result = run_targets(wants(-1, HOLD, 0, HOLD, HOLD), self.BARS, Costs(borrow=0.36), SHORT, market=rules)
        paid = rows(result, BORROW)
        assert [(bar, quantity) for bar, quantity, _ in paid] == [(2, -100), (3, -100)]
        assert [price for _, _, price in paid] == pytest.approx([11.0 * 0.001, 12.0 * 0.003])
        assert result.borrow == pytest.approx(100 * (0.011 + 0.036))
        assert (result.payouts, result.funding) == (0.0, 0.0)

    def test_a_long_position_pays_nothing(self):
        result = run_targets(wants(1, 1, 1, 1, 1), self.BARS, Costs(borrow=0.36), SHORT, market=market(self.BARS.close))
        assert result.borrow == 0.0

    def test_what_was_paid_is_part_of_the_trade(self):
        result = run_targets(wants(-1, HOLD, 0, HOLD, HOLD), self.BARS, Costs(borrow=0.36), SHORT,
                             market=market(self.BARS.close))  # fmt: skip
        closed, _ = match_trades(result.ledger)
        assert SHORT.capital + closed[0].pnl == pytest.approx(result.equity[-1])

    def test_bars_of_one_day_owe_once(self):
        days = [date(2001, 1, 3 + i // 3) for i in range(5)]
        result = run_targets(wants(-1, *[HOLD] * 4), self.BARS, Costs(borrow=0.36), SHORT,
                             market=market(self.BARS.close, days))  # fmt: skip
        assert [bar for bar, _, _ in rows(result, BORROW)] == [3]

    @pytest.mark.parametrize("costs", [Costs(borrow=0.1), Costs(funding=-0.001)])
    def test_without_days_nothing_could_be_owed_so_it_is_refused(self, costs):
        with pytest.raises(Refusal, match="by the day"):
            run_targets(wants(0, 0, 0, 0, 0), self.BARS, costs)
        with pytest.raises(Refusal, match="by the day"):
            run_on_bar(lambda ctx, bar: None, self.BARS, costs)
        with pytest.raises(Refusal, match="by the day"):
            run_weights(np.ones((1, 5)), self.BARS.open[None], self.BARS.close[None], costs)


class TestFunding:
    BARS = Bars.of([10.0] * 5, [10.0] * 5)
    #: Hourly bars; funding falls at the start of the third and the fifth.
    STAMPS = np.array([0, 0, 1, 1, 2])

    @pytest.mark.parametrize(("side", "rate", "paid"), [(1, 0.001, 2.0), (-1, 0.001, -2.0), (1, -0.001, -2.0)])
    def test_longs_pay_shorts_where_the_rate_is_above_zero(self, side, rate, paid):
        rules = market(self.BARS.close, board=("CRYPTO", "perpetual"), stamps=self.STAMPS)
        result = run_targets(wants(side, *[HOLD] * 4), self.BARS, Costs(funding=rate), SHORT, market=rules)
        assert [bar for bar, _, _ in rows(result, FUNDING)] == [2, 4]
        assert result.funding == pytest.approx(paid)
        assert result.equity[-1] == pytest.approx(SHORT.capital - paid)

    def test_who_holds_nothing_at_the_stamp_pays_nothing(self):
        rules = market(self.BARS.close, board=("CRYPTO", "perpetual"), stamps=self.STAMPS)
        result = run_targets(wants(HOLD, 1, 0, 0, 0), self.BARS, Costs(funding=0.001), SHORT, market=rules)
        assert rows(result, FUNDING) == []

    def test_rates_that_the_data_tells_rule_over_the_fixed_one(self):
        rules = market(self.BARS.close, stamps=self.STAMPS, funded=np.array([[0.0, 0.0, 0.002, 0.002, 0.001]]))
        result = run_targets(wants(1, *[HOLD] * 4), self.BARS, Costs(funding=0.5), SHORT, market=rules)
        assert [price for _, _, price in rows(result, FUNDING)] == pytest.approx([-0.02, 0.01])
        none = run_targets(wants(1, *[HOLD] * 4), self.BARS, Costs(levies=0.0), SHORT, market=rules)
        assert rows(none, FUNDING) == []

    def test_an_instrument_of_which_the_data_tells_none_owes_the_fixed_one(self):
        close = np.full((2, 5), 10.0)
        rules = Market.of("CRYPTO", ["perpetual"] * 2, [date(2024, 1, 1)] * 5, close)
        funded = np.array([[0.0, 0.0, 0.0, 0.004, 0.004], [np.nan] * 5])
        rules = replace(rules, stamps=self.STAMPS, funded=funded)
        weights = np.full((2, 5), np.nan)
        weights[:, 0] = 0.4
        result = run_weights(weights, close, close, Costs(funding=0.001), Options(capital=1000.0), market=rules)
        owed = result.ledger[result.ledger["reason"] == FUNDING]
        assert list(zip(owed["bar"].tolist(), owed["symbol"].tolist(), strict=True)) == [(2, 1), (3, 0), (4, 1)]
        assert owed["price"] == pytest.approx([-0.01, -0.04, -0.01])


def case(seed, symbols=1, bars=50):
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.03, (symbols, bars)), axis=1)), 2)
    open_ = np.round(close * (1 + rng.normal(0, 0.01, close.shape)), 2)
    close[rng.random(close.shape) < 0.08] = np.nan
    open_[np.isnan(close)] = np.nan
    days = [date(2001, 1, 1) + timedelta(days=i // int(rng.choice([1, 3]))) for i in range(bars)]
    events = [Event(int(rng.integers(1, bars)), s, ratio=2.0, payout=0.1) for s in range(symbols)]
    stamps = np.cumsum(rng.integers(0, 3, bars))
    funded = np.cumsum(rng.normal(0, 0.001, close.shape), axis=1) if rng.random() < 0.5 else None
    return rng, open_, close, market(close, sorted(days), stamps=stamps, funded=funded, events=events)


def adds_up(result, close, capital):
    """Check cash + positions - fees - funding - borrow against the capital, row by row."""
    cash, held = capital, np.zeros(len(close))
    for row in result.ledger:
        s, side, size, price = int(row["symbol"]), int(row["side"]), float(row["quantity"]), float(row["price"])
        if row["reason"] in (FUNDING, BORROW):
            assert size == held[s] != 0.0
            assert side == 0
        if row["reason"] == BORROW:
            assert held[s] < 0.0
        cash += size * price if side == 0 else -side * size * price - float(row["fee"])
        held[s] += side * size
    last = np.array([own[np.isfinite(own)][-1] for own in close])
    assert result.equity[-1] == pytest.approx(cash + float(held @ last), rel=1e-9)
    assert result.cash[-1] == pytest.approx(cash)
    traded = result.ledger[(result.ledger["side"] != 0) & (result.ledger["reason"] != SPLIT)]
    flows = float((traded["side"] * traded["quantity"] * traded["price"]).sum())
    total = capital - flows - result.fees + result.payouts - result.funding - result.borrow
    assert total == pytest.approx(cash)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.0003, -0.0002]))
def test_the_doors_are_equal_and_every_payment_is_accounted_for(seed, borrow, funding):
    rng, open_, close, rules = case(seed)
    bars, costs = Bars.of(open_[0], close[0]), Costs(rate=0.0005, minimum=1.0, borrow=borrow, funding=funding)
    targets = np.where(rng.random(50) < 0.6, HOLD, rng.integers(-1, 2, 50)).astype(np.int8)
    targets[np.isnan(close[0])] = HOLD
    result = run_targets(targets, bars, costs, SHORT, market=rules)
    adds_up(result, close, SHORT.capital)

    def on_bar(ctx, bar):
        if targets[ctx.t] == HOLD:
            return
        for order in ctx.orders:
            ctx.cancel(order)
        held, want = ctx.position(), int(targets[ctx.t])
        if np.sign(held) == want:
            return
        if held:
            ctx.order(-held)
        if want:
            ctx.order(100.0 * want)

    called = run_on_bar(on_bar, bars, costs, SHORT, market=rules).result
    assert called.ledger.tobytes() == result.ledger.tobytes()
    assert called.equity.tobytes() == result.equity.tobytes()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.0003, -0.0002]))
def test_weights_pay_what_they_owe(seed, borrow, funding):
    rng, open_, close, rules = case(seed, 3)
    weights = np.where(rng.random(close.shape) < 0.3, rng.uniform(-0.3, 0.3, close.shape), np.nan)
    costs = Costs(rate=0.0005, borrow=borrow, funding=funding)
    result = run_weights(weights, open_, close, costs, Options(allow_short=True), market=rules)
    adds_up(result, close, 1_000_000.0)
