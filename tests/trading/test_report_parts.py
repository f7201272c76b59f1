"""The parts of a report: years, sides, months without a position, membership, ranking of a signal, lots, goals."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from apps.trading.engine.backtest import HOLD, Bars, Options, run_targets, run_weights
from apps.trading.engine.backtest.market import Market
from apps.trading.engine.costs import Costs
from apps.trading.engine.glossary import GLOSSARY
from apps.trading.engine.report import Baseline, Setting, Universe, build, findings
from apps.trading.engine.report.activity import lot_residual
from apps.trading.engine.report.curves import monthly_table
from apps.trading.engine.report.exposure import rolling_volatility
from apps.trading.engine.report.membership import drift
from apps.trading.engine.report.periods import BINS, by_side, histogram, parts_of, quantiles
from apps.trading.engine.report.ranking import GROUPS, signal_quality
from apps.trading.engine.robustness import block_bootstrap, monte_carlo_trades
from apps.trading.engine.tearsheet import recovery
from apps.trading.engine.trades import Trade

CAPITAL = 100_000.0


def days(count, start="2019-12-30"):
    return np.datetime64(start, "ns") + np.arange(count) * np.timedelta64(1, "D")


def trade(pnl, side=1, entry=0, exit_=1):
    return Trade(0, side, 10, entry, 10.0, exit_, 11.0, 1.0, pnl, 0)


def built(targets, close, costs=None, **changes):
    """Return the document of one instrument's sides wanted after each close, and its run."""
    bars, options = Bars.of(close, close), Options(capital=CAPITAL, fraction=0.9, cash_short="reduce")
    costs = costs or Costs(rate=0.001, sell_tax=0.001)

    def rerun(costs, delay, participation=0.0):
        return run_targets(np.asarray(targets, np.int8), bars, costs, options)

    run, times = rerun(costs, 0), days(len(close))
    setting = Setting(
        strategy={}, symbols=["A"], times=times, all_times=times, frequency="1d", bars_per_year=252.0, currency="USD",
        dataset="demo", capital=CAPITAL, costs=costs, fill_rule={}, benchmark={"symbol": ""}, unseen=0.0,
        closes=np.atleast_2d(np.asarray(close, float)),
    )  # fmt: skip
    held = np.full(len(close), CAPITAL)
    document = build(replace(setting, **changes), run, held, [Baseline("do_nothing", held)], rerun)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    return document, run


class TestMonths:
    def test_a_month_without_a_position_has_no_return_and_one_with_none_earned_has_zero(self):
        times = days(120, "2020-01-01")
        active = times >= np.datetime64("2020-03-01")
        rows = monthly_table(times, np.full(120, 100.0), 100.0, active)
        assert rows[0]["months"][:4] == [None, None, 0.0, 0.0]
        assert (rows[0]["flat"], rows[0]["total"]) == ([1, 2], 0.0)
        idle = monthly_table(times, np.full(120, 100.0), 100.0, np.zeros(120, bool))
        assert (idle[0]["total"], idle[0]["flat"]) == (None, [1, 2, 3, 4])

    def test_months_that_stood_aside_count_among_all_but_not_as_won(self):
        found = findings.about_months([{"months": [0.1, None, None], "flat": [2, 3]}])
        assert found[0]["params"] == {"won": 1, "all": 3}

    def test_a_purchase_and_its_sale_within_a_month_are_no_flat_month(self):
        targets = np.full(100, HOLD, np.int8)
        targets[5], targets[6] = 1, 0
        document, _ = built(targets, np.full(100, 10.0), Costs())
        table = document["monthly"]
        assert table[1]["months"][:3] == [0.0, None, None]  # January held and earned exactly nothing
        assert (table[1]["flat"], table[0]["months"][11]) == ([2, 3, 4], None)
        assert [row["total_return"] for row in document["by_month"]] == [None, 0.0, None, None, None]


class TestPeriods:
    def test_parts_follow_the_calendar(self):
        times = days(20)
        assert [name for name, _ in parts_of(times, "Y")] == ["2019", "2020"]
        assert [name for name, _ in parts_of(times, "M")] == ["2019-12", "2020-01"]
        weeks = parts_of(times, "W")
        assert [name for name, _ in weeks] == ["2019-12-30", "2020-01-06", "2020-01-13"]  # Mondays
        assert [at.stop - at.start for _, at in weeks] == [7, 7, 6]

    def test_years_tell_what_pandas_tells(self):
        close = np.round(10 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.02, 500))), 2)
        targets = (np.arange(500) // 7 % 2).astype(np.int8)
        document, run = built(targets, close)
        equity = pd.Series(run.equity, index=pd.DatetimeIndex(days(500)))
        returns = (equity / equity.shift(1, fill_value=CAPITAL) - 1).groupby(equity.index.year)
        rows = document["by_year"]
        assert [row["period"] for row in rows] == ["2019", "2020", "2021"]
        for row, (_, part) in zip(rows, returns, strict=True):
            growth = (1 + part).cumprod()
            assert (row["total_return"] or 0.0) == pytest.approx(growth.iloc[-1] - 1)
            if row["max_drawdown"] is not None:
                peak = growth.cummax().clip(lower=1.0)
                assert row["max_drawdown"] == pytest.approx((growth / peak - 1).min())
        assert sum(row["trades"] for row in rows) == len(document["trades"])
        assert sum(row["pnl"] for row in rows) == pytest.approx(sum(t["pnl"] for t in document["trades"]))
        fills = pd.Series(run.fills["quantity"] * run.fills["price"]).groupby(
            pd.DatetimeIndex(days(500))[run.fills["bar"]].year
        )
        for row in rows[1:]:
            year = int(row["period"])
            assert row["turnover"] == pytest.approx(fills.sum()[year] / equity[equity.index.year == year].mean())

    def test_long_and_short_are_told_apart(self):
        rows = by_side([trade(5, 1), trade(-1, 1), trade(2, -1, 0, 4)])
        assert [(r["name"], r["trades"], r["won"], r["pnl"], r["bars"]) for r in rows] == [
            ("long", 2, 1, 4.0, 1.0), ("short", 1, 1, 2.0, 4.0)
        ]  # fmt: skip
        assert by_side([]) == []

    def test_quantiles_compound_weeks_and_months(self):
        values = np.random.default_rng(1).normal(0, 0.01, 90)
        rows = {row["name"]: row for row in quantiles(values, days(90))}
        series = pd.Series(values, index=pd.DatetimeIndex(days(90)))
        weekly = (1 + series).resample("W-SUN").prod() - 1
        assert rows["week"]["50"] == pytest.approx(weekly.median())
        assert (rows["bar"]["0"], rows["bar"]["100"]) == pytest.approx((values.min(), values.max()))
        assert rows["month"]["count"] == 4
        assert quantiles(values[:1], days(1)) == []

    def test_a_histogram_counts_all_and_has_none_where_there_is_nothing_to_count(self):
        found = histogram(np.append(np.random.default_rng(0).normal(size=400), [90.0, np.nan]))
        assert (sum(found["counts"]), len(found["edges"])) == (401, BINS + 1)
        assert histogram(np.zeros(9)) is None
        assert histogram(np.arange(4.0)) is None


class TestMembership:
    def test_who_left_and_what_was_held_on(self):
        members = np.ones((4, 10), bool)
        members[0, 4:] = False  # leaves, held for three bars more
        members[1, :6] = False  # joins
        members[2, 8:] = False  # leaves, never held
        weights = np.zeros((2, 10))
        weights[0, 2:7], weights[1, 1:3] = 0.4, 0.1  # the second is held before it belongs
        universe = Universe("index", members, [0, 1], np.full(10, 120.0), np.full(10, 150.0))
        found, figures = drift(universe, weights, days(10, "2019-12-28"), 100.0, np.array([0, 9]))
        assert figures["members_exchanged"] == pytest.approx(2 / 3)
        assert figures["outside_bars"] == 3.0
        assert figures["outside_weight"] == pytest.approx((3 * 0.4 + 2 * 0.1) / 10)
        assert figures["frozen_gap"] == pytest.approx(0.3)
        assert (found["held_on"], found["longest"], found["outside_most"]) == (1, 3, 0.4)
        assert [(y["year"], y["members"], y["left"], y["joined"]) for y in found["years"]] == [
            (2019, 3, 0, 0), (2020, 3, 2, 1)
        ]  # fmt: skip
        assert found["still"] == [1.0, pytest.approx(1 / 3)]
        assert set(figures) <= set(GLOSSARY)

    def test_a_universe_nobody_ever_belonged_to_has_no_shares(self):
        universe = Universe("none", np.zeros((2, 5), bool), [0], np.full(5, 100.0), np.full(5, 100.0))
        found, figures = drift(universe, np.zeros((1, 5)), days(5), 100.0, np.arange(5))
        assert (figures["members_exchanged"], figures["members_left"], figures["outside_bars"]) == (None, None, None)
        assert (found["still"], found["longest"]) == ([None] * 5, 0)


class TestRanking:
    COUNT, BARS = 40, 60

    def market(self, strength=1.0):
        rng = np.random.default_rng(5)
        returns = rng.normal(0, 0.02, (self.COUNT, self.BARS))
        opens = 10 * np.cumprod(1 + returns, axis=1)
        scores = np.full(opens.shape, np.nan)
        scores[:, :-2] = strength * returns[:, 2:] + rng.normal(0, 0.02, (self.COUNT, self.BARS - 2))
        scores[:, -2:] = 0.0
        return scores, opens

    def quality(self, scores, opens, first=3):
        times = days(self.BARS)[first:]
        return signal_quality(scores, opens, times, [str(d)[:10] for d in times], first)

    def test_it_tells_what_scipy_and_pandas_tell(self):
        scores, opens = self.market()
        found = self.quality(scores, opens)
        ahead = pd.DataFrame(opens).pct_change(axis=1).shift(-2, axis=1)
        plain = pd.DataFrame(scores).corrwith(ahead).iloc[3:-2]
        ranked = [spearmanr(scores[:, t], ahead[t]).statistic for t in range(3, self.BARS - 2)]
        figures = found["figures"]
        assert figures["ic"] == pytest.approx(plain.mean())
        assert figures["ic_ir"] == pytest.approx(plain.mean() / plain.std())
        assert figures["rank_ic"] == pytest.approx(np.mean(ranked))
        assert figures["rank_ic_ir"] == pytest.approx(np.mean(ranked) / np.std(ranked, ddof=1))
        assert found["bars"] == self.BARS - 5
        daily = []
        for t in range(3, self.BARS - 2):
            fifth = (pd.Series(scores[:, t]).rank() - 1) * GROUPS // self.COUNT
            daily.append(ahead[t].groupby(fifth).mean())
        expected = (1 + pd.DataFrame(daily)).prod() - 1
        assert [g["total_return"] for g in found["groups"]] == pytest.approx(expected.tolist())
        assert found["groups"][-1]["total_return"] > found["groups"][0]["total_return"]
        assert found["series"]["ic"][-2:] == [None, None]  # no order of the last two bars has earned anything yet

    def test_a_signal_that_knows_nothing_has_no_information(self):
        scores, opens = self.market(0.0)
        assert abs(self.quality(scores, opens)["figures"]["rank_ic"]) < 0.05

    def test_too_few_instruments_or_equal_scores_have_none(self):
        scores, opens = self.market()
        assert self.quality(scores[:9], opens[:9]) is None
        assert self.quality(np.zeros_like(scores), opens) is None

    def test_every_figure_has_words(self):
        assert set(self.quality(*self.market())["figures"]) <= set(GLOSSARY)


class TestActivity:
    def test_whole_lots_leave_what_the_board_does_not_sell(self):
        close = np.full((2, 6), 33.0)
        weights = np.full((2, 6), np.nan)
        weights[:, 0] = 0.5
        market = Market.of("CN", ["main", "star"], [d.astype("datetime64[D]").item() for d in days(6)], close)
        run = run_weights(weights, close, close, None, Options(capital=CAPITAL, cash_short="reduce"), market=market)
        document, _ = built(np.zeros(6, np.int8), np.full(6, 10.0))
        assert document["metrics"]["lot_residual"] is None  # nobody told what was wanted
        lots = np.stack([market.minimum, market.step], axis=1)
        setting = replace(_setting(close), aims=weights, lots=lots)
        # 50,000 buy 1,515 shares: 1,500 in lots of a hundred, 1,515 one by one above two hundred.
        assert lot_residual(setting, run) == pytest.approx((50_000 - 1_500 * 33 + 50_000 - 1_515 * 33) / CAPITAL)
        assert lot_residual(replace(setting, aims=np.full((2, 6), np.nan)), run) is None

    def test_tax_capacity_and_the_days_are_those_of_the_fills(self):
        close = np.round(10 * np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.02, 300))), 2)
        document, run = built((np.arange(300) // 5 % 2).astype(np.int8), close, volume=np.full((1, 300), 50_000.0))
        fills, figures = run.fills, document["metrics"]
        sold = fills[fills["side"] < 0]
        paid = 0.001 * (sold["quantity"] * sold["price"]).sum()
        assert figures["tax_drag"] == pytest.approx(paid / run.equity.mean() / (300 / 252))
        assert figures["capacity"] == pytest.approx(CAPITAL * 0.1 / (fills["quantity"].max() / 50_000))
        assert figures["fills_per_day"] == pytest.approx(len(fills) / 300)
        assert figures["runtime_days"] == 300
        assert figures["risk_adjusted"] == pytest.approx(figures["cagr"] / figures["exposure"])
        free, _ = built((np.arange(300) // 5 % 2).astype(np.int8), close, Costs(rate=0.001))
        assert (free["metrics"]["tax_drag"], free["metrics"]["capacity"]) == (None, None)

    def test_what_chinese_rules_make_worth_telling_is_told_at_zero(self):
        told, _ = built(np.zeros(30, np.int8), np.full(30, 10.0), market={"obeyed": True, "limits": True})
        assert told["refused"] == dict.fromkeys(
            ("limit_up", "limit_down", "suspended", "t_plus_1", "t_plus_1_shares"), 0
        )
        ignored, _ = built(np.zeros(30, np.int8), np.full(30, 10.0), market={"obeyed": False, "limits": False})
        assert ignored["refused"] == {}


def _setting(close):
    times = days(close.shape[1])
    return Setting(
        strategy={}, symbols=["A", "B"], times=times, all_times=times, frequency="1d", bars_per_year=252.0,
        currency="CNY", dataset="demo", capital=CAPITAL, costs=Costs(lot=1), fill_rule={}, benchmark={}, unseen=0.0,
        closes=close,
    )  # fmt: skip


class TestChance:
    def test_the_goal_is_what_the_ends_reach(self):
        flat = np.full(9, 100.0)
        closed = [trade(p) for p in (30, 30, 30, -10, 30)]
        sure = monte_carlo_trades(closed, flat, 100.0, goal=-0.99)
        never = monte_carlo_trades(closed, flat, 100.0, goal=99.0)
        some = monte_carlo_trades(closed, flat, 100.0, goal=1.0)
        assert (sure["goal"], never["goal"], some["goal_return"]) == (1.0, 0.0, 1.0)
        shares, rng = np.array([0.3, 0.3, 0.3, -0.1, 0.3]), np.random.default_rng(0)
        ends = np.prod(1 + rng.choice(shares, (1_000, 5)), axis=1) - 1
        assert some["goal"] == pytest.approx((ends >= 1.0).mean())

    def test_blocks_tell_bust_and_goal(self):
        falling = np.full(60, -0.02) + np.random.default_rng(0).normal(0, 1e-3, 60)
        found = block_bootstrap(falling, 252.0)
        assert (found["bust"], found["goal"]) == (1.0, 0.0)
        rising = block_bootstrap(-falling, 252.0, goal=0.5)
        assert (rising["bust"], rising["goal"], rising["goal_return"]) == (0.0, 1.0, 0.5)


def test_a_recovery_is_counted_from_the_lowest_point_and_only_where_it_came():
    fall = np.array([0, -0.1, -0.3, -0.2, 0, -0.1, 0, -0.5, -0.4])
    assert recovery(fall) == 2.0
    assert recovery(np.array([-0.1, -0.2])) is None
    assert recovery(np.zeros(3)) is None


def test_rolling_volatility_is_that_of_pandas():
    values = np.random.default_rng(2).normal(0, 0.01, 200)
    expected = pd.Series(values).rolling(126).std() * math.sqrt(252)
    np.testing.assert_allclose(rolling_volatility(values, 126, 252.0), expected)
    assert np.isnan(rolling_volatility(values[:9], 126, 252.0)).all()
