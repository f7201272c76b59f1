"""Explorer, API and command: answers from another process, cached, and only for whom the data is visible."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pyarrow as pa
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from apps.marketdata.adapters import feature_worker
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.services import load_builtin_catalogue  # noqa: F401 - the module must import without numba
from tests.marketdata.features.test_compute import panel

EXPRESSION = "Ref($close, 5)/$close - 1"


@pytest.fixture
def dataset(db, alice, settings, tmp_path):
    """Eight symbols that belong to alice."""
    from django.utils import timezone

    from apps.marketdata.engine.store import write_panel
    from apps.marketdata.models import Dataset

    settings.VAR_DIR = tmp_path / "var"
    made: BarPanel = panel(8, 120, seed=9)
    folder = write_panel(made, settings.VAR_DIR / "datasets")
    return Dataset.objects.create(
        name="eight", owner=alice, content_hash=folder.name, source="test", columns=list(made.fields),
        rows=960, symbol_count=8, start=timezone.now(), end=timezone.now(),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def ended():
    yield
    feature_worker.worker.close()


@pytest.fixture
def here(monkeypatch):
    """Answer in this process instead of starting one."""
    from apps.marketdata.engine.features.answers import answer

    asked = []

    def ask(question, target):
        asked.append(question)
        answer(question, target)

    monkeypatch.setattr(feature_worker.worker, "ask", ask)
    return asked


def test_the_page_waits_for_the_answer_and_shows_it_at_once_the_next_time(client, alice, dataset, here):
    client.force_login(alice)
    query = {"dataset": "eight", "expression": EXPRESSION}
    page = client.get(reverse("marketdata:features"), query).content.decode()
    assert 'hx-trigger="load"' in page
    part = client.get(reverse("marketdata:feature_result"), query).content.decode()
    assert "Rank IC by horizon" in part
    again = client.get(reverse("marketdata:features"), query).content.decode()
    assert "Rank IC by horizon" in again
    assert len(here) == 1


def test_the_page_without_scripts_waits_itself(client, alice, dataset, here):
    client.force_login(alice)
    page = client.get(reverse("marketdata:features"), {"dataset": "eight", "expression": "$close", "wait": "1"})
    assert "Distribution of the values" in page.content.decode()


def test_the_version_asked_about_stays_chosen(client, alice, dataset, here):
    client.force_login(alice)
    for name, option in (
        ("eight@1", "<option selected>eight@1</option>"),
        ("eight", '<option value="eight" selected>'),
    ):
        text = client.get("/data/features/", {"dataset": name, "expression": "$close"}).content.decode()
        assert option in text
        assert text.count(" selected") == 1


def test_the_page_asks_a_constant_number_of_queries(client, alice, dataset, here, django_assert_max_num_queries):
    client.force_login(alice)
    with django_assert_max_num_queries(12):
        client.get(reverse("marketdata:features"), {"dataset": "eight", "expression": "$close", "wait": "1"})


@pytest.mark.parametrize(
    ("query", "said"),
    [({"expression": "Mean($close"}, "cannot be read"), ({"expression": "$clsoe", "wait": "1"}, "no field"),
     ({"expression": "$close", "horizons": "0"}, "Horizons"), ({"expression": "$close", "groups": "x"}, "Groups"),
     ({"expression": "$close", "start": "soon"}, "Enter a date"), ({"expression": "Ref($close,-1)"}, "future")],
)  # fmt: skip
def test_a_wrong_question_is_answered_with_its_reason(client, alice, dataset, here, query, said):
    client.force_login(alice)
    response = client.get(reverse("marketdata:features"), {"dataset": "eight", **query})
    assert response.status_code == 200
    assert said in response.content.decode()


def test_a_stranger_sees_no_features_of_anothers_data(client, bob, dataset, here):
    client.force_login(bob)
    page = client.get(reverse("marketdata:features"), {"dataset": "eight", "expression": "$close"}).content.decode()
    assert "There is no dataset eight" in page
    query = {"dataset": "eight", "expressions": "$close"}
    assert client.get("/api/data/features", query).status_code == 404
    assert client.get("/api/data/features/analysis", {"dataset": "eight", "expression": "$close"}).status_code == 404
    assert here == []


def test_a_table_comes_as_arrow_csv_or_json(client, alice, dataset, here):
    client.force_login(alice)
    query = {"dataset": "eight", "expressions": ["$close", "up:=$close/Ref($close,1)-1"], "symbols": "S1,S2"}
    arrow = client.get("/api/data/features", query, headers={"accept": "application/vnd.apache.arrow.file"})
    table = pa.ipc.open_file(io.BytesIO(b"".join(arrow.streaming_content))).read_all()
    assert table.column_names == ["symbol", "time", "$close", "up"]
    csv = client.get("/api/data/features", query, headers={"accept": "text/csv"}).content.decode()
    assert csv.splitlines()[0] == '"symbol","time","$close","up"'
    document = client.get("/api/data/features", query).json()
    assert document["rows"] == table.num_rows == len(document["columns"]["up"])
    assert document["columns"]["up"][0] is None
    np.testing.assert_allclose(document["columns"]["$close"], table.column("$close").to_pylist())
    assert len(here) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [({}, "no_expression"), ({"set": "Alpha7"}, "unknown_set"), ({"expressions": "x"}, "bad_expression"),
     ({"expressions": ["$close", "$close"]}, "name_twice"), ({"expressions": "$close", "start": "x"}, "bad_date"),
     ({"expressions": "$close", "symbols": "NONE"}, "unknown_symbol"), ({"expressions": "Ref($close,-1)"}, "looks_ahead")],
)  # fmt: skip
def test_the_api_refuses_with_a_code(client, alice, dataset, here, query, code):
    client.force_login(alice)
    response = client.get("/api/data/features", {"dataset": "eight", **query})
    assert response.status_code == 422
    assert response.json()["code"] == code


def test_a_large_table_is_not_sent_as_json(client, alice, dataset, here):
    client.force_login(alice)
    response = client.get("/api/data/features", {"dataset": "eight", "set": "Alpha360"})
    assert response.json()["code"] == "too_much"


def test_labels_may_look_ahead(client, alice, dataset, here):
    client.force_login(alice)
    query = {"dataset": "eight", "expressions": "Ref($close,-1)/$close", "labels": "true", "symbols": "S0"}
    assert client.get("/api/data/features", query).status_code == 200


def test_the_real_process_answers_and_a_dead_one_is_replaced(client, alice, dataset):
    client.force_login(alice)
    query = {"dataset": "eight", "expression": "$close", "horizons": "1"}
    assert client.get("/api/data/features/analysis", query).json()["horizons"][0]["horizon"] == 1
    feature_worker.worker._process.kill()
    feature_worker.worker._process.wait()
    assert client.get("/api/data/features/analysis", {**query, "expression": "$open"}).status_code == 200
    bad = client.get("/api/data/features/analysis", {**query, "expression": "$nothing"})
    assert (bad.status_code, bad.json()["code"]) == (422, "unknown_field")


def test_a_computation_that_takes_too_long_is_stopped(client, alice, dataset, settings):
    settings.QP_FEATURE_SECONDS = 0.01
    client.force_login(alice)
    response = client.get("/api/data/features/analysis", {"dataset": "eight", "expression": "$close"})
    assert (response.status_code, response.json()["code"]) == (503, "too_long")


def test_the_command_writes_a_file_and_analyses(dataset, here, tmp_path, capsys):
    call_command("features", "eight", "--set", "Indicators", "--out", str(tmp_path / "f.parquet"), "--json")
    document = json.loads(capsys.readouterr().out)
    assert document["rows"] > 0
    assert "rsi_wilder" in document["features"]
    call_command("features", "eight", "--analyse", "--expression", "$close", "--horizons", "1")
    assert "1 bars" in capsys.readouterr().out
    with pytest.raises(CommandError, match="Name a file"):
        call_command("features", "eight", "--expression", "$close")


def test_asking_imports_no_compiler():
    import subprocess

    code = "import apps.marketdata.engine.features.answers, apps.marketdata.engine.features.indicators, sys; assert 'numba' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
