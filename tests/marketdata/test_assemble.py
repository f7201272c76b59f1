"""Rows become a panel: sorted, on one time axis, nothing twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apps.marketdata.engine import assemble as module
from apps.marketdata.engine.assemble import RawBars, assemble, stamped_at_end
from apps.ui.engine.refusal import Refusal


def rows(*bars, file="a.csv", daily=True) -> RawBars:
    """Bars as (symbol, day, close)."""
    close = np.array([bar[2] for bar in bars], dtype=float)
    return RawBars(
        file=file,
        line=np.arange(len(bars), dtype=np.int64) + 2,
        symbol=np.array([bar[0] for bar in bars], dtype=object),
        time=np.array([bar[1] for bar in bars], dtype="datetime64[ns]"),
        fields=dict.fromkeys(("open", "high", "low", "close"), close),
        daily=daily,
    )


def test_symbols_are_sorted_and_absent_bars_are_nan():
    made = assemble([rows(("B", "2024-01-02", 2), ("A", "2024-01-03", 3), ("B", "2024-01-03", 4))], currency="USD")
    assert made.panel.symbols == ("A", "B")
    np.testing.assert_array_equal(made.panel.close, [[np.nan, 3], [2, 4]])
    np.testing.assert_array_equal(made.lines, [[0, 3], [2, 4]])
    assert np.isnan(made.panel.volume).all()
    assert (made.panel.frequency, made.panel.currency, made.rows) == ("1d", "USD", 3)


def test_newest_first_is_turned_around_and_noted():
    made = assemble([rows(("A", "2024-01-03", 3), ("A", "2024-01-02", 2))])
    assert made.panel.close.tolist() == [[2, 3]]
    assert [finding.check for finding in made.findings] == ["newest_first"]


def test_a_row_out_of_order_is_sorted_and_named():
    made = assemble([rows(("A", "2024-01-02", 1), ("A", "2024-01-04", 3), ("A", "2024-01-03", 2))])
    (finding,) = made.findings
    assert (finding.check, finding.line, finding.date) == ("unsorted_time", 4, "2024-01-03")
    assert made.panel.close.tolist() == [[1, 2, 3]]


def test_a_repeated_bar_is_refused_with_both_places():
    first, second = rows(("A", "2024-01-02", 1)), rows(("A", "2024-01-02", 9), file="b.csv")
    with pytest.raises(Refusal) as caught:
        assemble([first, second])
    assert caught.value.code == "duplicate_bar"
    assert str(caught.value).startswith(
        "b.csv, line 2: the bar of A at 2024-01-02 was there before, on line 2 of a.csv."
    )


def test_a_bar_said_twice_alike_counts_once():
    made = assemble([rows(("A", "2024-01-02", 1), ("A", "2024-01-02", 1))])
    assert [(finding.check, finding.severity, finding.line) for finding in made.findings] == [
        ("duplicate_bar", "warning", 3)
    ]
    assert made.rows == 1


def test_a_file_that_repeats_another_is_one_note():
    made = assemble([rows(("A", "2024-01-02", 1)), rows(("A", "2024-01-02", 1), ("A", "2024-01-03", 2), file="b.csv")])
    (note,) = made.findings
    assert (note.check, note.severity, note.params["count"]) == ("repeated_file", "note", 1)
    assert made.panel.close.tolist() == [[1, 2]]


def test_a_repeated_bar_is_a_finding_when_only_checked():
    made = assemble([rows(("A", "2024-01-02", 1), ("A", "2024-01-02", 9))], keep_duplicates=True)
    assert [finding.check for finding in made.findings] == ["duplicate_bar"]
    assert made.panel.close.tolist() == [[1]]


def test_no_rows_at_all_are_refused():
    with pytest.raises(Refusal) as caught:
        assemble([rows()])
    assert caught.value.code == "no_bars"


def test_daily_and_intraday_files_are_not_mixed():
    with pytest.raises(Refusal) as caught:
        assemble([rows(("A", "2024-01-02", 1)), rows(("B", "2024-01-02T09:30", 1), file="m.csv", daily=False)])
    assert caught.value.code == "mixed_frequency"
    assert "a.csv has daily bars and m.csv intraday bars" in str(caught.value)


def test_a_nearly_empty_giant_is_refused(monkeypatch):
    monkeypatch.setattr(module, "SPARSE_CELLS", 10)
    many = rows(*[(f"S{i}", np.datetime64("2024-01-01") + i, 1.0) for i in range(40)])
    with pytest.raises(Refusal) as caught:
        assemble([many])
    assert caught.value.code == "too_sparse"


@pytest.mark.parametrize(
    ("step", "daily", "name"),
    [
        (1, True, "1d"), (7, True, "1w"), (30, True, "other"), (60, False, "1min"), (300, False, "5min"),
        (900, False, "15min"), (1800, False, "30min"), (3600, False, "1h"), (7200, False, "other"),
    ],
)  # fmt: skip
def test_the_frequency_is_the_usual_step(step, daily, name):
    start, unit = np.datetime64("2024-01-01T00:00:00"), "D" if daily else "s"
    times = [start + np.timedelta64(step * i, unit) for i in range(10)]
    made = assemble([rows(*[("A", time, 1.0) for time in times], daily=daily)])
    assert made.panel.frequency == name


@pytest.mark.parametrize(("daily", "name"), [(True, "1d"), (False, "other")])
def test_a_single_bar_has_the_frequency_its_time_shows(daily, name):
    assert assemble([rows(("A", "2024-01-02", 1), daily=daily)]).panel.frequency == name


def test_bars_stamped_with_their_start_move_to_their_end():
    raw = rows(("A", "2024-01-02T09:30", 1), ("A", "2024-01-02T09:35", 2), ("A", "2024-01-02T09:40", 3))
    made = stamped_at_end(assemble([replace(raw, daily=False)]))
    assert str(made.panel.times[0]).startswith("2024-01-02T09:35")


def test_bars_without_one_length_cannot_be_moved():
    raw = rows(("A", "2024-01-02T09:30", 1), ("A", "2024-01-02T09:37", 2))
    with pytest.raises(Refusal) as caught:
        stamped_at_end(assemble([replace(raw, daily=False)]))
    assert caught.value.code == "unknown_step"
