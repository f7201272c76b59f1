"""Reference cases: what passes, what fails, what is left out, and that the difference shows."""

from __future__ import annotations

import gzip
import json
import math

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.ui.engine.refusal import Refusal
from quant_platform.reference import runner
from quant_platform.reference.compare import compare, missing
from quant_platform.reference.files import Files, Skip, Written, read_case
from quant_platform.reference.runner import run_cases

DAYS = [
    ("2020-01-02", 10, 10),
    ("2020-01-03", 10, 11),
    ("2020-01-06", 12, 12),
    ("2020-01-07", 12, 11),
    ("2020-01-08", 10, 10),
]
CASE = {
    "id": "hold", "kind": "backtest", "bars": {"file": "files/bars.csv", "format": "csv"}, "cash": 1000.0,
    "strategy": {"type": "buy_hold"}, "sizing": {"type": "fixed_shares", "shares": 10}, "signal": "close",
    "fill": "next_open", "costs": {"rate": 0.01}, "tolerance": {"relative": 1e-9}, "expect": {"final_equity": 999.0, "fills": 1},
}  # fmt: skip


@pytest.fixture
def area(tmp_path):
    """A folder of cases with its files beside it, and one of data."""
    for name in ("cases", "files", "data"):
        (tmp_path / name).mkdir()
    lines = ["date,open,close", *(f"{day},{o},{c}" for day, o, c in DAYS)]
    (tmp_path / "files" / "bars.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def put(area, **changes):
    case = {**CASE, **changes}
    (area / "cases" / f"{case['id']}.json").write_text(json.dumps(case), encoding="utf-8")


def run(area):
    return run_cases(area / "cases", area / "data")


def only(area, **changes):
    put(area, **changes)
    return run(area)["cases"][0]


class TestVerdicts:
    def test_a_case_that_holds_passes_with_its_worst_error(self, area):
        found = only(area)
        assert (found["passed"], found["skipped"], found["compared"]) == (True, False, 2)
        assert found["worst"]["error"] == 0

    def test_a_wrong_figure_fails_and_names_expected_and_actual(self, area):
        found = only(area, expect={"final_equity": 1000.0, "fills": 1})
        assert (found["passed"], found["skipped"]) == (False, False)
        assert "final_equity" in found["error"]
        assert found["worst"] == {
            "name": "final_equity",
            "expected": 1000.0,
            "actual": 999.0,
            "error": pytest.approx(0.001),
        }

    def test_a_figure_we_do_not_compute_leaves_the_case_out(self, area):
        found = only(area, expect={"final_equity": 999.0, "omens": 3})
        assert (found["passed"], found["skipped"]) == (False, True)
        assert "omens" in found["error"]
        assert only(area, expect={"omens": 3})["skipped"]

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"kind": "horoscope"}, "horoscope"),
            ({"strategy": {"type": "martingale"}}, "martingale"),
            ({"sizing": {"type": "kelly"}}, "kelly"),
            ({"sizing": {"type": "equity_fraction", "priced_at": "fill_open"}}, "signal"),
            ({"fill": "same_close"}, "same_close"),
            ({"signal": "open"}, "signal open"),
            ({"costs": {"borrow": 0.1}}, "borrow"),
            ({"protection": {"stop_loss": 0.1, "stop_first": False}}, "stop first"),
            ({"protection": {"stop_loss": 0.1, "of": "last price"}}, "last price"),
            ({"protection": {"stop_loss": 0.1, "armed": "at the close"}}, "at the close"),
            ({"start": "2021-01-01"}, "no bars"),
            ({"end": "2019-01-01"}, "no bars"),
            ({"strategy": {"type": "hold", "weights": {"XX": 1}}}, "XX"),
            ({"bars": {"file": "files/bars.csv", "format": "kdb"}}, "kdb"),
            ({"bars": {"file": "files/gone.csv"}}, "gone.csv"),
            ({"strategy": {"type": "top_k", "k": 1}}, "score"),
        ],
    )
    def test_what_lies_outside_the_vocabulary_is_left_out_with_the_reason(self, area, changes, reason):
        found = only(area, **changes)
        assert (found["passed"], found["skipped"]) == (False, True)
        assert reason in found["error"]

    def test_rules_in_words_we_do_not_know(self, area):
        case = {k: v for k, v in CASE.items() if k != "strategy"}
        (area / "cases" / "words.json").write_text(json.dumps({**case, "rules": "buy low"}), encoding="utf-8")
        assert "words" in run(area)["cases"][0]["error"]

    def test_a_broken_case_fails_and_the_others_still_run(self, area):
        put(area)
        (area / "cases" / "broken.json").write_text("{", encoding="utf-8")
        put(area, id="odd", costs={"rate": -1})
        put(area, id="worse", sizing={"type": "fixed_shares"})
        found = {c["id"]: c for c in run(area)["cases"]}
        assert found["hold"]["passed"]
        assert not found["broken"]["passed"]
        assert "negative" in found["odd"]["error"]
        assert "no shares" in found["worse"]["error"]

    def test_a_missing_library_leaves_out_and_a_missing_module_of_ours_fails(self, area, monkeypatch):
        monkeypatch.setitem(runner.HANDLERS, "horoscope", "no_such_library:run")
        assert "no_such_library is not installed" in only(area, kind="horoscope")["error"]
        monkeypatch.setitem(runner.HANDLERS, "horoscope", "quant_platform.no_such:run")
        found = only(area, kind="horoscope")
        assert (found["passed"], found["skipped"]) == (False, False)


class TestVocabulary:
    def test_a_ledger_and_an_equity_curve_are_compared_row_by_row(self, area):
        (area / "files" / "ledger.csv").write_text(
            "date,side,qty,price,fee\n2020-01-03,BUY,10,10,1.0\n", encoding="utf-8"
        )
        rows = [
            ("2020-01-02", 1000.0),
            ("2020-01-03", 1009.0),
            ("2020-01-06", 1019.0),
            ("2020-01-07", 1009.0),
            ("2020-01-08", 999.0),
        ]
        lines = ["date,equity", *(f"{d},{v}" for d, v in rows)]
        (area / "files" / "equity.csv").write_text("\n".join(lines), encoding="utf-8")
        expect = {"ledger": "files/ledger.csv", "equity": "files/equity.csv"}
        assert only(area, expect=expect)["passed"]
        (area / "files" / "ledger.csv").write_text(
            "date,side,qty,price,fee\n2020-01-03,SELL,10,10,1.0\n", encoding="utf-8"
        )
        assert "ledger.side[0]" in only(area, expect=expect)["error"]
        (area / "files" / "ledger.csv").write_text("date,side,qty,price,fee,moon\n", encoding="utf-8")
        assert "(length)" in only(area, expect=expect)["error"]

    def test_dates_bound_the_trading(self, area):
        found = only(area, start="2020-01-03", end="2020-01-07", expect={"final_equity": 1000 - 120 - 1.2 + 110})
        assert found["passed"], found

    def test_short_sides_lots_minimum_fees_and_taxes(self, area):
        expect = {"fills": 3, "round_trips": 1}
        changes = {
            "strategy": {"type": "sma_cross", "fast": 1, "slow": 2, "long_only": False},
            "costs": {"min": 2, "tax": 0.001},
        }
        assert only(area, expect=expect, **changes)["passed"]
        assert only(area, expect={"fills": 1}, costs={"lot": 10})["passed"]
        assert only(area, expect={"fills": 0}, costs={"lot": 100})["passed"]

    def test_several_instruments_by_score_equal_weight_and_given_weights(self, area):
        rows = [f"{day},{s},{o},{c},{x}" for day, o, c in DAYS for s, x in (("A", 1), ("B", 2))]
        (area / "files" / "long.csv").write_text("\n".join(["date,symbol,open,close,score", *rows]), encoding="utf-8")
        bars = {"file": "files/long.csv", "format": "long_csv"}
        sized = {"type": "target_weights", "invest": 0.9}
        common = {"bars": bars, "sizing": sized, "costs": {}}
        top = only(area, strategy={"type": "top_k", "k": 1}, expect={"fills": 4}, **common)
        assert top["compared"] == 1
        equal = only(area, strategy={"type": "equal_weight", "rebalance": 9}, expect={"fills": 2}, **common)
        assert equal["passed"], equal
        held = only(
            area,
            strategy={"type": "hold", "weights": {"B": 1.0}},
            expect={"fills": 1, "final_equity": 1000.0},
            **common,
        )
        assert held["passed"], held
        assert "several" in only(area, strategy={"type": "buy_hold"}, bars=bars)["error"]

    def test_packed_files_and_data_are_found(self, area):
        text = (area / "files" / "bars.csv").read_bytes()
        (area / "data" / "bars.csv.gz").write_bytes(gzip.compress(text))
        assert only(area, bars={"file": "bars.csv"})["passed"]
        assert only(area, bars={"file": "bars.csv.gz"})["passed"]

    def test_metrics_of_returns_and_of_prices(self, area):
        (area / "data" / "r.csv").write_text("date,ret\n1,0.1\n2,-0.05\n3,0.02\n", encoding="utf-8")
        case = {"kind": "metrics", "data": "r.csv", "tolerance": {"absolute": 1e-12}}
        assert only(area, **case, expect={"total_return": 1.1 * 0.95 * 1.02 - 1})["passed"]
        assert only(area, **case, risk_free=0.02, expect={"sharpe": 5.0})["error"].startswith("differs")
        assert only(area, **{**case, "data": "files/bars.csv"}, expect={"total_return": 0.0})["passed"]
        assert "known" in only(area, **case, expect={"luck": 1})["error"]
        (area / "data" / "r.csv").write_text("date,mood,luck\n1,0.1,2\n", encoding="utf-8")
        assert "neither" in only(area, **case, expect={"total_return": 0.1})["error"]


class TestComparing:
    FILES = Files(folder=None, data=None)  # type: ignore[arg-type]

    def differences(self, expect, actual, **tolerance):
        return {d.name: d.passed for d in compare(expect, actual, tolerance, self.FILES)}

    def test_relative_absolute_and_written_tolerance(self):
        assert self.differences({"a": 100.0}, {"a": 100.00000001}, relative=1e-9) == {"a": True}
        assert self.differences({"a": 100.0}, {"a": 100.000001}, relative=1e-9) == {"a": False}
        assert self.differences({"a": 1.0}, {"a": 1.4}, absolute=0.5) == {"a": True}
        assert self.differences({"a": 1.0, "b": 2.0}, {"a": 1.4, "b": 2.4}, a=0.5) == {"a": True, "b": False}
        assert self.differences({"a": Written("0.80")}, {"a": 0.8049}) == {"a": True}
        assert self.differences({"a": Written("0.80")}, {"a": 0.8051}) == {"a": False}

    def test_zero_and_nothing(self):
        assert self.differences({"a": 0.0}, {"a": 1e-13}, relative=1e-9) == {"a": True}
        assert self.differences({"a": 0.0}, {"a": 1e-9}, relative=1e-9) == {"a": False}
        assert self.differences({"a": 1.0}, {"a": None}, relative=1) == {"a": False}
        assert self.differences({"a": None}, {"a": None}) == {"a": True}
        assert self.differences({"a": math.nan}, {"a": math.nan}) == {"a": True}
        # JSON cannot write NaN: a null stands for it, in a series too.
        assert self.differences({"a": None, "b": [None, 1.0]}, {"a": math.nan, "b": [math.nan, 1.0]}) == {
            "a": True, "b": True,
        }  # fmt: skip
        assert self.differences({"a": None}, {"a": 0.0}) == {"a": False}
        assert self.differences({"a": math.nan}, {"a": 1.0}) == {"a": False}

    def test_series_trees_and_words(self):
        assert self.differences({"a": [1, [2.0, 3]]}, {"a": [1, [2.0, 3]]}) == {"a": True}
        assert self.differences({"a": [1, 2]}, {"a": [1]}, relative=1) == {"a (length)": False}
        assert self.differences({"t": {"x": 1, "y": "up"}}, {"t": {"x": 1, "y": "down"}}) == {"t.x": True, "t.y": False}
        assert self.differences({"a": ["x", None]}, {"a": ["x", 1]}) == {"a[1]": False}
        assert missing({"t": {"x": 1, "y": 1}, "z": 1}, {"t": {"x": 1}}) == ["t.y", "z"]


class TestCommand:
    def test_it_prints_one_document_and_ends_well(self, area, capsys):
        put(area)
        call_command("verify_reference", str(area / "cases"), "--data", str(area / "data"), "--json")
        found = json.loads(capsys.readouterr().out)
        assert (found["passed"], found["failed"], found["skipped"]) == (1, 0, 0)

    def test_a_failure_sets_the_exit_status(self, area, capsys):
        put(area, expect={"fills": 7})
        with pytest.raises(SystemExit):
            call_command("verify_reference", str(area / "cases"), "--data", str(area / "data"))
        assert "FAIL hold" in capsys.readouterr().out

    def test_what_was_left_out_is_no_failure(self, area, capsys):
        put(area, kind="horoscope")
        call_command("verify_reference", str(area / "cases"), "--data", str(area / "data"))
        assert "0 passed, 0 failed, 1 skipped" in capsys.readouterr().out

    @pytest.mark.parametrize("name", ["nowhere", "files"])
    def test_a_folder_that_is_not_one_is_refused(self, area, name):
        with pytest.raises(CommandError, match=r"folder|cases"):
            call_command("verify_reference", str(area / name))

    def test_a_case_without_its_keys_is_refused(self, area):
        (area / "cases" / "x.json").write_text('{"id": 1}', encoding="utf-8")
        with pytest.raises(Refusal):
            read_case(area / "cases" / "x.json")

    def test_an_absent_file_is_no_error_of_ours(self, area):
        with pytest.raises(Skip, match="absent"):
            Files(area / "cases", area / "data").path("files/none.csv")


@pytest.mark.data
@pytest.mark.parametrize("folder", ["backtest", "metrics"])
def test_the_published_figures_hold(reference, market_data, folder):
    found = run_cases(reference / folder, market_data)
    assert not [case for case in found["cases"] if not case["passed"] and not case["skipped"]]
    passed = {case["id"] for case in found["cases"] if case["passed"]}
    wanted = {
        "backtest": {
            "w1_fixed1000",
            "w1_fraction95",
            "w1_protected_next_bar",
            "w3_small",
            "backtrader-sma-cross-stock",
        },
        "metrics": {"daily_returns_1260", "chan-ige-sharpe", "qlib-csi300-benchmark"},
    }
    assert wanted[folder] <= passed


@pytest.mark.data
def test_lean_agrees(reference, market_data):
    found = run_cases(reference / "backtest" / "lean-spy-daily-buyhold.json", market_data)["cases"][0]
    assert (found["passed"], found["skipped"], found["error"]) == (True, False, "")
