"""The import wizard: preview, meanings of columns, remembered; kept uploads belong to who sent them."""

from __future__ import annotations

import re
import tarfile
import zipfile

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.readers.preview import MEANINGS, preview
from apps.marketdata.forms import files_on_server, import_folder
from apps.marketdata.models import ColumnMapping, Dataset, ImportJob
from apps.marketdata.selectors import dataset_panel
from apps.marketdata.staging import staged
from apps.marketdata.words import field_words
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import csv_lines
from tests.marketdata.importing import work

pytestmark = pytest.mark.django_db
ODD = "when,o,top,l,c,qty\n2024-01-02,1,3,1,2,7\n2024-01-03,2,4,2,3,8\n"
FIELDS = {"name": "odd", "adjustment": "raw", "time_zone": "UTC", "format": "auto"}


def upload(text=ODD, name="ODD.csv"):
    return SimpleUploadedFile(name, text.encode())


@pytest.fixture
def page(client, alice, var_dir):
    client.force_login(alice)
    return lambda **data: client.post("/data/import/", {**FIELDS, **data})


def token_of(response) -> str:
    return re.search(r'name="staged" value="(\w+)"', response.content.decode()).group(1)


def test_the_preview_shows_rows_and_guesses_and_imports_nothing(page):
    response = page(upload=upload(), preview="1")
    assert response.status_code == 200
    assert [column["meaning"] for column in response.context["columns"]] == ["", "open", "", "low", "close", ""]
    assert response.context["rows"][0] == ("2024-01-02", "1", "3", "1", "2", "7")
    assert not Dataset.objects.exists()


def test_chosen_meanings_import_the_kept_file_and_are_remembered(page, alice, settings):
    token = token_of(page(upload=upload(), preview="1"))
    chosen = {"col_0": "date", "col_1": "open", "col_2": "high", "col_3": "low", "col_4": "close", "col_5": "volume"}
    assert page(staged=token, licence="mine", tags="A, b", **chosen).status_code == 302
    assert staged(alice, token) is None
    work(settings)
    made = Dataset.objects.get(name="odd")
    assert (made.rows, made.owner, made.licence, made.tag_list) == (2, alice, "mine", ["a", "b"])
    again = page(upload=upload(ODD.replace("7", "9")), name="odd", preview="1")
    assert again.context["remembered"]
    assert page(staged=token_of(again)).status_code == 302
    work(settings)
    assert Dataset.objects.filter(name="odd").count() == 2


def test_a_refused_file_is_kept_so_that_only_its_columns_need_naming(page):
    response = page(upload=upload())
    assert response.status_code == 422
    assert "has no column for date, high" in response.content.decode()
    assert token_of(response)


def test_what_the_names_say_by_themselves_is_not_stored(page):
    text = csv_lines(30)
    token = token_of(page(upload=upload(text), preview="1"))
    names = ("date", "open", "high", "low", "close", "volume")
    assert page(staged=token, **{f"col_{at}": name for at, name in enumerate(names)}).status_code == 302
    assert not ColumnMapping.objects.exists()


def test_a_failed_import_is_changed_and_imported_again_without_sending_the_file(page, client, alice, settings):
    text = csv_lines(30) + "2024-03-01,1,x,1,1,1\n"
    assert page(upload=upload(text, "SPY.csv"), name="spy", tags="a, b").status_code == 302
    job = work(settings)
    assert job.state == "failed"
    form = client.get(f"/data/import/?job={job.pk}").content.decode()
    assert "SPY.csv is kept" in form
    assert 'value="a, b"' in form
    assert page(job=str(job.pk), name="spy-2").status_code == 302
    again = work(settings)
    job.refresh_from_db()
    assert (again.name, again.reason_code, job.state) == ("spy-2", "bad_number", "cancelled")


def test_a_stranger_cannot_take_the_file_of_an_import(page, client, bob, settings):
    page(upload=upload(csv_lines(9) + "2024-03-01,1,x,1,1,1\n", "SPY.csv"))
    job = work(settings)
    client.force_login(bob)
    assert "SPY.csv" not in client.get(f"/data/import/?job={job.pk}").content.decode()
    assert page(job=str(job.pk)).status_code == 422


def test_a_stranger_cannot_use_a_kept_file(page, client, bob):
    token = token_of(page(upload=upload(), preview="1"))
    client.force_login(bob)
    assert page(staged=token).status_code == 422
    assert page(staged="../../etc").status_code == 422
    assert not Dataset.objects.exists()


def bundle(folder, symbols=("sh600000", "sh600001")):
    """A bundle of Qlib: adjusted prices of a few days, and their factor."""
    (folder / "calendars").mkdir(parents=True)
    (folder / "calendars" / "day.txt").write_text("2020-01-02\n2020-01-03\n2020-01-06\n")
    (folder / "instruments").mkdir()
    (folder / "instruments" / "all.txt").write_text("SH600000\t2020-01-02\t2020-01-06\n")
    for at, symbol in enumerate(symbols):
        place = folder / "features" / symbol
        place.mkdir(parents=True)
        for name, value in {"open": 20, "high": 22, "low": 18, "close": 21, "volume": 50, "factor": 2}.items():
            np.array([1, value + at, value + at], dtype="<f4").tofile(place / f"{name}.day.bin")
    return folder


def test_a_bundle_is_previewed_by_its_first_symbol_as_it_will_be_imported(tmp_path):
    found = preview(bundle(tmp_path / "bundle"), ReadOptions())
    assert (found.header, found.fixed) == (("time", "symbol", "open", "high", "low", "close", "volume", "factor"), True)
    assert found.rows == tuple(
        (day, "SH600000", "10", "11", "9", "10.5", "100", "2") for day in ("2020-01-03", "2020-01-06")
    )


def test_of_a_packed_bundle_no_more_is_unpacked_than_its_preview_takes(tmp_path, monkeypatch):
    bundle(tmp_path / "bundle")
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "bundle", "cn_data")
    taken = []
    extract = tarfile.TarFile.extractall
    monkeypatch.setattr(
        tarfile.TarFile, "extractall",
        lambda self, place, members, filter: taken.extend(members) or extract(self, place, members=members, filter=filter),
    )  # fmt: skip
    found = preview(tmp_path / "b.tar.gz", ReadOptions())
    assert found.rows == preview(tmp_path / "bundle", ReadOptions()).rows
    assert len({member.name.rsplit("/", 1)[0] for member in taken}) == 2


def test_a_bundle_without_bars_says_why_it_has_no_preview(tmp_path):
    (tmp_path / "features").mkdir()
    with pytest.raises(Refusal) as error:
        preview(tmp_path, ReadOptions())
    assert error.value.code == "not_qlib"
    (tmp_path / "file.xyz").write_text("?")
    assert preview(tmp_path / "file.xyz", ReadOptions()) is None


def test_what_a_format_names_itself_is_shown_in_words_and_cannot_be_renamed(page, tmp_path, settings):
    bundle(import_folder() / "bundle")
    shown = page(on_server="bundle", preview="1").content.decode()
    assert "SH600000" in shown
    assert "Date and time" in shown
    assert "names its own columns" in shown
    assert '<select name="col_0"' not in shown
    assert page(on_server="bundle", name="bundle", col_0="close").status_code == 302
    work(settings)
    assert Dataset.objects.get(name="bundle").symbol_count == 2


def test_a_folder_is_previewed_by_its_first_file_and_what_is_named_there_holds_for_all(page, write, settings):
    for name in ("A", "B"):
        write(f"var/import/odd/{name}.csv", ODD)
    write("var/import/odd/notes.md", "no bars")
    shown = page(on_server="odd", preview="1")
    assert (shown.context["first_file"], len(shown.context["columns"])) == ("A.csv", 6)
    assert b'<option value="high">High</option>' in shown.content
    chosen = {"col_0": "date", "col_1": "open", "col_2": "high", "col_3": "low", "col_4": "close", "col_5": "volume"}
    assert page(on_server="odd", title="Both of them", **chosen).status_code == 302
    work(settings)
    made = Dataset.objects.get(name="odd")
    assert (made.rows, made.symbol_count, made.title) == (4, 2, "Both of them")


def test_a_folder_below_is_offered_read_and_offered_again(page, client, alice, write, settings):
    write("var/import/lean/equity/usa/daily/readme.txt.bak", "")
    with zipfile.ZipFile(write("var/import/lean/equity/usa/daily/aapl.zip", b""), "w") as archive:
        archive.writestr("aapl.csv", "20240102 00:00,1000000,1020000,990000,1010000,500\n")
    write("var/import/lean/.git/x.csv", csv_lines(3))
    assert files_on_server() == ["lean", "lean/equity/usa/daily"]
    shown = page(on_server="lean/equity/usa/daily", preview="1")
    assert shown.context["rows"] == (("2024-01-02", "AAPL", "100", "102", "99", "101", "500"),)
    assert b"col_0" not in shown.content
    above = page(on_server="lean")
    assert "equity/usa/daily" in str(above.context["form"].errors["on_server"])
    assert page(on_server="lean/equity/usa/daily", calendar="XNYS", tags="t").status_code == 302
    job = work(settings)
    assert (job.state, job.dataset.rows) == ("completed", 1)
    ImportJob.objects.filter(pk=job.pk).update(state="failed")
    again = client.get(f"/data/import/?job={job.pk}").content.decode()
    assert '<option value="lean/equity/usa/daily" selected>' in again
    assert page(on_server="lean/../../secret").status_code == 422


def test_what_only_some_files_need_is_asked_and_obeyed(page, write, settings):
    bare = "20240102,1,2,0.5,1.5,10\n20240103,1,2,0.7,1.5,10\n"
    for name in ("000001", "600000", "other"):
        write(f"var/import/bare/{name}.csv", bare)
    shown = page(on_server="bare", preview="1")
    assert b"<details>" in shown.content
    said = {"include": "[06]*", "columns": "date, open, high, low, close, volume", "volume_unit": "100"}
    assert b"<details open>" in page(on_server="bare", preview="1", **said).content
    assert page(on_server="bare", symbols="as_is", **said).status_code == 302
    work(settings)
    panel = dataset_panel(Dataset.objects.get(name="odd"))
    assert (panel.symbols, panel.volume[0].tolist()) == (("000001", "600000"), [1000.0, 1000.0])
    assert page(on_server="bare", volume_unit="-1").status_code == 422


def test_meanings_are_said_in_the_readers_language(page, client, write):
    write("var/import/odd.csv", ODD)
    client.cookies["django_language"] = "zh-hans"
    shown = page(on_server="odd.csv", preview="1").content.decode()
    assert '<option value="open_interest">持仓量</option>' in shown
    assert all(name in field_words() for name in MEANINGS)


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "column", "meaning"),
    [("cn_gbk_163_2017/600000.csv", "收盘价", "close"), ("cn_csi300/cn_csi300_ever_daily.parquet", "volume", "volume"),
     ("freqtrade_testdata/ADA_BTC-5m.feather", "date", "date"),
     ("freqtrade_testdata/UNITTEST_BTC-1m.json.gz", "open", "open"),
     ("pyalgotrade_data/nt-spy-minute-2011.csv", "close", "close")],
)  # fmt: skip
def test_real_files_are_previewed(market_data, path, column, meaning):
    found = preview(market_data / path, ReadOptions())
    assert found.meanings[column] == meaning
    assert len(found.rows) == 8
