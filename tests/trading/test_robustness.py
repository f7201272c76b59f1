"""Chance, regimes, crises, volume: known answers and nothing where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest

from apps.trading.engine import robustness as r
from apps.trading.engine import tearsheet as t
from apps.trading.engine.backtest import LEDGER
from apps.trading.engine.trades import Trade


def trades(*pnl):
    return [Trade(0, 1, 10.0, i, 100.0, i + 2, 101.0, 1.0, float(p), 0) for i, p in enumerate(pnl)]


def test_the_same_seed_gives_the_same_draws_and_only_wins_never_lose():
    flat = np.full(9, 100.0)
    found = r.monte_carlo_trades(trades(1, 2, 3, 4, 5), flat, 100.0)
    assert found == r.monte_carlo_trades(trades(1, 2, 3, 4, 5), flat, 100.0)
    assert (found["loss"], found["bust"], found["drawdown"]["5"]) == (0.0, 0.0, 0.0)
    assert 1.01**5 - 1 <= found["return"]["5"] <= found["return"]["95"] <= 1.05**5 - 1
    assert r.monte_carlo_trades(trades(1, 2), flat, 100.0) is None


def test_what_a_trade_made_is_measured_by_the_account_before_it_and_no_draw_loses_more_than_all():
    # The account grows tenfold; a loss of 300 at its end is three tenths of it, not three times the capital.
    equity = np.array([100.0, 1000.0, 1000.0, 1000.0, 1000.0, 1000.0, 700.0])
    lost = [Trade(0, 1, 10.0, bar, 100.0, bar + 1, 70.0, 1.0, -300.0, 0) for bar in (13, 13, 13, 14, 14)]
    found = r.monte_carlo_trades(lost, equity, 100.0, first=10)
    assert found["return"]["50"] == pytest.approx(0.7**5 - 1)
    assert found["drawdown"]["5"] == pytest.approx(0.7**5 - 1)
    gone = [Trade(0, 1, 10.0, 10, 100.0, 12, 1.0, 1.0, -900.0, 0)] * 5
    assert r.monte_carlo_trades(gone, equity, 100.0, first=10)["return"]["5"] == -1.0


def test_the_bootstrap_finds_an_edge_unlikely_by_chance_and_noise_likely():
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 0.01, 600)
    assert r.block_bootstrap(noise + 0.002, 252)["p_value"] < 0.01
    assert 0.05 < r.block_bootstrap(noise - noise.mean(), 252)["p_value"] < 0.95
    assert r.block_bootstrap(np.zeros(100), 252) is None
    assert r.block_bootstrap(noise[:10], 252) is None


def test_blocks_keep_neighbours_together():
    drawn = r.stationary_indices(1000, 10, 4, np.random.default_rng(0))
    together = (np.diff(drawn, axis=1) % 1000 == 1).mean()
    assert 0.85 < together < 0.95
    assert (drawn.min(), drawn.max()) >= (0, 0)


def test_regimes_share_out_every_bar_after_the_first_window():
    rng = np.random.default_rng(2)
    own, bench = rng.normal(0, 0.01, (2, 400))
    rows = r.regimes(own, bench, 252)
    assert sum(row["bars"] for row in rows) == 400 - 63
    assert r.regimes(own[:100], bench[:100], 252) == []


def test_a_regime_is_known_before_its_bar():
    rng = np.random.default_rng(2)
    own, bench = rng.normal(0, 0.01, (2, 400))
    later = bench.copy()
    later[-1] = 0.5
    names = [row["bars"] for row in r.regimes(own, bench, 252)]
    assert names == [row["bars"] for row in r.regimes(own, later, 252)]


def test_only_crises_covered_whole_are_shown():
    times = np.arange("2019-06-01", "2020-06-01", dtype="datetime64[D]")
    equity = np.where(times < np.datetime64("2020-03-01"), 100.0, 80.0)
    (row,) = r.crisis_windows(times, equity, np.full(len(times), 100.0))
    assert (row["name"], row["total_return"], row["benchmark_return"]) == ("covid", pytest.approx(-0.2), 0.0)


def test_falls_are_listed_deepest_first_and_the_last_may_be_open():
    fall = np.array([0, -0.1, 0, 0, -0.3, -0.2, 0, -0.05])
    rows = r.drawdown_periods(list("abcdefgh"), fall)
    assert [(row["peak"], row["trough"], row["recovered"]) for row in rows] == [
        ("d", "e", "g"),
        ("a", "b", "c"),
        ("g", "h", None),
    ]
    assert r.drawdown_periods(["a"], np.zeros(1)) == []


def test_participation_says_what_fits():
    ledger = np.zeros(2, LEDGER)
    ledger["bar"], ledger["quantity"], ledger["price"] = [0, 1], [10, 50], 1.0
    rows = r.participation(ledger, np.array([[100.0, 100.0]]))
    assert [row["share"] for row in rows] == list(r.SHARES)
    assert rows[-1]["filled"] == 1.0
    assert rows[1] == {
        "share": 0.10,
        "filled": pytest.approx((10 + 10) / 60),
        "orders": 0.5,
        "capital": pytest.approx(0.2),
    }
    assert r.participation(ledger, None) == []
    assert r.participation(ledger, np.full((1, 2), np.nan)) == []


def test_periods_compound_and_trailing_returns_need_their_span():
    times = np.arange("2020-01-30", "2020-03-02", dtype="datetime64[D]")
    returns = np.full(len(times), 0.01)
    months = t.by_period(returns, times, "M")
    assert months == pytest.approx([1.01**2 - 1, 1.01**29 - 1, 0.01])
    found = t.more_metrics(returns, times, 252)
    assert found["return_mtd"] == pytest.approx(0.01)
    assert found["return_3m"] is None
    assert found["longest_wins"] == len(times)


def test_figures_of_nothing_are_undefined_and_never_nan():
    for values in (np.empty(0), np.zeros(5), np.array([0.1])):
        times = np.arange("2020-01-01", "2020-01-10", dtype="datetime64[D]")[: len(values)]
        assert all(v is None or np.isfinite(v) for v in t.more_metrics(values, times, 252, values).values())
    assert t.more_trade_metrics([], 10)["expectancy"] is None


def test_trades_are_grouped_with_the_most_profitable_first():
    rows = t.by_symbol([*trades(1, -3), *trades(5)], ["A"])
    assert rows == [{"name": "A", "trades": 3, "won": 2, "pnl": 3.0, "fees": 3.0}]
    assert t.more_trade_metrics(trades(1, 2, -1), 10)["winning_streak"] == 2
