"""Cases said in words, in other columns, or with parts left out: what they mean is found, and worked out here again."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from quant_platform.reference.runner import run_cases

DAYS = [f"2020-01-{day:02}" for day in range(2, 31)]
RNG = np.random.Generator(np.random.PCG64(7))
CLOSE = np.round(100 * np.exp(np.cumsum(RNG.normal(0, 0.02, len(DAYS)))), 2).tolist()
OTHER = np.round(50 * np.exp(np.cumsum(RNG.normal(0, 0.02, len(DAYS)))), 2).tolist()


@pytest.fixture
def area(tmp_path):
    for name in ("cases", "data"):
        (tmp_path / name).mkdir()
    return tmp_path


def write(area, name, header, rows):
    lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
    (area / "data" / name).write_text("\n".join(lines), encoding="utf-8")


def only(area, **case):
    (area / "cases" / "one.json").write_text(json.dumps({"id": "one", **case}), encoding="utf-8")
    return run_cases(area / "cases", area / "data")["cases"][0]


def changes(values):
    return [b / a - 1 for a, b in pairwise(values)]


def ratio(returns, year=252.0, free=0.0):
    excess = [r - free / year for r in returns]
    mean = sum(excess) / len(excess)
    return mean / math.sqrt(sum((r - mean) ** 2 for r in excess) / (len(excess) - 1)) * math.sqrt(year)


class TestMetrics:
    def test_the_words_name_column_sessions_and_what_is_free_of_risk(self, area):
        newest_first = list(zip(DAYS, OTHER, CLOSE, strict=True))[::-1]
        write(area, "a.csv", ["Date", "Close", "Adj Close"], newest_first)
        words = (
            "Adjusted close 2020-01-05..2020-01-20, daily returns minus 0.04/250, 250 a year, without the first bar."
        )
        wanted = ratio(changes(CLOSE[3:19]), 250, 0.04)
        found = only(
            area, kind="metrics", data="a.csv", rules=words, expect={"sharpe": wanted}, tolerance={"relative": 1e-9}
        )
        assert found["passed"], repr(found)

    def test_two_files_are_a_pair_of_half_the_money_each(self, area):
        write(area, "a.csv", ["date", "close"], zip(DAYS, CLOSE, strict=True))
        write(area, "b.csv", ["date", "close"], zip(DAYS, OTHER, strict=True))
        pair = [(a - b) / 2 for a, b in zip(changes(CLOSE), changes(OTHER), strict=True)]
        found = only(
            area, kind="metrics", data="a.csv + b.csv", rules="long the first, short the second",
            expect={"sharpe": ratio(pair)}, tolerance={"relative": 1e-9},
        )  # fmt: skip
        assert found["passed"], repr(found)

    def test_qlib_adds_returns_up_over_238_days(self, area):
        write(area, "a.csv", ["date", "close"], zip(DAYS, CLOSE, strict=True))
        returns = changes(CLOSE[4:])
        sums = np.cumsum(returns)
        wanted = {
            "annualized_return": sum(returns) / len(returns) * 238, "information_ratio": ratio(returns, 238),
            "max_drawdown": float((sums - np.maximum.accumulate(sums)).min()),
        }  # fmt: skip
        words = "sessions 2020-01-07..2020-01-30 (first return from 2020-01-06): mean*238, running SUM of returns"
        found = only(area, kind="metrics", data="a.csv", rules=words, expect=wanted, tolerance={"relative": 1e-9})
        assert found["passed"], repr(found)

    def test_a_single_column_of_numbers_holds_the_prices(self, area):
        write(area, "a.csv", ["date", "SPY"], zip(DAYS, CLOSE, strict=True))
        expect = {"total_return": CLOSE[-1] / CLOSE[0] - 1}
        assert only(area, kind="metrics", data="a.csv", expect=expect, tolerance={"relative": 1e-9})["passed"]

    def test_a_gap_is_no_observation(self, area):
        gappy = [CLOSE[0], "", *CLOSE[2:]]
        write(area, "a.csv", ["date", "close"], zip(DAYS, gappy, strict=True))
        wanted = ratio(changes([CLOSE[0], *CLOSE[2:]]))
        found = only(area, kind="metrics", data="a.csv", expect={"sharpe": wanted}, tolerance={"relative": 1e-9})
        assert found["passed"], repr(found)

    def test_bounds_hold_for_the_benchmark_as_well(self, area):
        returns, bench = changes(CLOSE), changes(OTHER)
        write(area, "a.csv", ["date", "ret", "bench"], zip(DAYS[1:], returns, bench, strict=True))
        over = [a - b for a, b in zip(returns[4:], bench[4:], strict=True)]
        found = only(
            area, kind="metrics", data="a.csv", start=DAYS[5], expect={"info_ratio": ratio(over)},
            tolerance={"relative": 1e-9},
        )  # fmt: skip
        assert found["passed"], repr(found)


class TestPortfolio:
    WORDS = "mu=(prod(1+r))^(252/n)-1; S=pairwise cov*252; long-only; rf=0.02; "

    def test_a_wanted_return_and_a_wanted_volatility_lie_on_the_frontier(self, area):
        rng = np.random.Generator(np.random.PCG64(3))
        prices = np.round(100 * np.exp(np.cumsum(rng.normal([0.001, 0.0003], [0.02, 0.01], (300, 2)), axis=0)), 4)
        write(area, "p.csv", ["date", "A", "B"], ((f"d{i}", *row) for i, row in enumerate(prices.tolist())))
        returns = prices[1:] / prices[:-1] - 1
        mean, cov = np.prod(1 + returns, axis=0) ** (252 / 299) - 1, np.cov(returns.T) * 252
        # With two assets the wanted return alone tells the weights.
        weights = np.where(mean == mean.max(), 0.9, 0.1)
        target, vol = float(mean @ weights), math.sqrt(weights @ cov @ weights)
        for words in (f"target return {target:.9f}", f"target volatility {vol:.9f}"):
            found = only(
                area, kind="portfolio", data="p.csv", rules=self.WORDS + words, expect={"ret": target, "vol": vol},
                tolerance={"relative": 1e-5},
            )  # fmt: skip
            assert found["passed"], repr(found)
        found = only(area, kind="portfolio", data="p.csv", rules=self.WORDS + "target return 99.5", expect={"ret": 1.0})
        assert "no portfolio" in found["error"]

    @pytest.mark.parametrize(("free", "keys"), [(0.05, {}), (0.02, {"risk_free": 0.02})])
    def test_the_most_for_the_risk_is_measured_from_what_the_words_call_free(self, area, free, keys):
        steps = np.array([[0.03, 0.01], [-0.01, 0.02], [0.02, -0.01], [0.01, 0.0]] * 5)
        prices = 100 * np.cumprod(1 + np.vstack([[0, 0], steps]), axis=0)
        write(area, "p.csv", ["date", "A", "B"], ((f"d{i}", *row) for i, row in enumerate(prices.tolist())))
        mean, cov = np.prod(1 + steps, axis=0) ** (252 / 20) - 1, np.cov(steps.T) * 252
        part = np.linalg.solve(cov, mean - free)  # the tangency portfolio, long in both
        assert (part > 0).all()
        weights = part / part.sum()
        vol = math.sqrt(weights @ cov @ weights)
        found = only(
            area, kind="portfolio", data="p.csv", rules="long-only, maximum Sharpe ratio; rf=0.05", **keys,
            expect={"ret": float(mean @ weights), "sharpe": float(mean @ weights - free) / vol},
            tolerance={"relative": 1e-6},
        )  # fmt: skip
        assert found["passed"], repr(found)


class TestBacktest:
    def test_day_and_time_in_two_columns_and_other_names_of_costs(self, area):
        rows = [("2020-01-02", f"09:{minute:02}:00", price, price) for minute, price in enumerate((10, 10, 12))]
        write(area, "m.csv", ["Date", "Time", "Open", "Close"], rows)
        found = only(
            area, kind="backtest", bars={"file": "m.csv", "format": "csv"}, cash=1000.0, strategy={"type": "buy_hold"},
            sizing={"type": "fixed_shares", "shares": 10}, costs={"commission_rate": 0.001, "min_fee": 5},
            expect={"final_equity": 1000 - 5 + 20, "fees": 5.0}, tolerance={"relative": 1e-9},
        )  # fmt: skip
        assert found["passed"], repr(found)


class TestSlippage:
    """One share of a bar's volume, one price: what each model makes of it, worked out by hand."""

    def case(self, area, **more):
        rows = [(f"2020-01-0{day}", price, price, 1000) for day, price in ((2, 10), (3, 10), (6, 11), (7, 11))]
        write(area, "v.csv", ["date", "open", "close", "volume"], rows)
        return only(
            area, **{"kind": "backtest", "bars": {"file": "v.csv", "format": "csv"}, "cash": 10_000.0,
                     "strategy": {"type": "buy_hold"}, "sizing": {"type": "fixed_shares", "shares": 200},
                     "tolerance": {"relative": 1e-9}, **more},
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("costs", "price"),
        [
            ({"slippage": {"type": "fixed", "rate": 0.002}}, 10 * 1.002),
            ({"slippage": {"type": "spread", "spread": 0.04}}, 10.02),
            ({"spread": 0.04}, 10.02),
            ({"slippage": {"model": "volume_share", "impact": 0.1}}, 10 * (1 + 0.1 * 0.2**2)),
            ({"slippage": {"type": "square_root", "factor": 1.0}}, 10.0),  # no volatility before the second bar
        ],
    )
    def test_each_model_under_its_names(self, area, costs, price):
        found = self.case(area, costs=costs, expect={"final_equity": 10_000 - 200 * price + 200 * 11})
        assert found["passed"], repr(found)

    def test_a_share_of_the_volume_is_bought_a_bar(self, area):
        found = self.case(area, participation=0.1, expect={"final_equity": 10_000 - 1000 - 1100 + 2200, "fills": 2})
        assert found["passed"], repr(found)

    @pytest.mark.parametrize("slippage", [{"type": "guess", "rate": 1}, {"type": "spread"}, {"type": "fixed", "x": 1}])
    def test_a_model_that_nobody_knows_is_left_out_loudly(self, area, slippage):
        found = self.case(area, costs={"slippage": slippage}, expect={"final_equity": 1.0})
        assert found["skipped"]
        assert "is not covered" in found["error"]


class TestTopk:
    @pytest.mark.parametrize(
        ("region", "held"), [({}, 95_000 // 30 * 30), ({"region": "cn"}, 95_000 // 30 // 100 * 100 * 30)]
    )
    def test_what_a_case_leaves_out_is_the_regions(self, area, region, held):
        days = DAYS[:2]
        write(
            area,
            "p.csv",
            ["instrument", "datetime", "close", "factor", "change"],
            (("A", day, 29 + n, 1, 0) for n, day in enumerate(days)),
        )
        write(area, "s.csv", ["datetime", "instrument", "score"], ((day, "A", 1) for day in days))
        cost = max(held * 0.0005, 5)
        found = only(
            area, kind="topk_dropout", data="p.csv", scores="s.csv",
            config={"ex": {}, "st": {"topk": 1, "n_drop": 1}, "acct": 100_000, **region},
            expect={"final_account": 100_000 - cost, "total_cost": cost}, tolerance={"relative": 1e-9},
        )  # fmt: skip
        assert found["passed"], repr(found)


class TestWhatNobodyReads:
    def test_a_slip_is_named_beside_the_result_with_what_was_meant(self, area):
        ask = {"market": "CN", "board": "main", "date": "2024-01-02", "prev_close": 10, "ipo_dya": 1}
        found = only(area, kind="market_rule", ask=ask, expect={"limit_up": 11}, verison=2)
        assert found["passed"]
        assert found["unread"] == ["verison", "ask.ipo_dya (did you mean ipo_day?)"]

    def test_what_lacks_a_key_says_which(self, area):
        found = only(area, kind="market_rule", expect={"limit_up": 11})
        assert "no ask in the case" in found["error"]

    @pytest.mark.parametrize(
        ("more", "why"),
        [
            ({"kind": 3}, "kind"), ({"expect": {}}, "expect"), ({"expect": None}, "expect"),
            ({"strategy": "sma"}, "strategy"), ({"ask": []}, "ask"), ({"tolerance": 0.1}, "tolerance"),
        ],
    )  # fmt: skip
    def test_a_part_of_another_shape_is_refused_by_its_name(self, area, more, why):
        found = only(area, **{"kind": "backtest", "expect": {"fills": 1}, **more})
        assert not found["passed"]
        assert why in found["error"].partition("reference case: ")[2]
