"""Orders that wait for the market: price limits, settlement, and what the doors count of it."""

from __future__ import annotations

from datetime import date

import numpy as np

from apps.trading.engine.backtest import HOLD, Bars, Options, run_on_bar, run_targets, run_weights
from apps.trading.engine.costs import Costs
from tests.trading.test_market import ALL_IN, CAPITAL, days, flat, market, rows, wants


class TestLimits:
    BARS = flat([10, 11, 12.1, 10.89, 10.9, 10.9])

    def test_nothing_is_bought_at_limit_up_and_the_order_waits(self):
        result = run_targets(wants(1, HOLD, HOLD, HOLD, HOLD, HOLD), self.BARS, None, ALL_IN, market=market(self.BARS))
        assert rows(result) == [(3, 1, 9_100, 10.89)]  # sized for 10.00 a share, cut to the cash
        assert result.refused["limit_up"] == 2

    def test_weights_wait_as_well(self):
        weights = np.full((1, 6), np.nan)
        weights[0, 0] = 1.0
        result = run_weights(weights, self.BARS.open[None], self.BARS.close[None], None, ALL_IN,
                             market=market(self.BARS))  # fmt: skip
        assert rows(result) == [(3, 1, 9_100, 10.89)]
        assert result.refused["limit_up"] == 2

    def test_nothing_is_sold_at_limit_down(self):
        bars = flat([10, 10, 9, 8.1, 8.5])
        result = run_targets(wants(1, 0, 0, 0, 0), bars, None, ALL_IN, market=market(bars))
        assert rows(result) == [(1, 1, 10_000, 10), (4, -1, 10_000, 8.5)]
        assert result.refused["limit_down"] == 2

    def test_an_order_that_waits_is_withdrawn_when_the_strategy_changes_its_mind(self):
        bars = flat([10, 11, 12.1, 12.2])
        result = run_targets(wants(1, 0, 0, 0), bars, None, ALL_IN, market=market(bars))
        assert rows(result) == []
        assert (result.refused["limit_up"], result.refused["cancelled"]) == (1, 1)

    def test_up_and_down_are_told_apart_in_every_door(self):
        bars = flat([10, 11, 11.5, 10.35, 10.0])  # limit up on bar 1, limit down on bar 3
        wanted = wants(1, HOLD, 0, HOLD, HOLD)
        weights = np.where(wanted == HOLD, np.nan, wanted)[None].astype(float)

        def trade(ctx, bar):
            if bar.t in (0, 2):
                ctx.order_target(100 if bar.t == 0 else 0)

        rules = market(bars)
        runs = [
            run_targets(wanted, bars, None, ALL_IN, market=rules),
            run_weights(weights, bars.open[None], bars.close[None], None, ALL_IN, market=rules),
            run_on_bar(trade, bars, None, ALL_IN, market=rules).result,
        ]
        for result in runs:
            assert (result.refused["limit_up"], result.refused["limit_down"]) == (1, 1)
            assert [f[:2] for f in rows(result)] == [(2, 1), (4, -1)]

    def test_an_order_that_is_sized_anew_while_it_waits_is_told(self):
        bars = flat([10, 11, 12.1, 12.2])
        weights = np.array([[0.5, 0.9, np.nan, np.nan]])
        result = run_weights(weights, bars.open[None], bars.close[None], None, ALL_IN, market=market(bars))
        assert (result.refused["replaced"], result.refused.get("cancelled", 0)) == (1, 0)
        again = run_targets(wants(1, 1, 1, 1), bars, None, ALL_IN, market=market(bars))
        assert again.refused["replaced"] == 2
        away = run_weights(np.array([[0.5, 0.0, np.nan, np.nan]]), bars.open[None], bars.close[None], None, ALL_IN,
                           market=market(bars))  # fmt: skip
        assert (rows(away), away.refused["cancelled"]) == ([], 1)

    def test_a_stop_does_not_sell_at_limit_down(self):
        bars = Bars.of([10, 10, 9, 8.4, 8.4], [10, 10, 9, 8.4, 8.4], [10, 10, 9, 8.5, 8.4], [10, 10, 9, 8.3, 8.4])
        options = Options(capital=CAPITAL, fraction=1.0, stop_loss=0.05, cash_short="reduce")
        result = run_targets(wants(1, HOLD, HOLD, HOLD, HOLD), bars, None, options, market=market(bars))
        assert rows(result) == [(1, 1, 10_000, 10), (3, -1, 10_000, 8.4)]
        assert result.refused["limit_down"] == 1  # the bar that opened there

    def test_slippage_does_not_push_a_price_out_of_the_band(self):
        bars = flat([10, 10.99, 10.5])
        result = run_targets(wants(1, HOLD, HOLD), bars, Costs(slippage=0.05), ALL_IN, market=market(bars))
        assert result.ledger["price"][0] == 11.0

    def test_without_rules_nothing_of_this_happens(self):
        assert rows(run_targets(wants(1, HOLD, HOLD), flat([10, 11, 12.1]), None, ALL_IN)) == [(1, 1, 9_090, 11)]


class TestSettlement:
    def test_a_stop_waits_for_the_next_session(self):
        bars = Bars.of([10] * 4, [10, 10, 10, 10], [10] * 4, [10, 9.2, 9.2, 9.2])
        when = [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 3), date(2024, 1, 4)]
        options = Options(capital=CAPITAL, fraction=1.0, stop_loss=0.05)
        result = run_targets(wants(1, HOLD, HOLD, HOLD), bars, None, options, market=market(bars, when=when))
        assert rows(result) == [(1, 1, 10_000, 10), (3, -1, 10_000, 9.5)]
        free = run_targets(wants(1, HOLD, HOLD, HOLD), bars, None, options, market=market(bars, ("CN", "etf_t0"), when))
        assert [f[0] for f in rows(free)] == [1, 1]
        assert (result.refused["t_plus_1"], result.refused["t_plus_1_shares"]) == (2, 10_000)  # once a session
        assert "t_plus_1_shares" not in free.refused

    def test_only_what_was_held_overnight_is_sold(self):
        when = days(8, bars_a_day=4)
        opens = np.full((1, 8), 10.0)
        weights = np.full((1, 8), np.nan)
        weights[0, [0, 4, 5]] = [0.5, 1.0, 0.0]
        result = run_weights(weights, opens, opens, None, ALL_IN, market=market(flat([10] * 8), when=when))
        assert rows(result) == [(1, 1, 5_000, 10), (5, 1, 5_000, 10), (6, -1, 5_000, 10)]
        assert result.refused["t_plus_1"] == 2  # the rest waits on the last two bars
        assert result.refused["t_plus_1_shares"] == 5_000

    def test_the_shares_of_each_session_count_once_in_every_door(self):
        when = days(8, bars_a_day=4)
        bars, rules = flat([10] * 8), market(flat([10] * 8), when=when)
        wanted = wants(1, 0, HOLD, HOLD, 1, 0, HOLD, HOLD)  # bought at bars 1 and 5, wanted sold in the same session

        def trade(ctx, bar):
            side = int(wanted[bar.t])
            if side != HOLD:
                ctx.order_target(10_000 * side)

        for result in (
            run_targets(wanted, bars, None, ALL_IN, market=rules),
            run_on_bar(trade, bars, None, ALL_IN, market=rules).result,
        ):
            assert result.refused["t_plus_1_shares"] == 20_000
