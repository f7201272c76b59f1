"""A bar's volume: how much of it an order takes, what that costs, and that every door does the same."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.engine.backtest import (
    HOLD,
    Bars,
    Depth,
    Market,
    Options,
    Spread,
    SquareRoot,
    VolumeShare,
    run_on_bar,
    run_rule,
    run_targets,
    run_weights,
    sweep,
)
from apps.trading.engine.backtest.accounts import AccountOf, targets_of_accounts, weights_of_accounts
from apps.trading.engine.backtest.depth import MOST, room_of, volatility
from apps.trading.engine.backtest.taking import lost_in
from apps.trading.engine.costs import Costs
from apps.ui.engine.refusal import Refusal

EXAMPLES = int(os.environ.get("QP_LEDGER_EXAMPLES", "50"))
FIXED = Options(capital=1e6, sizing="fixed_shares", shares=1000)


def wants(*sides) -> np.ndarray:
    return np.array(sides, np.int8)


def rows(result) -> list[tuple[int, int, float, float]]:
    return [(int(f["bar"]), int(f["side"]), float(f["quantity"]), float(f["price"])) for f in result.ledger]


class TestVolatility:
    def test_it_is_the_deviation_of_the_last_twenty_returns_known_before_the_bar(self):
        close = 20 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.02, 80)))
        expected = pd.Series(close).pct_change().rolling(20, min_periods=2).std().shift(1).fillna(0.0)
        assert volatility(close[None])[0] == pytest.approx(expected.to_numpy(), abs=1e-12)

    def test_bars_without_a_close_are_left_out(self):
        close = np.array([[np.nan, 10.0, np.nan, 11.0, 10.0, np.nan, 12.0]])
        found = volatility(close)[0]
        assert found[:5].tolist() == [0.0] * 5
        assert found[5] == pytest.approx(np.std([0.1, -1 / 11], ddof=1))
        assert found[6] == found[5]


class TestModels:
    """The same laws as the objects that ``on_bar`` may be given."""

    VOLUME, CLOSE = np.array([[1000.0, 2000.0, 500.0, 800.0]]), np.array([[10.0, 10.5, 9.9, 10.2]])

    def room(self, **costs):
        return room_of(Depth.of(self.VOLUME, self.CLOSE), Costs(**costs), Options(), (1, 4))

    @pytest.mark.parametrize("size", [0.0, 100.0, 799.0, 5000.0])
    def test_each_takes_what_its_object_takes(self, size):
        sigma = float(volatility(self.CLOSE)[0, 3])
        for costs, model in (
            ({"spread": 0.04}, Spread(0.04)),
            ({"volume_impact": 0.3}, VolumeShare(0.3)),
            ({"root_impact": 0.7}, SquareRoot(sigma, 0.7)),
        ):
            assert lost_in(self.room(**costs), 0, 3, size, 10.2) == pytest.approx(model(size, 800.0, 10.2))

    def test_they_add_up_and_none_takes_more_than_half(self):
        both = lost_in(self.room(spread=0.04, volume_impact=0.1), 0, 1, 1000.0, 10.0)
        assert both == pytest.approx(0.002 + 0.1 * 0.25)
        assert lost_in(self.room(volume_impact=9.0), 0, 1, 1e9, 10.0) == MOST

    def test_an_unknown_volume_counts_as_all_taken(self):
        room = room_of(Depth.of([[1.0, 1.0, np.nan, 0.0]], self.CLOSE),
                       Costs(volume_impact=0.1), Options(), (1, 4))  # fmt: skip
        assert lost_in(room, 0, 2, 1.0, 10.0) == lost_in(room, 0, 3, 1.0, 10.0) == pytest.approx(0.1)

    def test_what_needs_volumes_is_refused_without_them_and_a_spread_is_not(self):
        flat = Bars.of([10.0] * 4, [10.0] * 4)
        for costs, options in ((Costs(root_impact=1.0), FIXED), (Costs(), replace(FIXED, participation=0.1))):
            for depth in (None, Depth.of(np.full(4, np.nan), flat.close)):
                with pytest.raises(Refusal, match="no volumes"):
                    run_targets(wants(1, HOLD, HOLD, HOLD), flat, costs, options, depth=depth)
            with pytest.raises(Refusal, match="no volumes"):
                run_on_bar(lambda ctx, bar: None, flat, costs, options)
        paid = run_targets(wants(1, HOLD, HOLD, HOLD), flat, Costs(spread=0.1), FIXED)
        assert rows(paid) == [(1, 1, 1000.0, pytest.approx(10.05))]

    def test_volumes_of_another_shape_are_refused(self):
        with pytest.raises(Refusal, match="one volume"):
            run_targets(wants(1, HOLD), Bars.of([10.0] * 2, [10.0] * 2), Costs(volume_impact=0.1), FIXED,
                        depth=Depth.of(self.VOLUME, self.CLOSE))  # fmt: skip

    def test_stress_scales_them_and_a_run_without_slippage_has_none(self):
        costs = Costs(rate=0.001, slippage=0.002, spread=0.1, volume_impact=0.2, root_impact=0.3)
        twice = costs.scaled(2.0)
        assert (twice.spread, twice.volume_impact, twice.root_impact) == (0.2, 0.4, 0.6)
        assert costs.slips
        assert costs.without_slippage() == Costs(rate=0.001)
        assert not Costs(rate=0.001).slips


class TestParticipation:
    BARS = Bars.of([10.0] * 8, [10.0] * 8, [10.2] * 8, [9.8] * 8)
    TENTH = replace(FIXED, participation=0.1)

    def test_what_a_bar_does_not_fill_is_ordered_again(self):
        depth = Depth.of([5000.0, 3000, 4050, 0, 9000, 2000, 9000, 9000], self.BARS.close)
        result = run_targets(wants(1, HOLD, HOLD, HOLD, 0, HOLD, HOLD, HOLD), self.BARS, Costs(minimum=5.0, lot=100),
                             self.TENTH, depth=depth)  # fmt: skip
        assert [(bar, side, size) for bar, side, size, _ in rows(result)] == [
            (1, 1, 300), (2, 1, 400), (4, 1, 300), (5, -1, 200), (6, -1, 800)
        ]  # fmt: skip
        assert result.ledger["fee"].tolist() == [5.0] * 5
        assert result.refused["volume"] == 4
        assert result.position[0].tolist() == [0, 300, 700, 700, 1000, 800, 0, 0]

    def test_a_rule_that_goes_on_wanting_gets_the_rest_and_one_that_turns_does_not(self):
        depth = Depth.of(np.full(8, 3000.0), self.BARS.close)
        stays = run_targets(wants(1, 1, 1, 1, 1, 1, 1, 1), self.BARS, Costs(lot=100), self.TENTH, depth=depth)
        assert stays.position[0].tolist() == [0, 300, 600, 900, 1000, 1000, 1000, 1000]
        turns = run_targets(wants(1, 1, 0, 1, 1, 1, 1, 1), self.BARS, Costs(lot=100), self.TENTH, depth=depth)
        assert turns.position[0].tolist() == [0, 300, 600, 300, 300, 300, 300, 300]

    def test_a_stop_sells_what_the_bars_let_it_sell_and_buys_no_rest(self):
        low = Bars.of([10.0] * 8, [10.0, 10, 10, 9, 9, 9, 9, 9], [10.2] * 8, [9.9, 9.9, 9.9, 8.9, 8.9, 8.9, 8.9, 8.9])
        options = replace(self.TENTH, stop_loss=0.05)
        result = run_targets(wants(1, *[HOLD] * 7), low, Costs(lot=100), options,
                             depth=Depth.of([3000.0] * 8, low.close))  # fmt: skip
        assert [(bar, side, size) for bar, side, size, _ in rows(result)] == [
            (1, 1, 300), (2, 1, 300), (3, 1, 300), (4, -1, 300), (5, -1, 300), (6, -1, 300)
        ]  # fmt: skip
        assert rows(result)[3][3] == pytest.approx(9.5)

    def test_the_entry_is_the_mean_of_what_was_paid(self):
        rising = Bars.of(
            [10.0, 10, 12, 12, 12], [10.0, 10, 12, 12, 12], [10.0, 10, 12, 12, 12], [10.0, 10, 12, 10.4, 12]
        )
        options = replace(FIXED, shares=200, participation=0.1, stop_loss=0.05)
        result = run_targets(wants(1, *[HOLD] * 4), rising, Costs(lot=100), options,
                             depth=Depth.of([1000.0] * 5, rising.close))  # fmt: skip
        assert [(bar, side) for bar, side, _, _ in rows(result)] == [(1, 1), (2, 1), (3, -1)]
        assert rows(result)[2][3] == pytest.approx(11 * 0.95)

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_a_share_that_is_none_is_refused(self, share):
        with pytest.raises(Refusal, match="between 0 and 100"):
            Options(participation=share)


def case(seed: int, where: tuple[str, str], count: int = 60):
    rng = np.random.Generator(np.random.PCG64(seed))
    close = np.round(30 * np.exp(np.cumsum(rng.normal(0, 0.05, count))), 2)
    open_ = np.round(np.concatenate([[30.0], close[:-1]]) * (1 + rng.normal(0, 0.03, count)), 2)
    close[rng.random(count) < 0.08] = np.nan
    high, low = np.fmax(open_, close) * 1.01, np.fmin(open_, close) * 0.99
    volume = rng.choice([np.nan, 0.0, 900.0, 2500.0, 4000.0, 50_000.0], count, p=[0.05, 0.05, 0.3, 0.2, 0.2, 0.2])
    days = [date(2024, 1, 2) + timedelta(days=i // int(rng.integers(1, 4))) for i in range(count)]
    market = Market.of(where[0], [where[1]], sorted(days), close[None])
    return rng, Bars.of(open_, close, high, low), volume, market


COSTS = st.builds(
    Costs, rate=st.just(0.0003), minimum=st.sampled_from([0.0, 5.0]), slippage=st.sampled_from([0.0, 0.001]),
    spread=st.sampled_from([0.0, 0.02]), volume_impact=st.sampled_from([0.0, 0.1]),
    root_impact=st.sampled_from([0.0, 1.0]), lot=st.just(100),
)  # fmt: skip
MARKETS = [("CN", "main"), ("CN", "chinext"), ("CN", "etf"), ("US", "stock"), None]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(MARKETS), st.integers(0, 2**32 - 1), COSTS, st.sampled_from([0.0, 0.1, 0.5]), st.booleans())
def test_the_doors_write_the_same_bytes_in_any_depth(where, seed, costs, participation, reduce):
    rng, bars, volume, market = case(seed, where or ("US", "stock"))
    market = None if where is None else market
    targets = rng.choice([0, 1, HOLD], 60, p=[0.2, 0.2, 0.6]).astype(np.int8)
    targets[~(bars.close > 0)] = HOLD
    options = Options(capital=40_000.0, sizing="fixed_shares", shares=800.0, participation=participation,
                      cash_short="reduce" if reduce else "refuse")  # fmt: skip
    depth = Depth.of(volume, bars.close)
    compiled = run_targets(targets, bars, costs, options, market=market, depth=depth)
    order, side, rest = None, 0, 0.0

    def on_bar(ctx, bar):
        nonlocal order, side, rest
        if order is not None:
            rest = order.left if order.status == "open" and order.side > 0 else 0.0
            ctx.cancel(order)
            order = None
        want, held = int(targets[ctx.t]), ctx.position()
        if want != HOLD and want != int(held > 0):
            side, rest = want, 800.0 * want
        elif want != HOLD:
            rest = rest if side == want else 0.0
            side = want
        if side == 1 and rest:
            order = ctx.buy(rest)
        elif side == 0 and held:
            order = ctx.sell(held)

    called = run_on_bar(on_bar, bars, costs, options, market=market, volume=volume).result
    assert compiled.ledger.tobytes() == called.ledger.tobytes()
    assert compiled.equity.tobytes() == called.equity.tobytes()
    one, two = targets_of_accounts(
        np.stack([targets, targets]), bars, [AccountOf(costs, options), AccountOf(Costs(), replace(options, capital=9e4))],
        market=market, depth=depth,
    )  # fmt: skip
    assert one.ledger.tobytes() == compiled.ledger.tobytes()
    alone = run_targets(targets, bars, Costs(), replace(options, capital=9e4), market=market, depth=depth)
    assert two.ledger.tobytes() == alone.ledger.tobytes()
    if participation:
        fills = compiled.ledger
        assert (fills["quantity"] <= participation * np.nan_to_num(volume)[fills["bar"]]).all()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(MARKETS), st.integers(0, 2**32 - 1), COSTS, st.sampled_from([0.0, 0.1, 0.5]), st.booleans())
def test_weights_take_no_more_than_their_part_and_the_account_adds_up(where, seed, costs, participation, reduce):
    parts = [case(seed * 3 + i, where or ("US", "stock")) for i in range(3)]
    rng, market = parts[0][0], None
    opens, closes = (np.stack([getattr(bars, name) for _, bars, _, _ in parts]) for name in ("open", "close"))
    opens[np.isnan(closes)] = np.nan
    volume = np.stack([own for _, _, own, _ in parts])
    if where is not None:
        days = [date(2024, 1, 2) + timedelta(days=i) for i in range(60)]
        market = Market.of(where[0], [where[1]] * 3, days, closes)
    weights = np.where(rng.random((3, 60)) < 0.3, rng.random((3, 60)) / 3, np.nan)
    options = Options(capital=300_000.0, participation=participation, cash_short="reduce" if reduce else "refuse")
    depth = Depth.of(volume, closes)
    result = run_weights(weights, opens, closes, costs, options, market=market, depth=depth)
    fills = result.ledger
    if participation:
        assert (fills["quantity"] <= participation * np.nan_to_num(volume)[fills["symbol"], fills["bar"]] + 1e-9).all()
    money = (fills["side"] * fills["quantity"] * fills["price"]).sum()
    assert result.cash[-1] == pytest.approx(300_000.0 - money - result.fees)
    assert (result.cash >= -1e-6).all()
    last = np.array([own[np.isfinite(own)][-1] for own in closes])
    assert result.equity[-1] == pytest.approx(result.cash[-1] + result.position[:, -1] @ last)
    (again,) = weights_of_accounts(weights, opens, closes, [AccountOf(costs, options)], market=market, depth=depth)
    assert again.ledger.tobytes() == fills.tobytes()


def test_one_instrument_by_weight_trades_what_it_trades_by_target():
    _, bars, volume, _ = case(5, ("US", "stock"))
    bars = Bars.of(*(np.where(np.isnan(bars.close), 30.0, getattr(bars, f)) for f in ("open", "close", "high", "low")))
    costs = Costs(rate=0.001, volume_impact=0.1, lot=100)
    options = Options(capital=100_000.0, fraction=0.5, participation=0.1)
    targets, weights = np.full(60, HOLD, np.int8), np.full((1, 60), np.nan)
    targets[[3, 30]], weights[0, [3, 30]] = (1, 0), (0.5, 0.0)
    depth = Depth.of(volume, bars.close)
    one = run_targets(targets, bars, costs, options, depth=depth)
    other = run_weights(weights, bars.open[None], bars.close[None], costs, options, depth=depth)
    assert len(one.ledger) > 4
    assert rows(one) == rows(other)
    assert one.equity.tobytes() == other.equity.tobytes()


def test_a_sweep_trades_in_the_same_depth_as_a_single_run():
    _, bars, volume, market = case(9, ("CN", "main"), 300)
    costs, options = Costs(rate=0.001, root_impact=1.0), Options(capital=50_000.0, participation=0.2)
    depth = Depth.of(volume, bars.close)
    found = sweep([3, 5], [10, 20], bars, costs, options, first=30, market=market, depth=depth)
    for i, fast in enumerate((3, 5)):
        for j, slow in enumerate((10, 20)):
            one = run_rule("sma_cross", {"fast": fast, "slow": slow}, bars, costs, options, first=30, market=market,
                           depth=depth)  # fmt: skip
            assert found.final[i, j] == one.equity[-1]
