"""The rules of a market in the compiled doors: limits, settlement, lots, charges, dividends and splits."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.engine.backtest import HOLD, Bars, Options, run_on_bar, run_rule, run_targets, run_weights, sweep
from apps.trading.engine.backtest.market import Event, Market
from apps.trading.engine.costs import Costs
from apps.trading.engine.ledger import DIVIDEND, SPLIT
from apps.trading.engine.rules import BOARDS, schedule
from apps.trading.engine.trades import match_trades
from apps.ui.engine.refusal import Refusal

EXAMPLES = int(os.environ.get("QP_LEDGER_EXAMPLES", "150"))
CAPITAL = 100_000.0
ALL_IN = Options(capital=CAPITAL, fraction=1.0, cash_short="reduce")
MARKETS = [(market, board) for market, boards in BOARDS.items() for board in boards]


def days(count, start=date(2024, 1, 2), bars_a_day=1):
    return [start + timedelta(days=i // bars_a_day) for i in range(count)]


def flat(prices, opens=None):
    return Bars.of(prices if opens is None else opens, prices)


def market(bars, board=("CN", "main"), when=None, events=(), charged=False, **status):
    made = Market.of(board[0], [board[1]], when or days(len(bars)), bars.close[None], events=events, **status)
    return made if charged else replace(made, charges=np.zeros_like(made.charges))


def rows(result):
    return [(int(f["bar"]), int(f["side"]), float(f["quantity"]), round(float(f["price"]), 4)) for f in result.ledger]


def wants(*values):
    return np.array(values, np.int8)


class TestLots:
    def test_a_purchase_is_whole_lots_and_a_sale_takes_the_odd_rest(self):
        bars = flat([9.99, 9.99, 10, 10])
        split = Event(bar=2, symbol=0, ratio=1.003)
        result = run_targets(wants(1, HOLD, 0, 0), bars, None, ALL_IN, market=market(bars, events=[split]))
        assert rows(result)[0] == (1, 1, 10_000, 9.99)
        assert rows(result)[-1] == (3, -1, 10_030, 10)

    def test_star_needs_two_hundred_and_counts_single_shares_above(self):
        bars = flat([100.0, 100.0, 100.0])
        for capital, bought in ((19_999.0, []), (20_100.0, [(1, 1, 201, 100)])):
            options = Options(capital=capital, fraction=1.0)
            result = run_targets(wants(1, HOLD, HOLD), bars, None, options, market=market(bars, ("CN", "star")))
            assert rows(result) == bought

    def test_a_rebalance_sells_whole_lots(self):
        weights = np.array([[1.0, 0.55, np.nan]])
        prices = np.full((1, 3), 10.0)
        result = run_weights(weights, prices, prices, None, ALL_IN, market=market(flat([10] * 3)))
        assert rows(result) == [(1, 1, 10_000, 10), (2, -1, 4_500, 10)]


class TestCharges:
    def test_stamp_duty_and_transfer_fee_are_those_of_the_day(self):
        bars = flat([10] * 4)
        costs = Costs(rate=0.0003, minimum=5.0)
        for start, stamp, transfer in ((date(2023, 8, 22), 0.001, 1e-5), (date(2023, 8, 28), 0.0005, 1e-5),
                                       (date(2016, 1, 4), 0.001, 2e-5)):  # fmt: skip
            options = Options(capital=CAPITAL, fraction=0.5)
            result = run_targets(
                wants(1, 0, 0, 0), bars, costs, options, market=market(bars, when=days(4, start), charged=True)
            )
            assert result.ledger["fee"].tolist() == pytest.approx(
                [50_000 * (0.0003 + transfer), 50_000 * (0.0003 + transfer + stamp)]
            )

    def test_a_fund_pays_no_stamp_duty(self):
        found = schedule.charges(("CN", "etf"), np.array(["2024-01-02"], "datetime64[D]"))
        assert found[0].tolist() == [0.0, 0.0, 0.0, np.inf]

    def test_the_american_fees_are_of_sales_only(self):
        bars = flat([10] * 4)
        result = run_targets(wants(1, 0, 0, 0), bars, None, Options(capital=CAPITAL, fraction=0.5),
                             market=market(bars, ("US", "stock"), charged=True))  # fmt: skip
        assert result.ledger["fee"].tolist() == pytest.approx([0.0, 50_000 * 8.0e-6 + 5_000 * 0.000166])

    def test_a_day_without_a_row_is_named(self):
        assert schedule.uncharged(("CN", "main"), np.array(["1991-10-09", "1991-10-10"], "datetime64[D]")) == {
            "stamp_duty": ("1991-10-09", "1991-10-09"), "transfer_fee": ("1991-10-09", "1991-10-10"),
        }  # fmt: skip

    def test_buyer_and_seller_paid_stamp_duty_until_september_2008(self):
        days_ = np.array(["2008-09-18", "2008-09-19"], "datetime64[D]")
        found = schedule.charges(("CN", "main"), days_)
        assert found[:, schedule.BOTH].tolist() == [0.001, 0.0]
        assert found[:, schedule.SELL].tolist() == [0.0, 0.001]
        assert "stamp_duty" not in schedule.uncharged(("CN", "main"), days_)


class TestCorporateActions:
    def test_a_dividend_is_paid_for_what_is_held(self):
        bars = flat([10, 10, 9.5, 9.5])
        paid = market(bars, events=[Event(bar=2, symbol=0, payout=0.5)])
        result = run_targets(wants(1, HOLD, HOLD, HOLD), bars, None, ALL_IN, market=paid)
        assert [int(f["reason"]) for f in result.ledger] == [0, DIVIDEND]
        assert result.equity.tolist() == [CAPITAL] * 4
        assert result.cash.tolist() == [CAPITAL, 0.0, 5_000.0, 5_000.0]
        assert result.payouts == 5_000.0

    def test_a_split_leaves_whole_shares_and_pays_the_fraction(self):
        bars = flat([10, 10, 4, 4])
        result = run_targets(wants(1, HOLD, HOLD, HOLD), bars, None, Options(capital=1_030.0, fraction=1.0),
                             market=market(bars, ("US", "stock"), events=[Event(2, 0, ratio=2.5)]))  # fmt: skip
        assert rows(result) == [(1, 1, 103, 10), (2, 1, 154, 0), (2, 0, 0.5, 4)]
        assert result.position[0].tolist() == [0, 103, 257, 257]
        assert result.equity[-1] == 1_030.0

    def test_an_order_given_before_a_split_is_for_as_many_shares_after(self):
        bars = flat([10, 5, 5])
        result = run_targets(wants(1, HOLD, HOLD), bars, None, ALL_IN,
                             market=market(bars, events=[Event(1, 0, ratio=2.0)]))  # fmt: skip
        assert rows(result) == [(1, 1, 20_000, 5)]

    def test_a_stop_moves_with_the_price(self):
        bars = flat([10, 10, 5, 5])
        options = Options(capital=CAPITAL, fraction=1.0, stop_loss=0.05)
        result = run_targets(wants(1, HOLD, HOLD, HOLD), bars, None, options,
                             market=market(bars, events=[Event(2, 0, ratio=2.0)]))  # fmt: skip
        assert [f[1] for f in rows(result)] == [1, 1]

    def test_a_short_pays_the_dividend(self):
        bars = flat([10, 10, 9.5, 9.5])
        options = Options(capital=CAPITAL, fraction=0.5, allow_short=True)
        result = run_targets(wants(-1, HOLD, HOLD, HOLD), bars, None, options,
                             market=market(bars, ("US", "stock"), events=[Event(2, 0, payout=0.5)]))  # fmt: skip
        assert result.equity.tolist() == [CAPITAL] * 4

    def test_an_event_while_suspended_acts_when_trading_resumes(self):
        bars = flat([10, 10, np.nan, 5, 5])
        when = market(bars, events=[Event(2, 0, ratio=2.0)])
        held = run_targets(wants(1, HOLD, HOLD, HOLD, HOLD), bars, None, ALL_IN, market=when)
        assert rows(held) == [(1, 1, 10_000, 10), (3, 1, 10_000, 0)]
        assert held.equity.tolist() == [CAPITAL] * 5

    def test_trades_keep_their_profit_over_split_and_dividend(self):
        bars = flat([10, 10, 4.8, 5, 5])
        events = [Event(2, 0, ratio=2.0), Event(3, 0, payout=0.3)]
        result = run_targets(wants(1, HOLD, HOLD, 0, 0), bars, None, ALL_IN, market=market(bars, events=events))
        (closed,), opened = match_trades(result.ledger)
        assert opened == []
        assert (closed.quantity, closed.entry_price, closed.exit_price) == (20_000, 5.0, 5.0)
        assert closed.pnl == pytest.approx(6_000.0) == pytest.approx(result.equity[-1] - CAPITAL)


@pytest.mark.parametrize("seed", range(6))
def test_raw_prices_with_their_events_earn_what_adjusted_prices_earn(seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    count = 400
    adjusted = 50 * np.exp(np.cumsum(rng.normal(0, 0.015, count)))
    opens = adjusted * (1 + rng.normal(0, 0.004, count))
    raw, raw_open, events = adjusted.copy(), opens.copy(), []
    for bar, ratio, part in ((60, 2.0, 0.0), (150, 1.0, 0.03), (260, 1.5, 0.0), (330, 1.0, 0.01)):
        factor = (1.0 - part) / ratio
        raw[:bar] /= factor
        raw_open[:bar] /= factor
        events.append((bar, ratio, part))
    events = [Event(bar, 0, ratio, raw[bar - 1] * part) for bar, ratio, part in events]
    targets = rng.integers(0, 2, count // 20).repeat(20).astype(np.int8)
    targets[-200:] = 1
    capital = 1e9  # so that whole shares weigh nothing
    options = Options(capital=capital, fraction=1.0, cash_short="reduce")
    rules = Market.of("US", ["stock"], days(count, date(1998, 1, 5)), raw[None], events=events)
    on_raw = run_targets(targets, flat(raw, raw_open), None, options, market=rules)
    on_adjusted = run_targets(targets, flat(adjusted, opens), None, options)
    # A dividend stays cash here and is invested again in adjusted prices: it is small, and so is the difference.
    assert on_raw.equity[-1] == pytest.approx(on_adjusted.equity[-1], rel=0.03)
    only_splits = [event for event in events if event.ratio != 1.0]
    without = np.where(np.arange(count) < 330, 0.99, 1.0) * np.where(np.arange(count) < 150, 0.97, 1.0)
    splits = Market.of("US", ["stock"], days(count, date(1998, 1, 5)), raw[None], events=only_splits)
    exact = run_targets(targets, flat(raw * without, raw_open * without), None, options, market=splits)
    assert exact.equity == pytest.approx(on_adjusted.equity, rel=2e-6)


PRICES = st.integers(0, 2**32 - 1)


def case(seed, count=60):
    """Prices that touch limits, with days of several bars, suspensions and events."""
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(30 * np.exp(np.cumsum(rng.normal(0, 0.05, count))), 2)
    open_ = np.round(np.concatenate([[30.0], close[:-1]]) * (1 + rng.normal(0, 0.03, count)), 2)
    events = []
    for bar in sorted(rng.choice(np.arange(5, count), 3, replace=False).tolist()):
        ratio, payout = (float(rng.choice([1.5, 2.0, 1.003])), 0.0) if rng.random() < 0.5 else (1.0, 0.25)
        close[bar:], open_[bar:] = np.round(close[bar:] / ratio, 2), np.round(open_[bar:] / ratio, 2)
        events.append(Event(bar, 0, ratio, payout))
    close[rng.random(count) < 0.08] = np.nan
    high, low = np.fmax(open_, close) * 1.01, np.fmin(open_, close) * 0.99
    return rng, Bars.of(open_, close, high, low), events


def status(rng, shape):
    """Days of special treatment, and sessions since a listing in the middle."""
    listed = int(rng.integers(0, shape[1])) if rng.random() < 0.5 else shape[1]
    age = np.maximum(np.arange(shape[1]) - listed + 1, 0)
    return {"st": rng.random(shape) < 0.3, "age": np.broadcast_to(age, shape)}


def keeps_the_rules(result, rules, opens, closes):
    """Play the ledger again: what it says was paid and held is what is left, and no row breaks a rule."""
    symbols = len(closes)
    cash, held, bought = result.capital, np.zeros(symbols), {}
    for f in result.ledger:
        t, s, side, size = int(f["bar"]), int(f["symbol"]), int(f["side"]), float(f["quantity"])
        if side == 0:
            cash += size * float(f["price"])
            assert abs(size) <= held[s]
            continue
        held[s] += side * size
        if f["reason"] == SPLIT:
            continue
        cash -= side * size * float(f["price"]) + float(f["fee"])
        assert opens[s, t] > 0, "a suspended bar traded"
        assert closes[s, t] > 0, "a suspended bar traded"
        assert rules.down[s, t] <= f["price"] <= rules.up[s, t] or not np.isfinite(rules.up[s, t])
        assert not (side > 0 and opens[s, t] >= rules.up[s, t]), "bought at limit up"
        assert not (side < 0 and opens[s, t] <= rules.down[s, t]), "sold at limit down"
        today = (s, int(rules.day[t]))
        if side > 0:
            bought[today] = bought.get(today, 0.0) + size
            steps = (size - rules.minimum[s]) / rules.step[s]
            assert size >= rules.minimum[s]
            assert abs(steps - round(steps)) < 1e-3
        elif rules.settle[s]:
            assert held[s] >= bought.get(today, 0.0), "sold on the day it was bought"
        assert held[s] >= -1e-9
        assert cash >= -1e-6
    last = np.array([own[np.isfinite(own)][-1] for own in closes])
    assert result.equity[-1] == pytest.approx(cash + float(held @ last), rel=1e-9)
    assert result.cash[-1] == pytest.approx(cash, abs=1e-6)
    assert result.position[:, -1] == pytest.approx(held)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(MARKETS), PRICES, st.booleans(), st.sampled_from([0.0, 0.002]), st.integers(1, 3))
def test_the_doors_write_the_same_bytes_under_every_market(where, seed, reduce, slippage, bars_a_day):
    rng, bars, events = case(seed)
    rules = market(bars, where, days(60, bars_a_day=bars_a_day), events if where[0] != "CRYPTO" else [], charged=True,
                   **status(rng, (1, 60)))  # fmt: skip
    targets = rng.choice([0, 1, HOLD], 60, p=[0.2, 0.2, 0.6]).astype(np.int8)
    targets[~(bars.close > 0)] = HOLD
    options = Options(
        capital=50_000.0, sizing="fixed_shares", shares=400.0, cash_short="reduce" if reduce else "refuse"
    )
    costs = Costs(rate=0.0003, minimum=5.0, slippage=slippage)
    compiled = run_targets(targets, bars, costs, options, market=rules)
    order = None

    def on_bar(ctx, bar):
        nonlocal order
        want, held = int(targets[ctx.t]), ctx.position() > 0
        if want == HOLD:
            return
        if order is not None:
            ctx.cancel(order)
            order = None
        if want == 1 and not held:
            order = ctx.buy(400)
        if want == 0 and held:
            order = ctx.sell(ctx.position())

    called = run_on_bar(on_bar, bars, costs, options, market=rules).result
    assert compiled.ledger.tobytes() == called.ledger.tobytes()
    assert compiled.equity.tobytes() == called.equity.tobytes()
    keeps_the_rules(compiled, rules, bars.open[None], bars.close[None])


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(MARKETS), PRICES, st.booleans(), st.sampled_from([1, 3]))
def test_weights_keep_every_rule_and_the_account_adds_up(where, seed, reduce, bars_a_day):
    rng = np.random.Generator(np.random.PCG64(seed))
    parts = [case(seed * 3 + i)[1] for i in range(3)]
    opens, closes = np.stack([p.open for p in parts]), np.stack([p.close for p in parts])
    opens[np.isnan(closes)] = np.nan
    events = [Event(int(rng.integers(1, 60)), s, ratio=float(rng.choice([1.0, 2.0])), payout=0.1) for s in range(3)]
    rules = Market.of(where[0], [where[1]] * 3, days(60, bars_a_day=bars_a_day), closes,
                      events=events if where[0] != "CRYPTO" else [], **status(rng, (3, 60)))  # fmt: skip
    weights = np.where(rng.random((3, 60)) < 0.3, rng.random((3, 60)) / 3, np.nan)
    costs = Costs(rate=0.0003, minimum=5.0, slippage=0.001)
    options = Options(capital=500_000.0, cash_short="reduce" if reduce else "refuse")
    result = run_weights(weights, opens, closes, costs, options, market=rules)
    keeps_the_rules(result, rules, opens, closes)


@pytest.mark.parametrize("seed", range(10))
def test_where_a_market_forbids_nothing_its_rules_change_nothing(seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    prices = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, (4, 200)), axis=1))
    opens = prices * (1 + rng.normal(0, 0.01, (4, 200)))
    when = days(200, date(2001, 1, 2))  # before any American fee that is known
    costs = Costs(rate=0.001, slippage=0.0005)
    rules = Market.of("US", ["stock"] * 4, when, prices)
    weights = np.where(rng.random((4, 200)) < 0.2, rng.random((4, 200)) / 2, np.nan)
    free, ruled = (run_weights(weights, opens, prices, costs, ALL_IN, market=m) for m in (None, rules))
    assert free.ledger.tobytes() == ruled.ledger.tobytes()
    assert free.equity.tobytes() == ruled.equity.tobytes()
    bars = flat(prices[0], opens[0])
    name = ("sma_cross", {"fast": 3, "slow": 9})
    options = Options(capital=CAPITAL, stop_loss=0.04, take_profit=0.05, armed="next_bar")
    one, other = (run_rule(*name, bars, costs, options, first=20, market=m) for m in (None, rules.row(0)))
    assert one.ledger.tobytes() == other.ledger.tobytes()
    assert one.equity.tobytes() == other.equity.tobytes()


def test_a_sweep_obeys_as_a_single_run_does():
    _, bars, events = case(7, 300)
    rules = market(bars, when=days(300), events=events)
    found = sweep([3, 5], [10, 20], bars, Costs(rate=0.001), ALL_IN, first=30, market=rules)
    for i, fast in enumerate((3, 5)):
        for j, slow in enumerate((10, 20)):
            one = run_rule("sma_cross", {"fast": fast, "slow": slow}, bars, Costs(rate=0.001), ALL_IN, first=30,
                           market=rules)  # fmt: skip
            assert found.final[i, j] == one.equity[-1]


def test_rules_of_another_shape_are_refused():
    with pytest.raises(Refusal, match="one rule for each"):
        run_targets(wants(1, 0), flat([1, 1]), market=market(flat([1, 1, 1])))
