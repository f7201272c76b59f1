"""The published cases hold, and the runner knows their vocabulary."""

from __future__ import annotations

import json

import pytest

from quant_platform.reference.runner import run_cases


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["qlib/alpha158_aapl", "qlib/alpha360_aapl", "qlib/ic_dj30", "indicators/indicators_w1"]
)
def test_the_case_holds(reference, market_data, name):
    (case,) = run_cases(reference / f"{name}.json", market_data)["cases"]
    assert case["passed"], (case["error"], case["worst"])


@pytest.fixture
def verify(tmp_path):
    def run(kind, expect, **rest):
        (tmp_path / "cases").mkdir(exist_ok=True)
        case = {
            "id": "made",
            "kind": kind,
            "data": "bars.csv",
            "expect": expect,
            "tolerance": {"absolute": 1e-6},
            **rest,
        }
        path = tmp_path / "cases" / "made.json"
        path.write_text(json.dumps(case))
        return run_cases(path, tmp_path)["cases"][0]

    (tmp_path / "bars.csv").write_text(
        "date,symbol,close\n2024-01-01,A,1\n2024-01-02,A,2\n2024-01-03,A,4\n"
        "2024-01-01,B,1\n2024-01-02,B,1\n2024-01-03,B,3\n2024-01-01,C,1\n2024-01-02,C,2\n2024-01-03,C,1\n"
    )
    (tmp_path / "scores.csv").write_text("datetime,instrument,score\n2024-01-01,A,2\n2024-01-01,B,3\n2024-01-01,C,1\n")
    return run


def test_expressions_by_name_and_rows_named_by_symbol_and_time(verify, tmp_path):
    (tmp_path / "want.csv").write_text("datetime,instrument,up\n2024-01-03,B,2\n2024-01-02,A,1\n")
    assert verify("features", {"values": "want.csv"}, expressions={"up": "$close/Ref($close,1)-1"})["passed"]
    assert not verify("features", {"values": "want.csv"}, expressions={"up": "$close"})["passed"]


def test_a_signal_against_a_label_of_its_own(verify):
    found = verify("signal", {"RankIC": 1.0}, scores="scores.csv", label="Ref($close, -2)/Ref($close, -1)-1")
    assert found["passed"], found


def test_an_indicator_with_windows_of_the_case(verify, tmp_path):
    (tmp_path / "bars.csv").write_text("date,close\n2024-01-01,1\n2024-01-02,2\n2024-01-03,6\n")
    (tmp_path / "want.csv").write_text("date,ma2\n2024-01-01,\n2024-01-02,1.5\n2024-01-03,4\n")
    assert verify("indicators", {"values": "want.csv"}, columns=["ma2"])["passed"]
    assert verify("indicators", {"values": "want.csv"}, columns=["ma2"], params={"ma": [2]})["passed"]


@pytest.mark.parametrize(
    ("kind", "rest"), [("features", {"handler": "Alpha7"}), ("features", {}), ("indicators", {"columns": ["magic"]})]
)
def test_what_is_outside_the_vocabulary_is_left_out_with_its_reason(verify, kind, rest):
    found = verify(kind, {"x": 1}, **rest)
    assert found["skipped"]
    assert found["error"]
