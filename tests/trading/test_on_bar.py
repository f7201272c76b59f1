"""The third door: the same bytes as the others, every kind of order, and accounts that add up."""

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
    SquareRoot,
    VolumeShare,
    rule_targets,
    run_on_bar,
    run_rule,
    run_targets,
)
from apps.trading.engine.backtest.broker import Broker
from apps.trading.engine.backtest.market import Event
from apps.trading.engine.costs import Costs
from apps.trading.engine.rules import BOARDS
from apps.ui.engine.refusal import Refusal

#: Order sequences of the ledger test: raise it for the long run.
EXAMPLES = int(os.environ.get("QP_LEDGER_EXAMPLES", "150"))
FLAT = Bars.of([10, 10, 10, 10], [10, 10, 10, 10])


def walk(seed: int, count: int = 400) -> Bars:
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(50 * np.exp(np.cumsum(rng.normal(0, 0.02, count))), 2)
    open_ = np.round(np.concatenate([[50.0], close[:-1]]) * (1 + rng.normal(0, 0.004, count)), 2)
    return Bars.of(open_, close, np.maximum(open_, close) + 0.3, np.minimum(open_, close) - 0.3)


def once(**terms):
    """Order 10 shares after the first close."""
    quantity = terms.pop("quantity", 10)

    def on_bar(ctx, bar):
        if ctx.t == 0:
            ctx.order(quantity, **terms)

    return on_bar


def fills(run):
    return [(int(f["bar"]), int(f["side"]), float(f["quantity"]), float(f["price"])) for f in run.result.ledger]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizing", [{"sizing": "fixed_shares", "shares": 100}, {"fraction": 0.95}])
def test_the_three_doors_leave_the_same_bytes(seed, sizing):
    bars, costs, options = walk(seed), Costs(rate=0.001, minimum=5, sell_tax=0.0005, slippage=0.001), Options(**sizing)
    params = {"fast": 5, "slow": 20}
    targets = rule_targets("sma_cross", params, bars)
    held = {"side": 0}

    def on_bar(ctx, bar):
        want = int(targets[ctx.t])
        if want == 2 or want == held["side"]:
            return
        held["side"] = want
        if not want:
            ctx.order_target(0)
        elif options.sizing == "fixed_shares":
            ctx.order_target(options.shares)
        else:
            ctx.order_target_percent(options.fraction)

    ours = run_on_bar(on_bar, bars, costs, options).result
    for other in (run_rule("sma_cross", params, bars, costs, options), run_targets(targets, bars, costs, options)):
        assert len(other.ledger) > 5
        assert ours.ledger.tobytes() == other.ledger.tobytes()
        assert ours.equity.tobytes() == other.equity.tobytes()


BARS = Bars.of([10, 11, 9, 12], [10, 11, 9, 12], [10.5, 11.5, 9.5, 13], [9.5, 10.5, 8.5, 11])


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, [(1, 1, 10, 11)]),
        ({"on_close": True}, [(1, 1, 10, 11)]),
        ({"limit": 10.7}, [(1, 1, 10, 10.7)]),
        ({"limit": 12}, [(1, 1, 10, 11)]),
        ({"limit": 9.4}, [(2, 1, 10, 9)]),
        ({"limit": 1}, []),
        ({"stop": 11.2}, [(1, 1, 10, 11.2)]),
        ({"stop": 10.2}, [(1, 1, 10, 11)]),
        ({"stop": 12.5}, [(3, 1, 10, 12.5)]),
        ({"stop": 11.2, "limit": 11.3}, [(1, 1, 10, 11.2)]),
        ({"stop": 11.2, "limit": 10.8}, [(2, 1, 10, 9)]),
        ({"trail": 1.0}, [(1, 1, 10, 11)]),
        ({"twap": 2}, [(1, 1, 5, 11), (2, 1, 5, 9)]),
    ],
)
def test_orders_to_buy_fill_where_the_bar_touches_them(terms, expected):
    assert fills(run_on_bar(once(**terms), BARS)) == expected


def test_a_trailing_stop_follows_the_high_and_sells_on_the_way_back():
    bars = Bars.of([10, 11, 12, 11], [10, 12, 12, 10], [10, 12, 13, 11], [10, 11, 11.5, 10])

    def on_bar(ctx, bar):
        if ctx.t == 0:
            ctx.buy(10)
        if ctx.t == 1:
            ctx.sell(10, trail=1.0)

    assert fills(run_on_bar(on_bar, bars)) == [(1, 1, 10, 11), (3, -1, 10, 11)]


def test_vwap_slices_follow_past_volumes():
    def on_bar(ctx, bar):
        if ctx.t == 1:
            ctx.buy(40, vwap=2)

    run = run_on_bar(on_bar, FLAT, volume=np.array([100.0, 300.0, 1.0, 1.0]))
    assert fills(run) == [(2, 1, 10, 10), (3, 1, 30, 10)]


def test_participation_fills_in_parts_and_the_minimum_fee_is_owed_once():
    run = run_on_bar(once(quantity=25), FLAT, Costs(minimum=5), volume=np.full(4, 100.0), participation=0.1)
    assert [q for _, _, q, _ in fills(run)] == [10, 10, 5]
    assert run.result.fees == 5
    assert run.orders[0].status == "filled"


def test_slippage_models_move_the_price_by_size_and_volume():
    volume = np.full(4, 100.0)
    assert fills(run_on_bar(once(), FLAT, slippage=VolumeShare(0.1), volume=volume))[0][3] == pytest.approx(10.01)
    root = run_on_bar(once(), FLAT, slippage=SquareRoot(0.02), volume=volume)
    assert fills(root)[0][3] == pytest.approx(10 * (1 + 0.02 * 0.1**0.5))


def test_a_cancelled_order_never_fills():
    def on_bar(ctx, bar):
        if ctx.t == 0:
            order = ctx.buy(10)
            assert ctx.cancel(order)
            assert not ctx.cancel(order)

    run = run_on_bar(on_bar, BARS)
    assert (len(run.result.ledger), run.orders[0].status) == (0, "cancelled")


def test_a_margin_account_may_buy_with_what_it_borrows():
    options = Options(capital=100.0)
    assert fills(run_on_bar(once(quantity=15), FLAT, None, options)) == []
    assert fills(run_on_bar(once(quantity=15), FLAT, None, options, leverage=2.0)) == [(1, 1, 15, 10)]


@pytest.mark.parametrize(("call", "near"), [("param", "fast"), ("indicator", "slow")])
def test_a_misspelt_name_is_refused_with_the_one_meant(call, near):
    def on_bar(ctx, bar):
        getattr(ctx, call)(near + "t")

    with pytest.raises(Refusal, match=near):
        run_on_bar(on_bar, BARS, params={"fast": 1}, indicators={"slow": np.zeros(4)})


def test_unknown_terms_of_an_order_are_refused():
    with pytest.raises(Refusal, match="limit"):
        run_on_bar(once(limt=3), BARS)


class TestMarketRules:
    def days(self, count):
        return [date(2024, 1, 2) + timedelta(days=i) for i in range(count)]

    def test_nothing_is_bought_at_limit_up(self):
        bars = Bars.of([10, 11, 12.1, 10.89], [10, 11, 12.1, 10.89])
        market = Market.of("CN", ["main"], self.days(4), bars.close[None])
        run = run_on_bar(once(quantity=100), bars, market=market)
        assert fills(run) == [(3, 1, 100, 10.89)]  # limit up twice, then limit down, where all may buy

    def test_nothing_is_sold_at_limit_down(self):
        bars = Bars.of([10, 10, 9, 8.1, 8.5], [10, 10, 9, 8.1, 8.5])
        market = Market.of("CN", ["main"], self.days(5), bars.close[None])

        def on_bar(ctx, bar):
            if ctx.t == 0:
                ctx.buy(100)
            if ctx.t == 1:
                ctx.sell(100)

        assert fills(run_on_bar(on_bar, bars, market=market)) == [(1, 1, 100, 10), (4, -1, 100, 8.5)]

    def test_shares_bought_today_are_not_sold_today(self):
        bars = Bars.of([10] * 6, [10] * 6)
        market = Market.of("CN", ["main"], [date(2024, 1, 2 + i // 3) for i in range(6)], bars.close[None])

        def on_bar(ctx, bar):
            if ctx.t == 0:
                ctx.buy(100)
            if ctx.t == 1:
                ctx.sell(100)

        assert fills(run_on_bar(on_bar, bars, market=market)) == [(1, 1, 100, 10), (3, -1, 100, 10)]

    def test_a_target_replaces_the_one_that_still_waits(self):
        bars = Bars.of([10, 11, 12.1, 12.1, 12.1], [10, 11, 12.1, 12.1, 12.1])
        market = Market.of("CN", ["main"], self.days(5), bars.close[None])

        def on_bar(ctx, bar):
            ctx.order_target(100 if ctx.t < 2 else 200)

        run = run_on_bar(on_bar, bars, market=market)
        assert fills(run) == [(3, 1, 200, 12.1)]
        assert [order.status for order in run.orders] == ["cancelled", "cancelled", "filled"]

    def test_a_suspended_bar_fills_nothing(self):
        bars = Bars.of([10, np.nan, 10], [10, np.nan, 10])
        assert fills(run_on_bar(once(), bars)) == [(2, 1, 10, 10)]


@pytest.mark.parametrize("seed", range(6))
def test_what_the_account_is_worth_on_the_way_is_the_curve_at_the_end(seed):
    """Over gaps, dividends and splits of several instruments, and as the ledger tells it."""
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(10 * np.exp(np.cumsum(rng.normal(0, 0.03, (3, 60)), axis=1)), 2)
    close[rng.random((3, 60)) < 0.1] = np.nan
    bars = [Bars.of(row, row) for row in close]
    events = [Event(int(rng.integers(5, 55)), s, ratio=2.0, payout=0.1) for s in range(3)]
    market = Market.of(
        "US", ["stock"] * 3, [date(2024, 1, 2) + timedelta(days=i) for i in range(60)], close, events=events
    )
    seen = []

    def on_bar(ctx, all_bars):
        seen.append((ctx.equity, ctx.cash, sum(ctx.position(s) != 0 for s in range(3))))
        if rng.random() < 0.3:
            ctx.order(float(rng.choice([-50, 100])), int(rng.integers(0, 3)))

    result = run_on_bar(on_bar, bars, Costs(rate=0.001), market=market, first=3).result
    assert len(result.ledger) > 5
    assert np.array([equity for equity, _, _ in seen]).tobytes() == result.equity.tobytes()
    assert result.cash == pytest.approx(np.array([cash for _, cash, _ in seen]))
    assert (result.position != 0).sum(axis=0).tolist() == [held for _, _, held in seen]


def test_an_order_that_waits_for_settlement_is_not_looked_at_before(monkeypatch):
    looked = []
    match = Broker.match
    monkeypatch.setattr(Broker, "match", lambda broker, t: (looked.append(t), match(broker, t)))
    bars = Bars.of([10] * 9, [10] * 9)
    market = Market.of("CN", ["main"], [date(2024, 1, 2 + i // 6) for i in range(9)], bars.close[None])

    def on_bar(ctx, bar):
        if ctx.t == 0:
            ctx.buy(100)
        if ctx.t == 1:
            ctx.sell(100)

    assert fills(run_on_bar(on_bar, bars, market=market)) == [(1, 1, 100, 10), (6, -1, 100, 10)]
    assert looked == [1, 2, 6]


@pytest.mark.parametrize("parts", [3, 7, 9, 11])
@pytest.mark.parametrize("size", [200.0, 1.1, 0.7])
def test_parts_whose_sum_is_not_quite_the_whole_end_with_it(size, parts):
    """What rounding leaves of an order in parts is no order: it once was filled for ever."""
    bars = Bars.of([100.0] * 30, [100.0] * 30)
    market = Market.of("CRYPTO", ["spot"], [date(2024, 1, 2) + timedelta(days=i) for i in range(30)], bars.close[None])

    def on_bar(ctx, bar):
        if ctx.t == 0:
            ctx.buy(size, twap=parts)
        if ctx.t == 14:
            ctx.sell(ctx.position(), twap=parts)

    run = run_on_bar(on_bar, bars, Costs(minimum=0.01), market=market)
    assert [order.status for order in run.orders] == ["filled", "filled"]
    assert len(run.result.ledger) == 2 * parts
    assert run.result.ledger["quantity"].min() > size / parts / 2
    assert run.result.position[0, -1] == pytest.approx(0.0, abs=1e-12)


MARKETS = [(market, board) for market, boards in BOARDS.items() for board in boards]
ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 28), st.sampled_from([-350, -200, -100, -50, 100, 200, 300, 1000]),
        st.sampled_from([
            {}, {"limit": 10.0}, {"stop": 10.5}, {"stop": 9.6, "limit": 9.9}, {"on_close": True}, {"trail": 0.2},
            {"twap": 3}, {"vwap": 2},
        ]),
    ), max_size=25,
)  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(MARKETS), ACTIONS, st.integers(0, 2**32 - 1), st.booleans())
def test_every_account_adds_up_and_keeps_the_rules(where, actions, seed, reduce):
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(10 * np.exp(np.cumsum(rng.normal(0, 0.06, 30))), 2)
    open_ = np.round(np.concatenate([[10.0], close[:-1]]) * (1 + rng.normal(0, 0.03, 30)), 2)
    close[rng.random(30) < 0.1] = np.nan
    bars = Bars.of(open_, close, np.fmax(open_, close) + 0.1, np.fmin(open_, close) - 0.1)
    days = [date(2024, 1, 2) + timedelta(days=i // 2) for i in range(30)]
    market = Market.of(where[0], [where[1]], days, close[None], st=rng.random((1, 30)) < 0.3)
    wanted: dict[int, list] = {}
    for t, quantity, terms in actions:
        wanted.setdefault(t, []).append((quantity, terms))

    def on_bar(ctx, bar):
        for quantity, terms in wanted.get(ctx.t, []):
            ctx.order(quantity, **terms)

    options = Options(capital=20_000.0, cash_short="reduce" if reduce else "refuse")
    costs = Costs(rate=0.0003, minimum=5.0, sell_tax=0.0005, slippage=0.001)
    result = run_on_bar(
        on_bar, bars, costs, options, market=market, volume=rng.integers(100, 5000, 30).astype(float), participation=0.2
    ).result
    cash, held, bought = 20_000.0, 0.0, {}
    for f in result.ledger:
        t, side, size = int(f["bar"]), int(f["side"]), float(f["quantity"])
        assert np.isfinite(close[t]), "a suspended bar traded"
        if np.isfinite(market.up[0, t]):
            assert market.down[0, t] <= f["price"] <= market.up[0, t]
            assert not (side > 0 and bars.low[t] >= market.up[0, t]), "bought at limit up"
            assert not (side < 0 and bars.high[t] <= market.down[0, t]), "sold at limit down"
        if side > 0:
            bought[market.day[t]] = bought.get(market.day[t], 0.0) + size
        cash -= side * size * float(f["price"]) + float(f["fee"])
        held += side * size
        assert held >= (bought.get(market.day[t], 0.0) if market.settle[0] and side < 0 else 0.0) - 1e-9
        assert cash >= -5.0
    last = close[np.isfinite(close)][-1] if np.isfinite(close).any() else 0.0
    assert result.equity[-1] == pytest.approx(cash + held * last, abs=1e-6)
