"""Bars of many symbols: as Arrow, CSV or JSON, adjusted or not, and what a caller may keep."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest

from apps.marketdata.historical_api import ARROW

from .test_api import hers  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db
SPAN = "dataset=us-daily-raw&start=2005-02-25&end=2005-02-28"


@pytest.fixture
def ask(client, builtin, bob):
    client.force_login(bob)

    def get(query, accept=ARROW, **headers):
        return client.get(f"/api/data/historical{query}", headers={"accept": accept, **headers})

    return get


def table_of(answer):
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == ARROW
    return pa.ipc.open_file(io.BytesIO(answer.content)).read_all()


def test_several_symbols_are_one_arrow_table_in_the_order_asked_for(ask):
    table = table_of(ask(f"?symbols=MSFT,AAPL,MSFT&fields=close&{SPAN}"))
    assert table["symbol"].to_pylist() == ["MSFT", "MSFT", "AAPL", "AAPL"]
    assert [str(day) for day in table["time"].to_pylist()] == ["2005-02-25", "2005-02-28"] * 2
    assert table["close"].to_pylist()[2:] == [88.99, 44.86]


def test_one_symbol_is_a_table_too(ask):
    table = table_of(ask(f"/AAPL?{SPAN}"))
    assert table.column_names[:6] == ["symbol", "time", "open", "high", "low", "close"]


def test_a_symbol_without_bars_in_the_span_has_no_row_but_does_not_hide_the_others(ask):
    assert set(table_of(ask(f"?symbols=AAPL,FB&{SPAN}"))["symbol"].to_pylist()) == {"AAPL"}


def test_csv_and_json_name_the_symbol(ask):
    lines = ask(f"?symbols=AAPL,IBM&fields=close&{SPAN}", "text/csv").content.decode().splitlines()
    assert lines[:2] == ["symbol,time,close", "AAPL,2005-02-25,88.99"]
    document = ask(f"?symbols=AAPL,IBM&fields=close&{SPAN}", "application/json").json()
    assert (document["symbols"], document["rows"]) == (["AAPL", "IBM"], 4)
    assert document["columns"]["symbol"] == ["AAPL", "AAPL", "IBM", "IBM"]


def test_adjusted_prices_are_those_of_the_events(ask, hers):  # noqa: F811
    raw = table_of(ask(f"?symbols=AAPL&{SPAN}"))
    forward = table_of(ask(f"?symbols=AAPL&prices=forward&{SPAN}"))
    assert raw.num_rows == forward.num_rows
    assert ask(f"/AAPL?prices=forward&{SPAN}", "application/json").json()["prices"] == "forward"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?symbols=", 422, "no_symbol"),
        ("?symbols=,,", 422, "no_symbol"),
        ("", 422, "invalid_request"),
        ("?symbols=AAPL,NOPE&dataset=us-daily-raw", 404, "unknown_symbol"),
        ("?symbols=AAPL&prices=sideways", 422, "bad_mode"),
        ("?symbols=AAPL&fields=mood", 422, "unknown_field"),
        ("?symbols=FB,AAPL&start=1990-01-01&end=1990-02-01&dataset=us-daily-raw", 422, "no_bars_in_span"),
        (f"?symbols={','.join(f'S{n}' for n in range(1001))}", 422, "too_many_symbols"),
        ("?symbols=AAPL&dataset=none", 404, "unknown_dataset"),
    ],
)
def test_a_wrong_question_is_refused_by_name(ask, query, status, code):
    answer = ask(query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_too_much_for_json_is_sent_to_arrow(ask, monkeypatch):
    monkeypatch.setattr("apps.marketdata.historical_api.JSON_VALUES", 5)
    answer = ask(f"?symbols=AAPL,IBM&{SPAN}", "application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "too_much")


def test_who_has_it_already_is_told_so(ask):
    first = ask(f"?symbols=AAPL&{SPAN}")
    assert first["X-Dataset"] == "us-daily-raw%401"
    assert len(first["X-Content-Hash"]) == 64
    same = ask(f"?symbols=AAPL&{SPAN}", **{"if-none-match": first["ETag"]})
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])
    weak = ask(f"?symbols=AAPL&{SPAN}", **{"if-none-match": f"W/{first['ETag']}"})
    assert weak.status_code == 304
    for other in (f"?symbols=IBM&{SPAN}", f"?symbols=AAPL&{SPAN}&fields=close", f"/AAPL?{SPAN}"):
        assert ask(other, **{"if-none-match": first["ETag"]}).status_code == 200
    assert ask(f"?symbols=AAPL&{SPAN}", "text/csv", **{"if-none-match": first["ETag"]}).status_code == 200


def test_a_named_version_may_be_kept_and_a_bare_name_is_to_be_asked_about(ask, settings):
    assert ask(f"?symbols=AAPL&{SPAN}")["Cache-Control"] == "private, no-cache"
    pinned = "?symbols=AAPL&dataset=us-daily-raw@1"
    assert ask(pinned)["Cache-Control"] == f"private, max-age={settings.QP_CACHE_HISTORY_SECONDS}"
    settings.QP_CACHE_HISTORY_SECONDS = 0
    assert ask(pinned)["Cache-Control"] == "private, no-cache"


def test_features_say_what_they_are_of_too(client, builtin, bob):
    client.force_login(bob)
    path = "/api/data/features?dataset=us-daily-raw&expressions=$close&symbols=AAPL"
    first = client.get(path)
    assert first["X-Content-Hash"]
    assert client.get(path, headers={"if-none-match": first["ETag"]}).status_code == 304


def test_bars_of_a_stranger_are_not_there(client, hers, bob):  # noqa: F811
    client.force_login(bob)
    for path in ("/HERS?dataset=hers", "?symbols=HERS&dataset=hers", "?symbols=HERS"):
        assert client.get(f"/api/data/historical{path}").status_code == 404
