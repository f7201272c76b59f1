"""A benchmark of another dataset: when it is bought, how it is laid beside a run, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.marketdata.engine.bars import BarPanel
from apps.strategies.engine.benchmarks import Benchmark
from apps.ui.engine.refusal import Refusal
from tests.strategies.test_backtesting import panel, run

START = np.datetime64("2010-01-04", "D")


def days(*offsets: int) -> np.ndarray:
    return (START + np.array(offsets, np.int64)).astype("datetime64[ns]")


def bench(times, open_, close=None, symbols=("IDX",), **more) -> BarPanel:
    rows = np.atleast_2d(np.array(open_, np.float64))
    closes = rows if close is None else np.atleast_2d(np.array(close, np.float64))
    fields = {"open": rows, "high": np.maximum(rows, closes), "low": np.minimum(rows, closes), "close": closes}
    return BarPanel(tuple(symbols), times, fields, currency="USD", name="index", content_hash="ab" * 32, **more)


def equity(data, times, symbol="", *, frequency="1d", rate=0.0):
    return Benchmark(data, "index@1", symbol).equity(times, frequency, 100.0, rate).tolist()


def test_it_is_bought_at_the_open_after_the_first_decision_with_all_money_and_the_cost_of_a_side():
    data = bench(days(0, 1, 2), [5, 10, 20], [7, 12, 30])
    assert equity(data, days(0, 1, 2), rate=0.25) == pytest.approx([100, 100 / 12.5 * 12, 100 / 12.5 * 30])


def test_another_calendar_is_aligned_by_date_with_the_newest_close_of_that_day_or_earlier():
    data = bench(days(0, 2, 3, 5), [10, 10, 20, 40], [10, 20, 40, 80])
    # Of the run's days 1 … 6 the benchmark trades 2, 3 and 5: bought at the open of day 2, day 4 shows day 3.
    assert equity(data, days(1, 2, 4, 5, 6)) == [100, 200, 400, 800, 800]


def test_intraday_bars_see_a_daily_close_on_the_last_bar_of_the_day_only():
    hours = np.array([14, 15], "timedelta64[h]")
    times = (days(0, 1, 2)[:, None] + hours).ravel()
    data = bench(days(0, 1, 2), [10, 10, 20], [10, 20, 40])
    assert equity(data, times, frequency="1h") == [100, 100, 100, 200, 200, 400]


def test_two_sets_of_intraday_bars_are_aligned_by_time():
    times = np.datetime64("2010-01-04T15:00", "ns") + np.arange(4) * np.timedelta64(1, "m")
    data = bench(times[1:], [10, 10, 20], [10, 20, 40], frequency="1m")
    assert equity(data, times, frequency="1m") == [100, 100, 200, 400]


def test_several_instruments_are_held_in_equal_parts_and_one_that_begins_late_waits_in_cash():
    nan = np.nan
    data = bench(days(0, 1, 2, 3), [[1, 1, 2, 2], [nan, nan, 4, 4]], [[1, 2, 2, 2], [nan, nan, 8, nan]], ("A", "B"))
    assert equity(data, days(0, 1, 2, 3)) == [100, 150, 200, 200]
    assert equity(data, days(0, 1, 2, 3), "B") == [100, 100, 200, 200]


@pytest.mark.parametrize("offsets", [(-9, -8), (20, 21), (-2, -1, 0), ()])
def test_a_benchmark_that_cannot_be_bought_within_the_run_is_refused_with_both_periods(offsets):
    data = bench(days(*offsets), np.ones(len(offsets)))
    with pytest.raises(Refusal) as refused:
        equity(data, days(0, 1, 2))
    assert (refused.value.code, refused.value.field) == ("benchmark_no_overlap", "benchmark_dataset")
    assert "2010-01-04 to 2010-01-06" in str(refused.value)


def test_an_unknown_symbol_is_refused_with_those_there_are():
    with pytest.raises(Refusal, match="NOPE is not in index"):
        equity(bench(days(0, 1), [1, 1]), days(0, 1), "NOPE")


def test_a_report_is_laid_against_it_and_says_what_it_is_and_how_much_of_the_run_it_covers():
    own = panel()
    other = replace(own.select(["BBB"], start=own.times[10], end=own.times[300]), name="index", content_hash="cd" * 32)
    found = run(benchmark=Benchmark(other, "index@3"))
    told = found["benchmark"]
    assert (told["name"], told["dataset"], told["content_hash"]) == ("BBB (index@3)", "index@3", "cd" * 32)
    assert (told["covered"], told["bars"], told["symbols"]) == (291, 400, 1)
    series = found["series"]["benchmark"]
    assert series[9] == 100_000.0
    assert series[-1] == pytest.approx(100_000.0 / (other.open[0, 0] * 1.001) * other.close[0, -1])
    assert found["headline"]["benchmark_return"] == pytest.approx(series[-1] / 100_000.0 - 1.0)
    assert found["benchmark_metrics"]["total_return"] == pytest.approx(series[-1] / 100_000.0 - 1.0)
    assert found["series"]["equity"] == run()["series"]["equity"]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_no_bar_shows_a_close_of_a_later_day(seed):
    """Change what lies after a day of the run: the curve up to it stays."""
    draw = np.random.default_rng(seed)
    own, other = (np.unique(draw.integers(0, 40, 15)) for _ in range(2))
    other = np.r_[other, 41]
    prices = draw.uniform(1.0, 9.0, (2, 2, len(other)))
    last = int(draw.integers(0, len(own)))
    later = prices.copy()
    later[:, :, other > own[last]] *= 3.0
    curves = [equity(bench(days(*other), p[0], p[1], ("A", "B")), days(*own, 50))[: last + 1] for p in (prices, later)]
    assert curves[0] == curves[1]
