"""The checks against real data: the reference cases, and the splits in the built-in set."""

from __future__ import annotations

import json

import pytest

from apps.marketdata.engine.builtin import builtin_catalogue
from apps.marketdata.engine.quality import check_panel, guess_calendar
from apps.marketdata.engine.readers import ReadOptions, read_bars
from tests.conftest import REFERENCE

CASES = sorted((REFERENCE / "quality").glob("*.json")) if REFERENCE.is_dir() else []


@pytest.mark.data
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_reference_case(path, market_data):
    case = json.loads(path.read_text())
    imported = read_bars(market_data / case["data"], ReadOptions(lenient=True))
    report = check_panel(
        imported.panel, lines=imported.lines, calendar=guess_calendar(imported.panel), reader_findings=imported.findings
    )

    def reported(wanted):
        keys = {key: value for key, value in wanted.items() if key != "why"}
        return any(all(getattr(finding, key) == value for key, value in keys.items()) for finding in report.findings)

    assert [wanted for wanted in case["must_report"] if not reported(wanted)] == []
    assert [wanted for wanted in case["must_not_report"] if reported(wanted)] == []


def test_the_built_in_raw_set_shows_its_three_splits_and_the_adjusted_one_none():
    raw, adjusted = (item.imported for item in builtin_catalogue())
    findings = check_panel(raw.panel, lines=raw.lines, calendar="XNYS").findings
    splits = {(f.symbol, f.date, f.params["ratio"], f.severity) for f in findings if f.check == "split_like_jump"}
    assert splits == {
        ("AAPL", "2000-06-21", "2:1", "error"), ("AAPL", "2005-02-28", "2:1", "error"),
        ("MSFT", "2003-02-18", "2:1", "error"),
    }  # fmt: skip
    (payout,) = [f for f in findings if f.check == "dividend_not_applied"]
    assert (payout.symbol, payout.date) == ("MSFT", "2004-11-15")
    report = check_panel(adjusted.panel, lines=adjusted.lines, calendar="XNYS")
    assert [(f.check, f.date) for f in report.findings] == [("large_move", "2000-09-29")]
    assert set(report.gaps.values()) == {0}
