"""The rules: exact ties, the price grid, and two doors that agree to the byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.engine.backtest import FLAT, HOLD, LONG, Bars, Options, rule_targets, run_rule, run_targets, sweep
from apps.trading.engine.backtest.rules import price_unit
from apps.trading.engine.costs import Costs
from apps.ui.engine.refusal import Refusal

prices_ = st.lists(st.integers(900, 1100), min_size=5, max_size=80).map(lambda v: np.array(v) / 100.0)


def line(close) -> Bars:
    return Bars.of(close, close)


def slow_sma(ticks, fast, slow):
    """The rule in whole numbers, the long way."""
    out = []
    for t in range(len(ticks)):
        if t < slow - 1:
            out.append(HOLD)
            continue
        left, right = slow * sum(ticks[t - fast + 1 : t + 1]), fast * sum(ticks[t - slow + 1 : t + 1])
        out.append(LONG if left > right else FLAT if left < right else HOLD)
    return out


@settings(max_examples=300, deadline=None)
@given(prices_, st.integers(1, 6), st.integers(1, 8))
def test_averages_are_compared_exactly_on_whole_ticks(close, fast, more):
    slow = fast + more
    ticks = np.rint(close * 100).astype(int).tolist()
    assert rule_targets("sma_cross", {"fast": fast, "slow": slow}, line(close), tick=0.01).tolist() == slow_sma(
        ticks, fast, slow
    )


def test_windows_are_carried_over_the_blocks_the_kernel_works_in():
    rng = np.random.default_rng(3)
    ticks = 1000 + np.cumsum(rng.integers(-3, 4, 9_000))
    wanted = rule_targets("sma_cross", {"fast": 7, "slow": 500}, line(ticks / 100.0))
    some = slow_sma(ticks.tolist()[:4_300], 7, 500)
    assert wanted[:4_300].tolist() == some
    assert (wanted[:499] == HOLD).all()


def test_a_tie_gives_no_order():
    close = np.array([0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.2, 0.2])
    wanted = rule_targets("sma_cross", {"fast": 1, "slow": 3}, line(close))
    assert wanted.tolist() == [HOLD, HOLD, LONG, FLAT, FLAT, LONG, LONG, HOLD]


def test_a_tie_after_a_stop_does_not_buy_again():
    close = np.array([10.0, 11, 12, 12, 12, 12, 12])
    low = np.array([10.0, 11, 12, 6, 12, 12, 12])
    bars = Bars.of(close, close, close, low)
    options = Options(capital=1_000, sizing="fixed_shares", shares=1, stop_loss=0.1)
    result = run_rule("sma_cross", {"fast": 1, "slow": 2}, bars, None, options)
    assert [(f["bar"], f["reason"]) for f in result.ledger] == [(2, 0), (3, 1)]


@pytest.mark.parametrize(
    ("close", "unit"),
    [
        ([10.0, 11.0], 1.0),
        ([10.5, 11.0], 10.0),
        ([0.1 + 0.2, 19.99, 20000.01], 100.0),
        ([1.00000001, 2.0], 1e8),
        ([1 / 3, 2 / 3], 1e12),  # on no grid: the finest whose sums fit
        ([100 / 3, 1e5 / 7], 1e7),
    ],
)
def test_the_grid_is_the_fewest_decimals_that_hold_every_price(close, unit):
    assert price_unit(np.array(close)) == unit


def test_a_given_tick_is_taken_as_it_is():
    assert price_unit(np.array([1.234]), tick=0.05) == pytest.approx(20.0)
    wanted = rule_targets("sma_cross", {"fast": 1, "slow": 2}, line(np.array([1.0, 1.01, 1.02])), tick=0.05)
    assert wanted.tolist() == [HOLD, HOLD, HOLD]


def test_adjusted_prices_on_no_grid_still_give_the_same_answer_twice():
    close = 50.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 400)))
    first = rule_targets("sma_cross", {"fast": 5, "slow": 20}, line(close))
    mean = lambda w: np.convolve(close, np.ones(w) / w, "valid")  # noqa: E731
    above = mean(5)[15:] > mean(20)
    assert (first[19:] == np.where(above, LONG, FLAT)).all()


def rsi(close, window):
    """Wilder's index, the long way; None where it is not defined."""
    gain = loss = 0.0
    out = [None] * len(close)
    for t in range(1, len(close)):
        change = close[t] - close[t - 1]
        up, down = max(change, 0), max(-change, 0)
        if t <= window:
            gain, loss = gain + up / window, loss + down / window
        else:
            gain, loss = (gain * (window - 1) + up) / window, (loss * (window - 1) + down) / window
        if t >= window and gain + loss > 0:
            out[t] = 100 * gain / (gain + loss)
    return out


def test_rsi_reversal_buys_below_and_sells_above_and_else_keeps():
    close = np.round(100 + np.cumsum(np.random.default_rng(5).normal(0, 1, 5_000)) % 40, 2)
    wanted = rule_targets("rsi_reversal", {"window": 14, "low": 30, "high": 70}, line(close)).tolist()
    for t, value in enumerate(rsi(close.tolist(), 14)):
        if value is None or min(abs(value - 30), abs(value - 70)) < 1e-6:
            continue
        assert wanted[t] == (LONG if value < 30 else FLAT if value > 70 else HOLD), t


def test_rsi_says_nothing_while_the_price_stands_still():
    wanted = rule_targets("rsi_reversal", {"window": 3, "low": 30, "high": 70}, line(np.full(10, 5.0)))
    assert (wanted == HOLD).all()


def test_rsi_leaves_the_grid_for_a_finer_one_where_prices_need_it():
    close = np.concatenate([np.full(3_000, 10.0), [10.001, 10.002, 9.5, 9.0, 8.5]])
    wanted = rule_targets("rsi_reversal", {"window": 2, "low": 30, "high": 70}, line(close))
    assert wanted[-1] == LONG
    assert wanted[3_001] == FLAT


rules = st.sampled_from(
    [
        ("sma_cross", {"fast": 2, "slow": 5}),
        ("rsi_reversal", {"window": 3, "low": 35, "high": 65}),
        ("buy_and_hold", {}),
    ]
)
choices = st.builds(
    Options,
    capital=st.just(10_000.0),
    sizing=st.sampled_from(["equity_fraction", "fixed_shares"]),
    fraction=st.sampled_from([0.3, 0.95, 1.0]),
    shares=st.sampled_from([1.0, 250.0]),
    stop_loss=st.sampled_from([None, 0.01, 0.2]),
    take_profit=st.sampled_from([None, 0.02]),
    armed=st.sampled_from(["at_once", "next_bar"]),
    cash_short=st.sampled_from(["refuse", "reduce"]),
)


@settings(max_examples=300, deadline=None)
@given(prices_, rules, choices, st.integers(0, 4))
def test_the_rule_door_and_the_signal_door_write_the_same_ledger_byte_for_byte(close, rule, options, first):
    open_ = np.concatenate([close[:1], close[:-1]])
    bars = Bars.of(open_, close, np.maximum(open_, close) + 0.05, np.minimum(open_, close) - 0.05)
    costs = Costs(rate=0.001, minimum=1.0, sell_tax=0.001, slippage=0.001)
    by_rule = run_rule(*rule, bars, costs, options, first=first)
    by_signal = run_targets(rule_targets(*rule, bars), bars, costs, options, first=first)
    assert by_rule.ledger.tobytes() == by_signal.ledger.tobytes()
    assert by_rule.equity.tobytes() == by_signal.equity.tobytes()
    assert by_rule.refused == by_signal.refused


def test_a_sweep_gives_what_single_runs_give():
    close = np.round(50 * np.exp(np.cumsum(np.random.default_rng(9).normal(0, 0.01, 600))), 2)
    bars, costs, options = line(close), Costs(rate=0.001), Options(capital=1e6)
    found = sweep([3, 5, 20], [10, 20], bars, costs, options, first=50)
    for i, fast in enumerate(found.fasts):
        for j, slow in enumerate(found.slows):
            if fast >= slow:
                assert np.isnan(found.final[i, j])
                assert found.fills[i, j] == 0
                continue
            single = run_rule("sma_cross", {"fast": fast, "slow": slow}, bars, costs, options, first=50)
            returns = single.equity[1:] / single.equity[:-1] - 1
            peak = np.maximum.accumulate(np.maximum(single.equity, 1e6))
            assert found.final[i, j] == single.equity[-1]
            assert found.fills[i, j] == len(single.ledger)
            assert found.drawdown[i, j] == pytest.approx((single.equity / peak - 1).min())
            assert found.sharpe[i, j] == pytest.approx(returns.mean() / returns.std(ddof=1))


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (("sma_cross", {"fast": 0, "slow": 3}), "fast"), (("sma_cross", {"fast": 9, "slow": 3}), "fast"),
        (("sma_cross", {"fast": 3, "slow": 3}), "fast"), (("rsi_reversal", {"window": 0, "low": 30, "high": 70}), "window"),
    ],
)  # fmt: skip
def test_windows_that_cannot_be_are_refused_at_every_door(rule, field):
    bars = line(np.arange(1.0, 30.0))
    for door in (run_rule, rule_targets):
        with pytest.raises(Refusal) as refusal:
            door(*rule, bars)
        assert refusal.value.field == field


def test_a_sweep_over_no_bar_is_refused():
    with pytest.raises(Refusal):
        sweep([0, 1], [2], line(np.arange(1.0, 30.0)))


def test_a_sweep_without_bars_or_movement_is_undefined():
    nothing = sweep([1], [2], line(np.full(3, np.nan)))
    assert np.isnan(nothing.final).all()
    still = sweep([1], [2], line(np.full(30, 5.0)))
    assert np.isnan(still.sharpe).all()
    assert still.final[0, 0] == 1_000_000
    assert np.isnan(sweep([1], [2], line(np.array([5.0, 6.0]))).sharpe).all()
