"""The folder others fill."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine.sources.folder import FolderConfig, FolderSource, inside
from apps.marketdata.engine.sources.network import Network, TryAgain
from apps.ui.engine.config import InvalidConfig, validated
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import csv_lines
from tests.marketdata.sources.conftest import put

SOURCE = FolderSource()


def fetch(make, import_root, marks=None, **more):
    from datetime import UTC, datetime

    work = make("folder", folder="daily", now=datetime.now(UTC), marks=marks or {}, **more)
    return work, SOURCE.fetch(work)


def names(fetched):
    return [file.name for file in fetched.files]


def test_new_and_changed_files_are_taken_and_known_ones_left(job, import_root):
    put(import_root / "daily", "AAA.csv", csv_lines(5))
    put(import_root / "daily", "BBB.csv", csv_lines(5))
    _job, first = fetch(job, import_root)
    assert names(first) == ["AAA.csv", "BBB.csv"]
    _job, second = fetch(job, import_root, first.marks)
    assert names(second) == []
    put(import_root / "daily", "BBB.csv", csv_lines(6), age=100)
    _job, third = fetch(job, import_root, second.marks)
    assert names(third) == ["BBB.csv"]
    put(import_root / "daily", "BBB.csv", csv_lines(6), age=50)  # touched, the same
    _job, fourth = fetch(job, import_root, third.marks)
    assert (names(fourth), list(fourth.marks["files"])) == ([], ["AAA.csv", "BBB.csv"])


def test_a_file_that_goes_away_takes_nothing_along(job, import_root):
    file = put(import_root / "daily", "AAA.csv", csv_lines(5))
    _job, first = fetch(job, import_root)
    file.unlink()
    _job, second = fetch(job, import_root, first.marks)
    assert (names(second), second.whole) == ([], False)


def test_what_is_still_being_written_waits(job, import_root):
    put(import_root / "daily", "AAA.csv", csv_lines(5), age=2)
    work, fetched = fetch(job, import_root)
    assert names(fetched) == []
    assert str(SOURCE.test(work)) == "1 files of bars, 1 of them still being written."


def test_other_files_hidden_ones_and_links_are_left_alone(job, import_root, tmp_path):
    put(import_root / "daily", "AAA.csv", csv_lines(5))
    for name in (".hidden.csv", "~$open.xlsx", "notes.md", "BBB.parquet"):
        put(import_root / "daily", name, "x")
    secret = put(tmp_path, "secret.csv", csv_lines(5))
    (import_root / "daily" / "link.csv").symlink_to(secret)
    (import_root / "daily" / "sub").mkdir()
    _job, fetched = fetch(job, import_root, pattern="*.csv")
    assert names(fetched) == ["AAA.csv"]


def test_the_symbols_are_those_of_the_files(job, import_root):
    for name in ("600000.SH.csv", "AAPL_2006-01-01.csv"):
        put(import_root / "daily", name, csv_lines(5))
    work, _fetched = fetch(job, import_root)
    assert SOURCE.symbols(work) == ["AAPL", "SH600000"]


@pytest.mark.parametrize("folder", ["..", "../x", "a/../../x", "/etc", "~/x", "C:\\x", "a\\..\\..\\x", "", "a\x00b"])
def test_only_folders_below_the_import_folder_can_be_named(folder):
    with pytest.raises(InvalidConfig) as caught:
        validated(FolderConfig, {"folder": folder})
    assert caught.value.field == "folder"


@given(st.text(alphabet="./\\~ab:", max_size=12))
def test_no_spelling_leads_out(folder):
    from pathlib import Path

    try:
        config = validated(FolderConfig, {"folder": folder})
    except InvalidConfig:
        return
    assert inside(Path("/srv/import"), config.folder).is_relative_to("/srv/import")


def test_a_link_that_leads_out_is_refused(job, import_root, tmp_path):
    (import_root / "daily").symlink_to(tmp_path)
    with pytest.raises(Refusal) as caught:
        fetch(job, import_root)
    assert caught.value.code == "bad_folder"


def test_a_folder_that_is_not_there_is_named(job, import_root):
    with pytest.raises(Refusal) as caught:
        fetch(job, import_root)
    assert (caught.value.code, caught.value.params) == ("no_such_folder", {"folder": "daily"})


def test_content_that_is_not_what_the_name_says_is_refused(job, import_root):
    put(import_root / "daily", "AAA.csv", b"\x7fELF\x00\x00")
    with pytest.raises(Refusal) as caught:
        fetch(job, import_root)
    assert caught.value.code == "wrong_contents"


def test_too_large_a_file_is_refused(job, import_root):
    put(import_root / "daily", "AAA.csv", csv_lines(50))
    with pytest.raises(Refusal) as caught:
        fetch(job, import_root, network=Network(limit=100))
    assert caught.value.code == "too_large"


def test_a_file_changed_while_it_is_copied_is_tried_again(job, import_root, monkeypatch):
    from apps.marketdata.engine.sources import folder

    file = put(import_root / "daily", "AAA.csv", csv_lines(5))
    copy = folder.shutil.copyfile

    def changing(source, target):
        copy(source, target)
        file.write_text(csv_lines(9))

    monkeypatch.setattr(folder.shutil, "copyfile", changing)
    with pytest.raises(TryAgain):
        fetch(job, import_root)
