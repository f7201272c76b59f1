"""The commands: one document on standard output, a sentence and a failing status for a refusal."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.marketdata import qlib
from apps.marketdata.engine import qlib_export
from apps.marketdata.models import Dataset
from apps.marketdata.services import dataset_import_path
from tests.marketdata.conftest import HEADER, csv_lines

pytestmark = pytest.mark.django_db


def run(name, *arguments, **options) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return out.getvalue()


def test_import_prints_rows_symbols_span_hash_and_verdict(var_dir, write, alice):
    path = write("SPY.csv", csv_lines(40))
    document = json.loads(
        run("import_bars", str(path), "--dataset", "spy", "--owner", "alice", "--currency", "USD", "--json")
    )
    assert (document["rows"], document["symbols"], document["verdict"], document["owner"]) == (40, 1, "clean", "alice")
    assert (document["prices"], document["currency"]) == ("raw", "USD")
    text = run("import_bars", str(path), "--dataset", "spy2", "--adjusted")
    assert "spy2@1" in text
    assert Dataset.objects.get(name="spy2").content_hash in text
    assert Dataset.objects.get(name="spy2").adjustment == "adjusted"


def test_a_refused_import_is_one_sentence_and_no_dataset(var_dir, write):
    path = write("SPY.csv", HEADER + "2024-01-02,1,x,1,1,1\n")
    with pytest.raises(CommandError, match=r"SPY\.csv, line 2, column high: “x” is not a number\."):
        run("import_bars", str(path), "--dataset", "spy")
    with pytest.raises(CommandError, match="There is no user ghost"):
        run("import_bars", str(path), "--dataset", "spy", "--owner", "ghost")
    assert not Dataset.objects.exists()


def test_a_file_without_header_is_imported_with_its_columns_named(var_dir, write):
    path = write("SPY.csv", "3/4/2024;1;1;1;1\n3/5/2024;1;1;1;1\n")
    columns = "date,open,high,low,close"
    document = json.loads(
        run("import_bars", str(path), "--dataset", "spy", "--columns", columns, "--date-order", "mdy", "--json")
    )
    assert document["start"] == "2024-03-04"


def test_a_dataset_is_checked_again_by_name(builtin):
    document = json.loads(run("check_data", "us-daily-raw", "--json"))
    assert set(document["findings"][0]) == {"symbol", "date", "line", "check", "severity", "message"}
    assert {finding["date"] for finding in document["findings"]} >= {"2000-06-21", "2005-02-28", "2003-02-18"}
    assert builtin[0].checks.count() == 2
    assert "error   AAPL 2000-06-21, line 80: Split 2:1" in run("check_data", "us-daily-raw@1")


def test_a_path_is_checked_without_being_imported(db, var_dir, write):
    path = write("SPY.csv", csv_lines(40) + "2025-01-01,1,1")
    checks = [finding["check"] for finding in json.loads(run("check_data", str(path), "--json"))["findings"]]
    assert checks[:2] == ["truncated_file", "missing_value"]
    assert run("check_data", str(write("OK.csv", csv_lines(40)))) == "No findings.\n"
    assert not Dataset.objects.exists()


def test_a_file_that_cannot_be_read_is_one_finding(db, write):
    path = write("SPY.csv", HEADER + "2024-01-02,1,x,1,1,1\n")
    (finding,) = json.loads(run("check_data", str(path), "--json"))["findings"]
    assert (finding["check"], finding["line"], finding["severity"]) == ("refused_file", 2, "error")
    assert "“x” is not a number" in finding["message"]


def test_a_name_that_is_neither_path_nor_dataset_is_refused(builtin):
    with pytest.raises(
        CommandError, match=r"There is no dataset nothing\. You can use us-daily-adjusted, us-daily-raw\."
    ):
        run("check_data", "nothing")


@pytest.mark.parametrize("name", ["us-daily-raw", "us-daily-adjusted"])
def test_the_real_qlib_reads_back_every_value(builtin, tmp_path, name):
    target = tmp_path / "qlib" / name
    document = json.loads(run("export_qlib", name, str(target), "--json"))
    assert document["qlib"]["verdict"] == "equal"
    assert document["qlib"]["compared"] > 70_000
    assert (target / "calendars" / "day.txt").read_text().split()[0] == "2000-03-01"
    assert (target / "instruments" / "all.txt").read_text().splitlines()[1] == "FB\t2012-05-18\t2013-03-01"
    assert (target / "features" / "fb" / "factor.day.bin").exists() is (name == "us-daily-raw")


def test_an_export_does_not_write_over_anything(builtin, tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(CommandError, match="is there already and not empty"):
        run("export_qlib", "us-daily-raw", str(tmp_path), "--no-check")
    assert (tmp_path / "x").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert "5 symbols" in run("export_qlib", "us-daily-raw", str(tmp_path / "empty"), "--no-check")


def test_values_that_differ_fail_the_command(builtin, tmp_path, monkeypatch):
    def spoil(panel, target, *, raw_prices):
        counts = qlib_export.export_qlib(panel, target, raw_prices=raw_prices)
        path = target / "features" / "ibm" / "close.day.bin"
        path.write_bytes(path.read_bytes()[:-4] + b"\x00\x00\x00\x00")
        return counts

    monkeypatch.setattr(qlib, "export_qlib", spoil)
    with pytest.raises(CommandError, match=r"Qlib reads other values: .*IBM.*close"):
        run("export_qlib", "us-daily-raw", str(tmp_path / "out"))


def test_a_qlib_that_fails_is_a_reason_not_a_traceback(builtin, tmp_path, monkeypatch):
    def nothing(panel, target, *, raw_prices):
        target.mkdir()
        return {"symbols": 0, "times": 0, "files": 0}

    monkeypatch.setattr(qlib, "export_qlib", nothing)
    with pytest.raises(CommandError, match="Qlib could not read what was written"):
        run("export_qlib", "us-daily-raw", str(tmp_path / "out"))


@pytest.mark.parametrize(("symbol", "code"), [("BTC/USDT", "cannot be a folder"), ("..", "cannot be a folder")])
def test_a_symbol_that_is_no_folder_name_is_refused(var_dir, write, tmp_path, symbol, code):
    path = write("x.csv", f"date,symbol,open,high,low,close\n2024-01-02,{symbol},1,1,1,1\n")
    from apps.marketdata.engine.readers import ReadOptions

    dataset_import_path(path, name="odd", options=ReadOptions())
    with pytest.raises(CommandError, match=code):
        run("export_qlib", "odd", str(tmp_path / "out"))


def test_a_frequency_without_a_qlib_layout_is_refused(var_dir, write, tmp_path):
    from apps.marketdata.engine.readers import ReadOptions

    rows = "".join(f"{day},1,1,1,1\n" for day in ("2024-01-05", "2024-01-12", "2024-01-19"))
    dataset_import_path(write("w.csv", "date,open,high,low,close\n" + rows), name="weeks", options=ReadOptions())
    with pytest.raises(CommandError, match="no layout"):
        run("export_qlib", "weeks", str(tmp_path / "out"))
