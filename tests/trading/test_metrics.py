"""Figures: known values, and nothing where nothing is defined."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.engine import metrics as m
from apps.trading.engine.backtest import Bars, Options, run_targets
from apps.trading.engine.glossary import GLOSSARY
from apps.trading.engine.tearsheet import more_metrics, more_trade_metrics
from apps.trading.engine.trades import match_trades, trade_metrics

RETURNS = np.array([0.01, -0.02, 0.03, 0.0, -0.01, 0.02])
TIMES = np.datetime64("2020-01-30") + np.arange(6)
BENCH = np.array([0.005, -0.01, 0.02, 0.01, -0.02, 0.01])


def test_total_return_compounds():
    assert m.total_return(np.array([0.1, 0.1])) == pytest.approx(0.21)


def test_a_year_of_returns_is_its_own_annual_return():
    assert m.cagr(np.full(252, 0.001)) == pytest.approx(1.001**252 - 1)
    assert m.cagr(np.array([-1.5, 0.1])) is None


def test_sharpe_is_annualised_and_takes_the_risk_free_rate_off():
    mean, deviation = RETURNS.mean(), RETURNS.std(ddof=1)
    assert m.sharpe(RETURNS) == pytest.approx(mean / deviation * math.sqrt(252))
    assert m.sharpe(RETURNS, 252, 0.0252) == pytest.approx((mean - 0.0001) / deviation * math.sqrt(252))


def test_drawdown_counts_a_loss_on_the_first_bar():
    assert m.drawdown(np.array([-0.1, 0.2])).tolist() == pytest.approx([-0.1, 0.0])
    assert m.max_drawdown(np.array([0.5, -0.2, -0.5])) == pytest.approx(-0.6)


def test_drawdown_duration_is_the_longest_run_below_a_high():
    assert m.max_drawdown_duration(np.array([0.1, -0.1, 0.01, 0.5, -0.1, -0.1, -0.1])) == 3
    assert m.max_drawdown_duration(np.array([0.1, 0.1])) == 0


def test_moments_are_those_of_pandas():
    values = np.random.default_rng(0).standard_t(4, 500)
    assert m.skewness(values) == pytest.approx(pd.Series(values).skew())
    assert m.kurtosis(values) == pytest.approx(pd.Series(values).kurt())


def test_shortfall_is_the_mean_beyond_the_value_at_risk():
    values = np.arange(-50, 50) / 1000
    assert m.var_95(values) == pytest.approx(np.quantile(values, 0.05))
    assert m.cvar_95(values) == pytest.approx(-0.048)


def test_beta_and_alpha_of_a_leveraged_benchmark():
    assert m.beta(2 * BENCH + 0.001, BENCH) == pytest.approx(2)
    assert m.alpha(2 * BENCH + 0.001, BENCH) == pytest.approx(0.252)
    assert m.alpha_compound(2 * BENCH + 0.001, BENCH) == pytest.approx(1.001**252 - 1)
    assert m.correlation(2 * BENCH, BENCH) == pytest.approx(1)


def test_rates_count_only_bars_that_moved():
    assert m.win_rate(RETURNS) == pytest.approx(3 / 5)
    assert m.profit_factor(RETURNS) == pytest.approx(2.0)
    assert m.omega(RETURNS, 0.01) == pytest.approx(0.03 / 0.06)


@pytest.mark.parametrize(
    ("figure", "returns"),
    [
        (m.sharpe, np.full(9, 0.01)),
        (m.sharpe, np.array([0.01])),
        (m.sortino, np.array([0.01, 0.02])),
        (m.sortino, np.array([])),
        (m.calmar, np.array([0.01, 0.02])),
        (m.win_rate, np.zeros(5)),
        (m.profit_factor, np.array([0.1, 0.2])),
        (m.skewness, np.array([0.1, 0.2])),
        (m.skewness, np.full(9, 0.1)),
        (m.kurtosis, np.array([0.1, 0.2, 0.3])),
        (m.stability, np.array([0.1, -1.0, 0.2])),
        (m.stability, np.zeros(5)),
        (m.tail_ratio, np.zeros(5)),
        (m.tail_ratio, np.array([])),
        (m.total_return, np.array([])),
        (m.max_drawdown_duration, np.array([])),
        (m.ann_vol, np.array([0.1])),
        (m.cvar_95, np.array([])),
    ],
)
def test_what_is_undefined_is_none(figure, returns):
    assert figure(returns) is None


def test_nothing_is_defined_against_a_benchmark_that_stands_still():
    still = np.zeros(6)
    found = m.metrics_of(RETURNS, 252, still)
    assert [found[k] for k in ("beta", "alpha", "alpha_compound", "correlation")] == [None] * 4
    assert m.correlation(still, RETURNS) is None
    assert m.information_ratio(RETURNS, RETURNS) is None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(-1.0, 3.0), max_size=40), st.sampled_from([1.0, 252.0, 98_280.0]))
def test_no_figure_is_ever_nan_or_infinite(values, periods):
    returns = np.array(values, float)
    json.dumps(m.metrics_of(returns, periods, returns[::-1].copy()), allow_nan=False)
    json.dumps(m.rolling_sharpe(returns, 5, periods), allow_nan=False)


def test_returns_count_from_the_capital_where_it_is_given():
    assert m.returns_of(np.array([110.0, 99.0]), 100.0).tolist() == pytest.approx([0.1, -0.1])
    assert m.returns_of(np.array([110.0, 99.0])).tolist() == pytest.approx([-0.1])


def test_rolling_sharpe_starts_with_the_first_whole_window():
    rolling = m.rolling_sharpe(RETURNS, 3)
    assert rolling[:2] == [None, None]
    assert rolling[2] == pytest.approx(m.sharpe(RETURNS[:3]))
    assert rolling[-1] == pytest.approx(m.sharpe(RETURNS[-3:]))
    assert m.rolling_sharpe(RETURNS, 7) == [None] * 6
    assert m.rolling_sharpe(np.zeros(4), 3)[-1] is None


def test_every_figure_has_its_line_in_the_glossary():
    figures = (
        set(m.metrics_of(RETURNS, 252, BENCH))
        | set(trade_metrics([]))
        | {"exposure", "turnover", "fees", "borrow", "funding", "break_even"}
        | set(more_metrics(RETURNS, TIMES, 252, BENCH))
        | set(more_trade_metrics([], 5))
        | {"deflated_sharpe", "max_leverage", "largest_fill_share", "cost_drag", "idle_cash", "average_holdings"}
        | {"risk_adjusted", "tax_drag", "lot_residual", "capacity", "market_change", "fills_per_day", "runtime_days"}
        | {"members_exchanged", "members_left", "outside_weight", "outside_bars", "frozen_gap"}
        | {"ic", "ic_ir", "rank_ic", "rank_ic_ir", "ic_hits", "signal_memory"}
    )
    assert figures == set(GLOSSARY)
    assert all(
        term.title and term.definition.endswith((".",)) and term.better in (-1, 0, 1) for term in GLOSSARY.values()
    )


class TestTrades:
    def ledger(self, *targets, prices=(10.0,) * 8, **more):
        bars = Bars.of(np.array(prices), np.array(prices))
        options = Options(capital=10_000, sizing="fixed_shares", shares=10, allow_short=True)
        return run_targets(np.array(targets, np.int8), bars, None, options, **more).ledger

    def test_a_long_trade_from_entry_to_exit(self):
        closed, opened = match_trades(self.ledger(1, 1, 0, 0, prices=(10, 11, 12, 13)))
        assert opened == []
        trade = closed[0]
        assert (trade.side, trade.quantity, trade.entry_bar, trade.exit_bar) == (1, 10, 1, 3)
        assert trade.pnl == 20
        assert trade.profit == pytest.approx(20 / 110)

    def test_a_turn_closes_one_trade_and_opens_another(self):
        closed, opened = match_trades(self.ledger(1, -1, -1, prices=(10, 11, 12)))
        assert [t.pnl for t in closed] == [10]
        assert [(t.side, t.quantity, t.exit_bar, t.reason) for t in opened] == [(-1, 10, None, None)]

    def test_first_in_first_out_with_fees_shared_by_share(self):
        from apps.trading.engine.backtest import LEDGER

        ledger = np.zeros(3, LEDGER)
        ledger["bar"], ledger["side"] = [0, 1, 2], [1, 1, -1]
        ledger["quantity"], ledger["price"], ledger["fee"] = [10, 10, 15], [10, 20, 30], [1, 2, 3]
        closed, opened = match_trades(ledger)
        assert closed[0].entry_price == pytest.approx((10 * 10 + 5 * 20) / 15)
        assert closed[0].fees == pytest.approx(1 + 1 + 3)
        assert closed[0].pnl == pytest.approx(15 * 30 - 200 - 5)
        assert opened[0].quantity == 5
        assert opened[0].pnl == pytest.approx(-1)

    def test_one_fill_that_turns_the_position_is_split(self):
        from apps.trading.engine.backtest import LEDGER

        ledger = np.zeros(2, LEDGER)
        ledger["side"], ledger["quantity"], ledger["price"], ledger["fee"] = [1, -1], [10, 15], [10, 12], [0, 3]
        closed, opened = match_trades(ledger)
        assert (closed[0].quantity, closed[0].pnl) == (10, pytest.approx(18))
        assert (opened[0].side, opened[0].quantity) == (-1, 5)

    def test_figures_of_trades(self):
        closed, _ = match_trades(self.ledger(1, 0, 1, 0, 0, prices=(10, 10, 12, 10, 9)))
        found = trade_metrics(closed)
        assert found["trades"] == 2
        assert found["trade_win_rate"] == 0.5
        assert found["trade_profit_factor"] == pytest.approx(2.0)
        assert found["average_trade"] == pytest.approx((0.2 - 0.1) / 2)
        assert found["average_bars"] == 1

    def test_without_trades_there_is_nothing_to_tell(self):
        assert trade_metrics([]) == {
            "trades": 0.0,
            "trade_win_rate": None,
            "trade_profit_factor": None,
            "average_trade": None,
            "average_bars": None,
        }
