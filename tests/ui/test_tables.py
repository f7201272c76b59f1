"""Lists as files: what a spreadsheet opens, and what it must not run."""

from __future__ import annotations

import csv
import io

import pytest

from apps.ui.tables import csv_file, harmless


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_is_run_by_a_spreadsheet(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("cell", [-1.5, None, "a=1", "", 0])
def test_numbers_and_other_texts_stay_as_they_are(cell):
    assert harmless(cell) == cell


def test_the_file_has_a_line_for_the_header_and_for_each_row():
    answer = csv_file("runs.csv", ("name", "return"), [('a, "b"\n', -0.5), ("=c", None)])
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="runs.csv"'
    rows = list(csv.reader(io.StringIO(answer.content.decode(), newline="")))
    assert rows == [["name", "return"], ['a, "b"\n', "-0.5"], ["'=c", ""]]
