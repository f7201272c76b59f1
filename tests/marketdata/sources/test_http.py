"""Files of bars at an address, through a server on this machine."""

from __future__ import annotations

import base64

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.marketdata.engine.readers import read_bars
from apps.marketdata.engine.sources.http import HttpConfig, HttpSource, secret_fields, secret_headers
from apps.marketdata.engine.sources.network import TryAgain
from apps.ui.engine.config import InvalidConfig, validated
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import csv_lines

SOURCE = HttpSource()
CSV = csv_lines(5).encode()


def test_a_file_is_fetched_and_asked_again_only_for_changes(job, server, inside):
    server.answer = lambda path, heads: (
        (304, {}, b"") if heads.get("if-none-match") == '"1"' else (200, {"ETag": '"1"'}, CSV)
    )
    first = SOURCE.fetch(job("http", network=inside, url=f"{server.url}/AAA.csv"))
    assert [file.name for file in first.files] == ["AAA.csv"]
    assert (first.pieces[0].what, first.pieces[0].size) == (f"{server.url}/AAA.csv", len(CSV))
    second = SOURCE.fetch(job("http", network=inside, url=f"{server.url}/AAA.csv", marks=first.marks))
    assert (second.files, second.marks) == ((), first.marks)


def test_a_server_without_marks_is_known_by_the_hash(job, server, inside):
    server.answer = lambda path, heads: (200, {}, CSV)
    first = SOURCE.fetch(job("http", network=inside, url=f"{server.url}/AAA.csv"))
    assert SOURCE.fetch(job("http", network=inside, url=f"{server.url}/AAA.csv", marks=first.marks)).files == ()


def test_each_symbol_is_asked_since_its_own_newest_bar(job, server, inside):
    server.answer = lambda path, heads: (200, {}, CSV)
    held = {"AAA": np.datetime64("2024-03-10", "ns")}
    url = f"{server.url}/bars?s={{symbol}}&from={{since}}"
    work = job("http", network=inside, url=url, symbols="AAA, BTC/USDT", held=held, start="2020-01-01", overlap=5)
    fetched = SOURCE.fetch(work)
    assert [path for path, _heads in server.asked] == [
        "/bars?s=AAA&from=2024-03-05",
        "/bars?s=BTC%2FUSDT&from=2020-01-01",
    ]
    assert [file.name for file in fetched.files] == ["AAA.csv", "BTC_USDT.csv"]
    assert read_bars(work.folder).panel.symbols == ("AAA", "BTC_USDT")


def test_parquet_is_known_by_what_the_server_says(job, server, inside, tmp_path):
    table = pa.table({"date": ["2024-01-02"], "open": [1.0], "high": [2.0], "low": [0.5], "close": [1.5]})
    pq.write_table(table, tmp_path / "x")
    body = (tmp_path / "x").read_bytes()
    server.answer = lambda path, heads: (200, {"Content-Type": "application/vnd.apache.parquet"}, body)
    work = job("http", network=inside, url=f"{server.url}/download?id=7")
    assert [file.name for file in SOURCE.fetch(work).files] == ["download.parquet"]
    assert read_bars(work.folder).panel.close[0, 0] == 1.5


@pytest.mark.parametrize(
    ("secret", "header", "value"),
    [
        ({"token": "t0ken-1"}, "authorization", "Bearer t0ken-1"),
        ({"username": "me", "password": "pass-1"}, "authorization", "Basic " + base64.b64encode(b"me:pass-1").decode()),  # pragma: allowlist secret
        ({"header": "X-Api-Key", "value": "key-1"}, "x-api-key", "key-1"),
    ],
)  # fmt: skip
def test_the_secret_is_sent_as_it_says(job, server, inside, secret, header, value):
    server.answer = lambda path, heads: (200, {}, CSV)
    SOURCE.fetch(job("http", network=inside, url=f"{server.url}/AAA.csv", credential="mine", secret=secret))
    assert server.asked[0][1][header] == value


def test_a_secret_in_the_address_is_not_written_down(job, server, inside):
    server.answer = lambda path, heads: (200, {}, CSV)
    url = f"{server.url}/AAA.csv?apikey={{secret}}"
    fetched = SOURCE.fetch(job("http", network=inside, url=url, credential="mine", secret={"token": "t0ken-1/&"}))
    assert server.asked[0][0] == "/AAA.csv?apikey=t0ken-1%2F%26"
    assert "authorization" not in server.asked[0][1]
    assert "t0ken-1" not in str(fetched)
    assert fetched.pieces[0].what == url


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"url": "ftp://x/a"}, "url", "https://"),
        ({"url": "https://me:secret-1@x/a"}, "url", "password"),  # pragma: allowlist secret
        ({"url": "https://x/a?api_key=abc"}, "url", "looks like a key"),  # pragma: allowlist secret
        ({"url": "https://x/a?TOKEN=abc"}, "url", "looks like a key"),
        ({"url": "https://x/{day}"}, "url", "{day}"),
        ({"url": "https://x/{symbol}"}, "symbols", "symbols"),
        ({"url": "https://x/?k={secret}"}, "credential", "secret"),
        ({"url": "https://x/", "start": "yesterday"}, "start", ""),
        ({"url": "https://x/", "start": "2024-02-31"}, "start", ""),
        ({"url": "https://x/", "symbols": "A" * 33}, "symbols", "32"),
        ({}, "url", "needed"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_at_its_field(values, field, words):
    with pytest.raises(InvalidConfig) as caught:
        validated(HttpConfig, values)
    assert (caught.value.field, words in str(caught.value)) == (field, True)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [(200, b"<!doctype html><h1>Log in</h1>", "wrong_contents"), (200, b"\x7fELF\x00", "wrong_contents"), (404, b"", "source_answered")],
)  # fmt: skip
def test_rubbish_is_refused(job, server, inside, status, body, code):
    server.answer = lambda path, heads: (status, {}, body)
    with pytest.raises(Refusal) as caught:
        SOURCE.fetch(job("http", network=inside, url=f"{server.url}/AAA.csv"))
    assert caught.value.code == code


def test_one_symbol_that_fails_fails_the_whole(job, server, inside):
    server.answer = lambda path, heads: (200, {}, CSV) if "AAA" in path else (503, {}, b"")
    with pytest.raises(TryAgain):
        SOURCE.fetch(job("http", network=inside, url=f"{server.url}/{{symbol}}.csv", symbols="AAA,BBB"))


def test_an_empty_answer_is_nothing_new(job, server, inside):
    server.answer = lambda path, heads: (200, {}, b"")
    assert SOURCE.fetch(job("http", network=inside, url=f"{server.url}/AAA.csv")).files == ()


def test_symbols_that_differ_in_punctuation_alone_are_refused(job, server, inside):
    server.answer = lambda path, heads: (200, {}, CSV)
    with pytest.raises(Refusal) as caught:
        SOURCE.fetch(job("http", network=inside, url=f"{server.url}/?s={{symbol}}", symbols="A/B,A_B"))
    assert caught.value.code == "symbols_alike"


def test_a_test_says_what_answered(job, server, inside):
    server.answer = lambda path, heads: (200, {"Content-Type": "text/csv"}, CSV)
    said = SOURCE.test(job("http", network=inside, url=f"{server.url}/AAA.csv"))
    assert str(said) == f"127.0.0.1 answered with {len(CSV)} bytes (text/csv)."


def test_a_secret_is_a_text_or_named_fields():
    assert secret_fields("abc") == {"token": "abc"}
    assert secret_fields('{"username": "a", "password": 7}') == {"username": "a", "password": "7"}
    assert secret_fields("[1]") == {"token": "[1]"}


@pytest.mark.parametrize(
    "secret", [{}, {"token": "a\nb"}, {"header": "X Y", "value": "1"}, {"header": "X", "value": "é"}]
)
def test_what_cannot_be_a_header_is_refused(secret):
    with pytest.raises(Refusal) as caught:
        secret_headers(secret)
    assert caught.value.code == "bad_secret"
