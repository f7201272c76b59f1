"""The kernel, by hand: when orders fill, at what price, in what order, and what they leave."""

from __future__ import annotations

import numpy as np
import pytest

from apps.trading.engine.backtest import HOLD, Bars, Options, rule_targets, run_rule, run_targets
from apps.trading.engine.costs import Costs
from apps.ui.engine.refusal import Refusal

SHARES = Options(capital=10_000.0, sizing="fixed_shares", shares=10)


def bars(open_, close, high=None, low=None) -> Bars:
    return Bars.of(open_, close, high, low)


def targets(*values) -> np.ndarray:
    return np.array(values, np.int8)


def fills(result) -> list[tuple]:
    return [
        (int(f["bar"]), int(f["side"]), float(f["quantity"]), float(f["price"]), int(f["reason"]))
        for f in result.ledger
    ]


class TestNextOpen:
    def test_a_decision_at_a_close_fills_at_the_next_open(self):
        result = run_targets(targets(1, 0, 0), bars([10, 11, 12], [10, 11.5, 13]), Costs(rate=0.01), SHARES)
        assert fills(result) == [(1, 1, 10, 11, 0), (2, -1, 10, 12, 0)]
        assert result.ledger["fee"].tolist() == pytest.approx([1.1, 1.2])
        assert result.equity.tolist() == pytest.approx([10_000, 10_000 - 110 - 1.1 + 115, 10_000 - 111.1 + 120 - 1.2])

    def test_a_decision_at_the_last_close_never_fills(self):
        assert len(run_targets(targets(0, 0, 1), bars([10, 10, 10], [10, 10, 10]), None, SHARES).ledger) == 0

    def test_an_open_position_is_valued_at_the_last_close_and_not_sold(self):
        result = run_targets(targets(1, 1, 1), bars([10, 10, 10], [10, 10, 20]), None, SHARES)
        assert fills(result) == [(1, 1, 10, 10, 0)]
        assert result.equity[-1] == 10_100

    def test_hold_gives_no_order(self):
        result = run_targets(targets(1, HOLD, HOLD, 0, HOLD), bars([10] * 5, [10] * 5), None, SHARES)
        assert [bar for bar, *_ in fills(result)] == [1, 4]

    def test_slippage_moves_both_fills_against_us(self):
        result = run_targets(targets(1, 0, 0), bars([10, 10, 10], [10] * 3), Costs(slippage=0.1), SHARES)
        assert [price for _, _, _, price, _ in fills(result)] == pytest.approx([11, 9])

    def test_minimum_fee_and_sell_tax_are_charged_by_order(self):
        result = run_targets(
            targets(1, 0, 0), bars([10] * 3, [10] * 3), Costs(rate=0.001, minimum=5, sell_tax=0.01), SHARES
        )
        assert result.ledger["fee"].tolist() == pytest.approx([5, 6])


class TestSizing:
    def test_a_fraction_of_equity_is_priced_at_the_close_of_the_signal(self):
        result = run_targets(targets(1, 1), bars([10, 12], [10, 12]), None, Options(capital=1_000, fraction=0.5))
        assert fills(result) == [(1, 1, 50, 12, 0)]

    def test_lots_are_whole(self):
        result = run_targets(
            targets(1, 1), bars([10, 10], [10, 10]), Costs(lot=100), Options(capital=5_999, fraction=1.0)
        )
        assert fills(result)[0][2] == 500

    def test_less_than_a_lot_is_refused_and_counted(self):
        result = run_targets(
            targets(1, 1), bars([10, 10], [10, 10]), Costs(lot=100), Options(capital=900, fraction=1.0)
        )
        assert len(result.ledger) == 0
        assert result.refused["below_lot"] == 2

    def test_an_order_above_the_cash_is_refused_and_counted(self):
        result = run_targets(targets(1, HOLD), bars([10, 12], [10, 12]), None, Options(capital=1_000, fraction=1.0))
        assert len(result.ledger) == 0
        assert result.refused["cash"] == 1

    def test_or_cut_to_what_the_cash_pays_fees_included(self):
        options = Options(capital=1_000, fraction=1.0, cash_short="reduce")
        result = run_targets(targets(1, HOLD), bars([10, 12], [10, 12]), Costs(rate=0.01), options)
        assert fills(result) == [(1, 1, 82, 12, 0)]  # 82 x 12 x 1.01 = 993.84; 83 would cost 1005.96
        assert result.refused == {"cash": 0, "below_lot": 0, "cut_to_cash": 1}

    def test_a_minimum_fee_that_eats_the_cash_leaves_nothing_to_cut_to(self):
        options = Options(capital=10, fraction=1.0, cash_short="reduce")
        result = run_targets(targets(1, HOLD), bars([1, 1], [1, 1]), Costs(minimum=20), options)
        assert len(result.ledger) == 0
        assert result.refused["cash"] == 1


class TestShort:
    OPTIONS = Options(capital=1_000, sizing="fixed_shares", shares=10, allow_short=True)

    def test_a_short_earns_when_the_price_falls(self):
        result = run_targets(targets(-1, 0, 0), bars([10, 10, 8], [10, 9, 8]), None, self.OPTIONS)
        assert fills(result) == [(1, -1, 10, 10, 0), (2, 1, 10, 8, 0)]
        assert result.equity.tolist() == [1_000, 1_010, 1_020]

    def test_without_leave_a_short_wish_is_flat(self):
        result = run_targets(targets(1, -1, -1), bars([10] * 3, [10] * 3), None, SHARES)
        assert fills(result) == [(1, 1, 10, 10, 0), (2, -1, 10, 10, 0)]

    def test_a_turn_closes_first_and_opens_then_at_the_same_open(self):
        result = run_targets(targets(1, -1, -1), bars([10, 10, 11], [10] * 3), None, self.OPTIONS)
        assert fills(result) == [(1, 1, 10, 10, 0), (2, -1, 10, 11, 0), (2, -1, 10, 11, 0)]

    def test_a_short_needs_its_value_in_cash(self):
        options = Options(capital=99, sizing="fixed_shares", shares=10, allow_short=True)
        assert run_targets(targets(-1, HOLD), bars([10, 10], [10, 10]), None, options).refused["cash"] == 1

    def test_ruin_closes_the_position_and_ends_trading(self):
        options = Options(capital=1_000, fraction=1.0, allow_short=True)
        result = run_targets(targets(-1, -1, 1, 1, 1), bars([10, 10, 10, 25, 5], [10, 10, 21, 5, 5]), None, options)
        assert fills(result) == [(1, -1, 100, 10, 0), (3, 1, 100, 25, 3)]
        assert result.equity.tolist() == [1_000, 1_000, -100, -500, -500]


class TestProtection:
    def options(self, **more):
        return Options(capital=10_000, sizing="fixed_shares", shares=10, **more)

    def test_a_stop_fills_at_its_price(self):
        b = bars([100, 100, 100], [100, 100, 96], low=[100, 99, 94], high=[100, 101, 100])
        result = run_targets(targets(1, 1, 1), b, None, self.options(stop_loss=0.05))
        assert fills(result)[1] == (2, -1, 10, 95, 1)

    def test_a_gap_through_the_stop_fills_at_the_open(self):
        b = bars([100, 100, 90], [100, 100, 91], low=[100, 99, 89], high=[100, 101, 92])
        assert fills(run_targets(targets(1, 1, 1), b, None, self.options(stop_loss=0.05)))[1] == (2, -1, 10, 90, 1)

    def test_a_target_fills_at_its_price_or_better(self):
        b = bars([100, 100, 100], [100, 100, 109], low=[100, 99, 99], high=[100, 101, 111])
        assert fills(run_targets(targets(1, 1, 1), b, None, self.options(take_profit=0.1)))[1] == (
            2,
            -1,
            10,
            pytest.approx(110),
            2,
        )
        gap = bars([100, 100, 120], [100, 100, 121], low=[100, 99, 119], high=[100, 101, 122])
        assert fills(run_targets(targets(1, 1, 1), gap, None, self.options(take_profit=0.1)))[1] == (2, -1, 10, 120, 2)

    def test_inside_one_bar_the_stop_comes_before_the_target(self):
        b = bars([100, 100, 100], [100, 100, 100], low=[100, 99, 90], high=[100, 101, 120])
        result = run_targets(targets(1, 1, 1), b, None, self.options(stop_loss=0.05, take_profit=0.1))
        assert fills(result)[1][4] == 1

    @pytest.mark.parametrize(("armed", "bar"), [("at_once", 1), ("next_bar", 2)])
    def test_protection_is_armed_at_once_or_on_the_next_bar(self, armed, bar):
        b = bars([100, 100, 100], [100, 100, 100], low=[100, 90, 90], high=[100, 101, 101])
        result = run_targets(targets(1, HOLD, HOLD), b, None, self.options(stop_loss=0.05, armed=armed))
        assert fills(result)[1][0] == bar

    def test_after_a_stop_the_same_wish_buys_again_at_the_next_open(self):
        b = bars([100, 100, 96], [100, 96, 96], low=[100, 94, 96], high=[100, 100, 97])
        result = run_targets(targets(1, 1, 1), b, None, self.options(stop_loss=0.05))
        assert [(bar, side) for bar, side, *_ in fills(result)] == [(1, 1), (1, -1), (2, 1)]

    def test_a_short_is_stopped_above_and_takes_its_profit_below(self):
        up = bars([100, 100, 100], [100, 100, 104], low=[100, 99, 99], high=[100, 101, 106])
        short = self.options(stop_loss=0.05, take_profit=0.1, allow_short=True)
        assert fills(run_targets(targets(-1, -1, -1), up, None, short))[1] == (2, 1, 10, 105, 1)
        down = bars([100, 100, 100], [100, 100, 92], low=[100, 99, 89], high=[100, 101, 101])
        assert fills(run_targets(targets(-1, -1, -1), down, None, short))[1] == (2, 1, 10, 90, 2)

    def test_a_stop_slips_and_a_target_does_not(self):
        slip = Costs(slippage=0.01)
        b = bars([100, 100, 100], [100, 100, 96], low=[100, 100, 90], high=[100, 101, 101])
        stop = run_targets(targets(1, 1, 1), b, slip, self.options(stop_loss=0.05))
        assert fills(stop)[1][3] == pytest.approx(101 * 0.95 * 0.99)
        t = bars([100, 100, 100], [100, 100, 112], low=[100, 100, 100], high=[100, 101, 115])
        target = run_targets(targets(1, 1, 1), t, slip, self.options(take_profit=0.1))
        assert fills(target)[1][3] == pytest.approx(101 * 1.1)


class TestMissingBars:
    NAN = float("nan")

    def test_an_order_waits_for_the_next_bar_that_trades(self):
        b = bars([10, self.NAN, self.NAN, 13, 13], [10, self.NAN, self.NAN, 14, 14])
        result = run_targets(targets(1, 0, 0, 1, 1), b, None, SHARES)
        assert fills(result) == [(3, 1, 10, 13, 0)]
        assert result.equity.tolist() == [10_000, 10_000, 10_000, 10_010, 10_010]
        assert result.position[0].tolist() == [0, 0, 0, 10, 10]

    def test_indicators_see_only_bars_that_traded(self):
        whole = np.array([10.0, 11, 12, 11, 10, 9, 10, 11, 12, 13])
        gaps = np.insert(whole, [3, 3, 7], self.NAN)
        params = {"fast": 2, "slow": 3}
        dense = run_rule("sma_cross", params, bars(whole, whole), None, SHARES)
        sparse = run_rule("sma_cross", params, bars(gaps, gaps), None, SHARES)
        assert sparse.ledger["price"].tolist() == dense.ledger["price"].tolist()
        assert sparse.equity[-1] == dense.equity[-1]
        assert len(sparse.equity) == len(gaps)
        wanted = rule_targets("sma_cross", params, bars(gaps, gaps))
        assert (wanted[np.isnan(gaps)] == HOLD).all()
        assert run_targets(wanted, bars(gaps, gaps), None, SHARES).ledger.tobytes() == sparse.ledger.tobytes()

    def test_bars_without_any_price_give_no_fill_and_the_capital(self):
        nothing = np.full(4, self.NAN)
        result = run_rule("buy_and_hold", {}, bars(nothing, nothing), None, SHARES)
        assert len(result.ledger) == 0
        assert result.equity.tolist() == [10_000] * 4

    def test_a_price_of_zero_is_no_price(self):
        result = run_rule("buy_and_hold", {}, bars([10, 0, 11], [10, 0, 11]), None, SHARES)
        assert fills(result) == [(2, 1, 10, 11, 0)]


class TestWarmUp:
    def test_earlier_bars_warm_indicators_up_and_are_not_traded(self):
        price = np.array([10.0, 11, 12, 13, 14, 15, 14, 12, 10])
        whole = run_rule("sma_cross", {"fast": 1, "slow": 3}, bars(price, price), None, SHARES)
        later = run_rule("sma_cross", {"fast": 1, "slow": 3}, bars(price, price), None, SHARES, first=4)
        assert whole.ledger["bar"][0] == 3
        assert later.ledger["bar"].tolist() == [5, 7]
        assert len(later.equity) == 5
        assert later.equity[0] == 10_000
        assert len(later.cash) == 5

    def test_starting_inside_a_gap_begins_with_the_next_bar_that_trades(self):
        price = np.array([10.0, 10, np.nan, np.nan, 11, 12])
        result = run_rule("buy_and_hold", {}, bars(price, price), None, SHARES, first=2)
        assert fills(result) == [(5, 1, 10, 12, 0)]
        assert result.equity.tolist() == [10_000] * 4


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"capital": 0}, "bad_capital"),
            ({"capital": -5}, "bad_capital"),
            ({"capital": float("nan")}, "bad_capital"),
            ({"fraction": 0}, "bad_fraction"),
            ({"fraction": 1.5}, "bad_fraction"),
            ({"sizing": "fixed_shares", "shares": 0}, "bad_shares"),
            ({"stop_loss": -0.1}, "bad_protection"),
            ({"take_profit": float("inf")}, "bad_protection"),
        ],
    )
    def test_options_that_make_no_sense(self, options, code):
        with pytest.raises(Refusal) as refused:
            Options(**options)
        assert refused.value.code == code
        assert str(refused.value)

    def test_an_unknown_rule(self):
        with pytest.raises(Refusal) as refused:
            run_rule("astrology", {}, bars([1, 1], [1, 1]))
        assert refused.value.code == "unknown_rule"

    def test_targets_of_another_length(self):
        with pytest.raises(Refusal) as refused:
            run_targets(targets(1), bars([1, 1], [1, 1]))
        assert refused.value.code == "bad_targets"


def test_a_ledger_that_outgrows_its_room_is_written_whole():
    price = np.where(np.arange(6_000) % 2, 10.0, 11.0)
    wanted = (np.arange(6_000) % 2).astype(np.int8)
    rich = Options(capital=1e6, sizing="fixed_shares", shares=10)
    result = run_targets(wanted, bars(price, price), None, rich)
    assert len(result.ledger) == 5_998
    assert (np.diff(result.ledger["bar"]) == 1).all()
