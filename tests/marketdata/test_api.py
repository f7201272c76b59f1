"""The API of the catalogue: access, documents, bars by symbol, problems with a reason."""

from __future__ import annotations

import pytest

from apps.marketdata.engine.assemble import Imported
from apps.marketdata.models import QualityCheck
from apps.marketdata.selectors import dataset_folder
from apps.marketdata.services import dataset_import
from tests.marketdata.conftest import bars

pytestmark = pytest.mark.django_db


@pytest.fixture
def hers(var_dir, alice):
    panel = bars([1.0, 2.0, 3.0], symbol="HERS")
    panel.fields["volume"][0, 1] = float("nan")
    return dataset_import(name="hers", imported=Imported(panel), source="test", owner=alice)


@pytest.mark.parametrize(
    "path", ["/api/datasets/{}", "/api/datasets/{}/findings", "/api/data/historical/HERS?dataset=hers"]
)
def test_a_stranger_gets_404(client, hers, bob, path):
    client.force_login(bob)
    answer = client.get(path.format(hers.pk))
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_a_stranger_cannot_start_a_check(client, hers, bob):
    client.force_login(bob)
    assert client.post(f"/api/datasets/{hers.pk}/check").status_code == 404
    assert QualityCheck.objects.count() == 1


def test_without_a_token_nothing_is_said(client, hers):
    assert client.get("/api/datasets").status_code == 401


def test_datasets_are_listed_with_what_programs_need(client, builtin, hers, bob):
    client.force_login(bob)
    document = client.get("/api/datasets").json()
    assert document["total"] == 2
    first = document["datasets"][0]
    assert (first["name"], first["rows"], first["start"], first["end"]) == (
        "us-daily-adjusted",
        12_154,
        "2000-03-01",
        "2013-03-01",
    )
    assert len(first["hash"]) == 64
    assert client.get("/api/datasets?verdict=blocked").json()["total"] == 1
    assert len(client.get("/api/datasets?limit=1&offset=1").json()["datasets"]) == 1
    assert client.get("/api/datasets?verdict=nonsense").status_code == 422
    assert client.get("/api/datasets?limit=0").status_code == 422


def test_the_list_costs_the_same_queries_however_long(client, builtin, alice, django_assert_max_num_queries):
    client.force_login(alice)
    with django_assert_max_num_queries(6):
        client.get("/api/datasets")
    for number in range(5):
        dataset_import(name=f"n{number}", imported=Imported(bars([1.0, 2.0 + number])), source="t", owner=alice)
    with django_assert_max_num_queries(6):
        client.get("/api/datasets")


def test_one_dataset_comes_with_its_instruments(client, builtin, bob):
    client.force_login(bob)
    document = client.get(f"/api/datasets/{builtin[0].pk}").json()
    assert [row["symbol"] for row in document["instruments"]] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert client.get("/api/datasets/999999").status_code == 404


def test_findings_have_the_keys_of_check_data(client, builtin, bob):
    client.force_login(bob)
    document = client.get(f"/api/datasets/{builtin[0].pk}/findings").json()
    assert (document["verdict"], document["total"]) == ("blocked", 5)
    assert document["findings"][1] == {
        "symbol": "AAPL", "date": "2005-02-28", "line": 1256, "check": "split_like_jump", "severity": "error",
        "message": "Split 2:1 not applied, 88.99 → 44.86, true +0.8%.",
    }  # fmt: skip
    assert client.get(f"/api/datasets/{builtin[0].pk}/findings?severity=warning").json()["total"] == 1
    assert client.get(f"/api/datasets/{builtin[0].pk}/findings?symbol=IBM").json()["total"] == 0


def test_a_check_is_run_and_told(client, builtin, bob):
    client.force_login(bob)
    document = client.post(f"/api/datasets/{builtin[0].pk}/check").json()
    assert (document["verdict"], document["errors"], document["warnings"]) == ("blocked", 4, 1)
    (dataset_folder(builtin[0]) / "meta.json").unlink()
    problem = client.post(f"/api/datasets/{builtin[0].pk}/check")
    assert (problem.status_code, problem.json()["code"]) == (409, "dataset_missing")


def test_historical_bars_as_json(client, builtin, bob):
    client.force_login(bob)
    document = client.get(
        "/api/data/historical/AAPL?dataset=us-daily-raw&start=2005-02-25&end=2005-02-28&fields=close,volume"
    ).json()
    assert document["columns"] == {
        "time": ["2005-02-25", "2005-02-28"], "close": [88.99, 44.86], "volume": [32696800.0, 23271800.0],
    } or document["columns"]["close"] == [88.99, 44.86]  # fmt: skip
    assert (document["dataset"], document["prices"], document["rows"]) == ("us-daily-raw@1", "raw", 2)


def test_historical_bars_as_csv_and_the_adjusted_set_by_default(client, builtin, bob):
    client.force_login(bob)
    answer = client.get("/api/data/historical/IBM?start=2013-02-28&fields=close", headers={"accept": "text/csv"})
    assert answer["Content-Type"].startswith("text/csv")
    assert answer.content.decode().splitlines()[0] == "time,close"
    assert len(answer.content.decode().splitlines()) == 3
    assert client.get("/api/data/historical/IBM?start=2013-02-28").json()["dataset"] == "us-daily-adjusted@1"


def test_an_undefined_value_is_null(client, hers, alice):
    client.force_login(alice)
    assert client.get("/api/data/historical/HERS").json()["columns"]["volume"] == [1000.0, None, 1002.0]


@pytest.mark.parametrize(
    ("path", "status", "code", "named"),
    [
        ("NOPE", 404, "unknown_symbol", "AAPL, FB, GOOG, IBM, MSFT"),
        ("NOPE?dataset=us-daily-raw", 404, "unknown_symbol", "AAPL, FB, GOOG, IBM, MSFT"),
        ("AAPL?dataset=none", 404, "unknown_dataset", "us-daily-adjusted, us-daily-raw"),
        ("AAPL?dataset=us-daily-raw@7", 404, "unknown_dataset", "us-daily-raw@1"),
        ("FB?start=1999-01-01&end=2001-01-01", 422, "no_bars_in_span", "from 2012-05-18 to 2013-03-01"),
        ("AAPL?fields=close,mood", 422, "unknown_field", "open, high, low, close, volume"),
        ("AAPL?start=tomorrow", 422, "bad_date", "tomorrow"),
        ("AAPL?start=2010-01-01&end=2009-01-01", 422, "bad_dates", "2009-01-01"),
    ],
)
def test_a_wrong_question_is_answered_with_what_there_is(client, builtin, bob, path, status, code, named):
    client.force_login(bob)
    problem = client.get(f"/api/data/historical/{path}")
    assert (problem.status_code, problem.json()["code"]) == (status, code)
    assert named in problem.json()["detail"]
