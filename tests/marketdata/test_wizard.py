"""The import wizard: preview, meanings of columns, remembered; kept uploads belong to who sent them."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.readers.preview import preview
from apps.marketdata.models import ColumnMapping, Dataset
from apps.marketdata.staging import staged
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


def test_formats_without_columns_have_nothing_to_name(tmp_path):
    assert preview(tmp_path, ReadOptions()) is None
    assert preview(tmp_path / "a.zip", ReadOptions()) is None


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
