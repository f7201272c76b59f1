"""The report: a verdict by named gates, sentences by rule, and nothing that JSON cannot hold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from apps.trading.engine.backtest import Bars, Depth, Options, run_rule, run_targets
from apps.trading.engine.costs import Costs
from apps.trading.engine.report import (
    BASELINES,
    FINDINGS,
    GATES,
    REASONS,
    REFUSED,
    STRESS,
    VERDICTS,
    Baseline,
    Setting,
    build,
    findings,
    text,
)  # fmt: skip
from apps.trading.engine.report.curves import day_texts, drawn_positions, monthly_table, rounded
from apps.trading.engine.report.verdict import judge
from apps.trading.engine.trades import Trade

GOOD = {"beats_benchmark": 0.1, "drawdown": -0.25, "sharpe": 1.0, "double_costs": 0.01, "trades": 30.0, "unseen": 1.0,
        "leaks": 0.0, "deflated": 0.95}  # fmt: skip


class TestVerdict:
    def test_every_gate_passed_is_a_pass(self):
        found = judge(GOOD)
        assert found["word"] == "pass"
        assert [gate["name"] for gate in found["gates"]] == list(GATES)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("beats_benchmark", 0.0),
            ("drawdown", -0.2501),
            ("sharpe", None),
            ("sharpe", 0.0),
            ("double_costs", -0.1),
            ("leaks", 1.0),
        ],
    )
    def test_a_failed_gate_of_merit_fails(self, name, value):
        found = judge({**GOOD, name: value})
        assert found["word"] == "fail"
        assert [gate["name"] for gate in found["gates"] if not gate["passed"]] == [name]

    @pytest.mark.parametrize(("name", "value"), [("trades", 29.0), ("unseen", 0.99), ("deflated", 0.94)])
    def test_too_little_evidence_is_not_yet(self, name, value):
        assert judge({**GOOD, name: value})["word"] == "not_yet"


class TestFindings:
    def sentence(self, found) -> str:
        assert len(found) == 1
        return text(found[0])

    def test_each_has_a_sentence_that_takes_its_parameters(self):
        for code, (msgid, formats) in FINDINGS.items():
            assert msgid.endswith(".")
            assert all(f"%({name})s" in msgid for name in formats), code

    def test_against_the_benchmark(self):
        assert (
            self.sentence(findings.about_equity(0.2, 0.1, 3))
            == "It earned 20.0% after costs, 10.0 points more than the benchmark."
        )
        assert "less than the benchmark" in self.sentence(findings.about_equity(0.1, 0.2, 3))
        assert self.sentence(findings.about_equity(-0.1, -0.3, 3)).startswith("It lost 10.0% after costs while")
        assert self.sentence(findings.about_equity(0.0, 0.3, 0)) == "The strategy never traded."
        assert findings.about_equity(0.1, 0.1, 3) == []

    def test_the_deepest_fall_with_its_days(self):
        days = ["d0", "d1", "d2", "d3", "d4"]
        healed = self.sentence(findings.about_drawdown(np.array([0, 0, -0.2, -0.1, 0]), days))
        assert healed == "The deepest fall, 20.0% from d1 to d2, was made good on d4."
        assert "not made good" in self.sentence(findings.about_drawdown(np.array([-0.1, -0.2, -0.1]), days))
        assert findings.about_drawdown(np.zeros(3), days) == []

    def test_months_and_rolling(self):
        table = [{"months": [0.1, -0.1, None, 0.2]}]
        assert self.sentence(findings.about_months(table)) == "2 of 3 months ended with a gain."
        assert findings.about_months([{"months": [0.1]}]) == []
        assert "50.0%" in self.sentence(findings.about_rolling([None, 1.0, -1.0]))
        assert findings.about_rolling([None]) == []

    def test_costs(self):
        assert [f["code"] for f in findings.about_costs(0.2, 0.1, 0.05)] == ["costs_took", "late_costs"]
        assert [f["code"] for f in findings.about_costs(0.1, -0.1, -0.1)] == ["costs_turned"]
        assert findings.about_costs(0.1, 0.1, 0.1) == []
        assert findings.about_costs(-0.1, -0.2, -0.2) == []

    def test_a_handful_of_trades_that_carry_everything(self):
        def trades(*pnl):
            return [Trade(0, 1, 1, 0, 1, 1, 1, 0, p, 0) for p in pnl]

        assert "best 5 of 11" in self.sentence(findings.about_trades(trades(*[10] * 5, *[-5] * 6)))
        assert findings.about_trades(trades(*[10] * 11)) == []
        assert findings.about_trades(trades(*[-1] * 11)) == []


class TestCurves:
    def test_drawn_points_keep_ends_and_extremes(self):
        equity = np.random.default_rng(0).normal(size=50_000)
        other = np.random.default_rng(1).normal(size=50_000)
        kept = drawn_positions(equity, other)
        assert len(kept) <= 2_000
        assert {0, 49_999, int(equity.argmin()), int(equity.argmax()), int(other.argmin())} <= set(kept.tolist())
        assert drawn_positions(equity[:10], other[:10]).tolist() == list(range(10))

    def test_the_months_compound_to_the_year(self):
        times = np.arange("2011-11-15", "2012-02-10", dtype="datetime64[D]").astype("datetime64[ns]")
        equity = np.linspace(100, 200, len(times))
        rows = monthly_table(times, equity, 100.0)
        assert [row["year"] for row in rows] == [2011, 2012]
        assert rows[0]["months"][:10] == [None] * 10
        total = np.prod([1 + v for row in rows for v in row["months"] if v is not None])
        assert total == pytest.approx(2.0)
        assert (1 + rows[0]["total"]) * (1 + rows[1]["total"]) == pytest.approx(2.0)

    def test_a_month_after_ruin_is_undefined(self):
        times = np.array(["2012-01-31", "2012-02-28"], "datetime64[ns]")
        assert monthly_table(times, np.array([0.0, 0.0]), 100.0)[0]["months"][:2] == [-1.0, None]

    def test_texts_of_times(self):
        times = np.array(["2012-01-31T09:31"], "datetime64[ns]")
        assert day_texts(times, True) == ["2012-01-31"]
        assert day_texts(times, False) == ["2012-01-31T09:31:00Z"]

    def test_what_is_undefined_is_null(self):
        assert rounded([1.23456789012, None, float("nan"), float("inf")]) == [1.2345679, None, None, None]


def report(targets=None, close=None, costs=None, unseen=1.0, frequency="1d", volume=None):
    close = (
        np.round(100 * np.exp(np.cumsum(np.random.default_rng(2).normal(0.001, 0.01, 500))), 2)
        if close is None
        else close
    )
    bars = Bars.of(close, close)
    options = Options(capital=10_000, fraction=0.9, cash_short="reduce")
    costs = costs or Costs(rate=0.001)
    times = np.datetime64("2011-01-03", "ns") + np.arange(len(close)) * np.timedelta64(1, "D")
    wanted = (np.arange(len(close)) // 5 % 2).astype(np.int8) if targets is None else targets

    def rerun(costs, delay, participation=0.0):
        late = np.concatenate([np.zeros(delay, np.int8), wanted[: len(wanted) - delay]])
        depth = None if volume is None else Depth.of(volume, close)
        return run_targets(late, bars, costs, replace(options, participation=participation), depth=depth)

    setting = Setting(
        strategy={"type": "rule"}, symbols=["A"], times=times, all_times=times, frequency=frequency, bars_per_year=252.0,
        currency="USD", dataset="demo", capital=10_000.0, costs=costs, fill_rule={}, benchmark={"symbol": ""}, unseen=unseen,
        volume=None if volume is None else np.atleast_2d(volume),
    )  # fmt: skip
    held = run_rule("buy_and_hold", {}, bars, costs, options).equity
    steps = []
    document = build(setting, rerun(costs, 0), held, [Baseline("buy_and_hold", held)], rerun, lambda: steps.append(1))
    assert 4 <= len(steps) <= 40
    return document, rerun


class TestDocument:
    def test_it_says_what_it_earns_where_no_order_may_take_more_of_a_bar(self):
        document, rerun = report(volume=np.full(500, 300.0))
        rows = document["robustness"]["participation"]
        assert [row["share"] for row in rows] == [0.05, 0.1, 0.25, 0.5]
        for row in rows:
            again = rerun(Costs(rate=0.001), 0, row["share"])
            assert row["total_return"] == pytest.approx(again.equity[-1] / 10_000 - 1)
        assert rows[0]["total_return"] != rows[-1]["total_return"]
        assert report()[0]["robustness"]["participation"] == []

    def test_what_slippage_took_is_a_case_of_its_own_where_there_is_any(self):
        costs = Costs(rate=0.001, slippage=0.002, spread=0.01)
        document, rerun = report(costs=costs)
        row = document["stress"][-1]
        assert row["name"] == "no_slippage"
        assert row["total_return"] == pytest.approx(rerun(Costs(rate=0.001), 0).equity[-1] / 10_000 - 1)
        assert document["stress"][1]["total_return"] < row["total_return"] < document["stress"][0]["total_return"]
        assert "no_slippage" not in [row["name"] for row in report()[0]["stress"]]

    def test_it_is_json_without_nan(self):
        document, _ = report()
        assert json.loads(json.dumps(document, allow_nan=False)) == document

    def test_its_figures_are_those_of_the_run(self):
        document, rerun = report()
        run = rerun(Costs(rate=0.001), 0)
        assert document["headline"]["final_equity"] == run.equity[-1]
        assert document["headline"]["fees"] == run.fees
        assert document["fills"] == len(run.ledger)
        assert document["series"]["equity"] == run.equity.tolist()
        assert len(document["trades"]) == document["headline"]["closed_trades"] == document["metrics"]["trades"]
        assert sum(t["pnl"] for t in document["trades"] + document["open_positions"]) == pytest.approx(
            run.equity[-1] - 10_000 - _unrealised(document, run)
        )

    def test_stress_reprices_the_same_decisions(self):
        document, rerun = report()
        rows = {row["name"]: row for row in document["stress"]}
        assert list(rows) == [name for name in STRESS if name != "no_slippage"]
        assert rows["no_costs"]["fees"] == 0
        assert rows["no_costs"]["total_return"] > rows["costs"]["total_return"] > rows["double_costs"]["total_return"]
        assert rows["one_bar_late"]["total_return"] == pytest.approx(
            rerun(Costs(rate=0.001), 1).equity[-1] / 10_000 - 1
        )

    def test_the_break_even_cost_earns_nothing(self):
        document, rerun = report()
        found = document["break_even"]
        assert found["state"] == "found"
        assert rerun(Costs(rate=found["bp"] * 1e-4), 0).equity[-1] >= 10_000
        assert rerun(Costs(rate=(found["bp"] + 0.3) * 1e-4), 0).equity[-1] <= 10_000

    def test_a_loser_has_no_break_even_and_a_giant_none_below_the_highest(self):
        falling, _ = report(np.ones(300, np.int8), np.linspace(100, 50, 300).round(2))
        assert falling["break_even"]["state"] == "never"
        rising, _ = report(np.ones(300, np.int8), np.linspace(10, 500, 300).round(2))
        assert rising["break_even"]["state"] == "above"
        assert rising["metrics"]["break_even"] is None

    def test_a_strategy_that_never_trades_says_so(self):
        document, _ = report(np.zeros(500, np.int8))
        assert document["findings"][0]["code"] == "no_trades"
        assert document["verdict"]["word"] == "fail"
        assert document["metrics"]["sharpe"] is None
        assert document["metrics"]["exposure"] == 0
        json.dumps(document, allow_nan=False)

    def test_every_code_in_it_has_words(self):
        document, _ = report()
        assert document["verdict"]["word"] in VERDICTS
        assert set(document["baselines"]) <= set(BASELINES)
        assert {t["reason"] for t in document["trades"]} <= set(REASONS)
        assert set(document["refused"]) <= set(REFUSED)
        for finding in document["findings"]:
            assert text(finding)

    def test_times_of_intraday_bars_carry_the_second(self):
        document, _ = report(frequency="1m")
        assert document["trades"][0]["entry_time"].endswith("Z")
        assert document["curves"]["times"][0] == "2011-01-03T00:00:00Z"


def _unrealised(document, run) -> float:
    return sum(
        t["quantity"] * (run_close - t["entry_price"]) for t in document["open_positions"] for run_close in [_last(run)]
    )


def _last(run) -> float:
    return (run.equity[-1] - run.cash[-1]) / run.position[0, -1] if run.position[0, -1] else 0.0
