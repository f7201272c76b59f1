"""Pages and API of the imports: the history, progress, orders, and what strangers see."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.marketdata import import_job_views
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.models import ImportJob
from apps.marketdata.services import import_jobs
from apps.marketdata.services.import_jobs import import_claim, import_start
from tests.marketdata.conftest import HEADER, csv_lines
from tests.marketdata.importing import work

pytestmark = pytest.mark.django_db
BAD = HEADER + "2024-01-02,1,x,1,1,1\n"


@pytest.fixture(autouse=True)
def nobody_works(monkeypatch, var_dir):
    monkeypatch.setattr(import_jobs, "async_task", lambda *_, **__: None)


@pytest.fixture
def hers(write, alice):
    path = write("SPY.csv", csv_lines(5))
    return import_start(path=path, name="spy", options=ReadOptions(), owner=alice, origin="page")


def queued(alice, write, name) -> ImportJob:
    path = write(f"{name}.csv", csv_lines(3))
    return import_start(path=path, name=name, options=ReadOptions(), owner=alice, origin="page")


def test_a_stranger_sees_and_orders_nothing(client, hers, bob):
    client.force_login(bob)
    assert client.get(f"/data/imports/{hers.pk}/").status_code == 404
    assert client.post(f"/data/imports/{hers.pk}/cancel/").status_code == 404
    assert client.get(f"/api/data/imports/{hers.pk}").status_code == 404
    assert client.post(f"/api/data/imports/{hers.pk}/cancel").status_code == 404
    assert client.get("/api/data/imports").json() == {"imports": [], "total": 0}
    assert "SPY.csv" not in client.get("/data/imports/").content.decode()


def test_the_page_asks_again_while_it_runs_and_stops_at_the_end(client, hers, alice, settings):
    client.force_login(alice)
    path = f"/data/imports/{hers.pk}/"
    assert 'hx-trigger="every 1s"' in client.get(path).content.decode()
    fragment = client.get(path, headers={"HX-Request": "true"})
    assert (fragment.status_code, "<html" in fragment.content.decode()) == (200, False)
    work(settings)
    done = client.get(path, headers={"HX-Request": "true"})
    assert done.status_code == 286
    assert "spy@1 is in the catalogue" in done.content.decode()
    assert "hx-trigger" not in done.content.decode()


def test_progress_is_told_in_rows_bytes_files_and_time(client, hers, alice):
    import_claim(hers.pk)
    ImportJob.objects.update(
        progress=0.35, rows_read=1234567, bytes_read=5_000_000, bytes_total=10_000_000, files_read=2, files_total=9,
        current="B.csv", attempt_started=hers.created.replace(year=hers.created.year - 1),
    )  # fmt: skip
    client.force_login(alice)
    text = client.get(f"/data/imports/{hers.pk}/").content.decode()
    for words in ("1,234,567", "2 / 9", "35%", "B.csv", "done about"):
        assert words in text
    document = client.get(f"/api/data/imports/{hers.pk}").json()
    assert (document["rows"], document["files"], document["state"]) == (1234567, 2, "running")
    assert document["seconds_left"] > 0


def test_orders_from_the_page(client, hers, alice):
    client.force_login(alice)
    path = f"/data/imports/{hers.pk}/"
    assert "kept" in client.post(f"{path}cancel/", follow=True).content.decode()
    assert "cannot be told to cancel" in client.post(f"{path}cancel/", follow=True).content.decode()
    assert client.post(f"{path}resume/").status_code == 302
    assert client.post(f"{path}start/").status_code == 404
    assert client.get(f"{path}cancel/").status_code == 405
    hers.refresh_from_db()
    assert hers.state == "queued"


def test_the_history_is_paged_filtered_and_costs_the_same(
    client, alice, write, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(import_job_views, "PAGE_SIZE", 2)
    client.force_login(alice)
    assert "Nothing was imported yet." in client.get("/data/imports/").content.decode()
    for name in ("a", "b", "c"):
        queued(alice, write, name)
    with django_assert_max_num_queries(8):
        text = client.get("/data/imports/").content.decode()
    assert text.index(">c<") < text.index(">b<")
    assert ">a<" not in text
    assert ">a<" in client.get("/data/imports/", {"page": 2}).content.decode()
    assert "No import is in this state." in client.get("/data/imports/", {"state": "failed"}).content.decode()
    assert client.get("/data/imports/", {"state": "nonsense", "page": "x"}).status_code == 200
    fragment = client.get("/data/imports/", headers={"HX-Request": "true"}).content.decode()
    assert fragment.lstrip().startswith('<div id="imports-table"')


def test_the_reason_is_said_in_the_readers_language(client, alice, write, settings):
    import_start(path=write("SPY.csv", BAD), name="spy", options=ReadOptions(), owner=alice, origin="page")
    job = work(settings)
    client.force_login(alice)
    path = f"/data/imports/{job.pk}/"
    assert "line 2, column high" in client.get(path).content.decode()
    assert "不是数字" in client.get(path, headers={"Accept-Language": "zh-hans"}).content.decode()
    assert f"/data/import/?job={job.pk}" in client.get(path).content.decode()


def test_the_api_imports_what_lies_on_the_server(client, alice, write, settings):
    write("var/import/SPY.csv", csv_lines(5).replace("open", "begin"))
    client.force_login(alice)
    body = {"file": "SPY.csv", "dataset": "spy", "mapping": {"begin": "open"}, "tags": "a,b"}
    answer = client.post("/api/data/imports", body, content_type="application/json")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    work(settings)
    document = client.get(f"/api/data/imports/{answer.json()['id']}").json()
    assert (document["state"], document["dataset"]["name"], document["rows"]) == ("completed", "spy@1", 5)
    assert client.get("/api/data/imports?state=completed").json()["total"] == 1
    write("var/import/bare.csv", "20240102,1,2,0.5,1.5,10\n")
    body = {"file": "bare.csv", "dataset": "bare", "columns": "date,open,high,low,close,volume", "volume_unit": 100}
    assert client.post("/api/data/imports", body, content_type="application/json").status_code == 202
    work(settings)
    assert client.get("/api/data/historical/bare?dataset=bare").json()["columns"]["volume"] == [1000.0]
    again = client.post(f"/api/data/imports/{document['id']}/resume")
    assert (again.status_code, again.json()["code"]) == (409, "import_state")


@pytest.mark.parametrize("file", ["../secret.csv", "/etc/passwd", "absent.csv", ""])
def test_the_api_reads_nothing_outside_its_folder(client, alice, write, file):
    write("var/secret.csv", csv_lines(5))
    client.force_login(alice)
    answer = client.post("/api/data/imports", {"file": file, "dataset": "x"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_file")
    assert not ImportJob.objects.exists()


def test_the_api_takes_an_upload_and_refuses_what_it_is_not(client, alice, settings, monkeypatch):
    client.force_login(alice)

    def send(content, name="SPY.csv", **fields):
        file = SimpleUploadedFile(name, content)
        return client.post("/api/data/imports/upload", {"file": file, "dataset": "spy", **fields})

    assert send(csv_lines(5).encode()).status_code == 202
    assert work(settings).state == "completed"
    assert send(b"PK\x03\x04 no text", name="SPY.csv").status_code == 422
    assert send(csv_lines(5).encode(), adjustment="half").status_code == 422
    monkeypatch.setattr("apps.marketdata.import_api.upload_limit", lambda: 10)
    assert send(csv_lines(5).encode()).status_code == 413
