"""Trades and books in the catalogue: import, page, API, commands; who may see them, and what a wrong word is told."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from apps.marketdata import tape_exports, views
from apps.marketdata.engine.assemble import Imported
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.models import Dataset, QualityCheck
from apps.marketdata.selectors import dataset_panel, dataset_tape
from apps.marketdata.services import dataset_bars, dataset_check, dataset_import, dataset_import_path
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars
from tests.marketdata.tape.conftest import AGG
from tests.marketdata.tape.test_depth import change, lines, snapshot, trade

pytestmark = pytest.mark.django_db

DEPTH = lines(
    snapshot(E=1_711_589_400_000), trade("10.1", "2", at=50), change(101, 101, [["10.0", "7"]], at=100),
    change(102, 102, [["9.8", "1"]], at=60_000), trade("10.0", "1", at=61_000),
)  # fmt: skip


@pytest.fixture
def book(put, var_dir, alice):
    return dataset_import_path(put("BTCUSDT.jsonl", DEPTH), name="book", options=ReadOptions(), owner=alice)


@pytest.fixture
def ticks(put, var_dir, alice):
    path = put("BTCUSDT-aggTrades.csv", AGG)
    return dataset_import_path(path, name="ticks", options=ReadOptions(currency="USDT"), owner=alice)


def page(client, name, dataset, **query):
    return client.get(reverse(f"marketdata:{name}", args=[dataset.pk]), query)


def test_an_import_is_a_checked_version_of_its_kind(book, ticks):
    assert (book.content, book.rows, book.symbol_count, book.verdict) == ("book", 5, 1, "clean")
    assert (ticks.content, ticks.rows, ticks.lineage["format"]) == ("ticks", 3, "ticks")
    assert book.symbols.get().symbol == "BTCUSDT"
    assert book.end.isoformat() == "2024-03-28T01:31:01+00:00"
    assert dataset_check(book).verdict == "clean"
    assert book.checks.count() == 2


def test_the_same_file_again_is_the_same_version_and_another_one_the_next(book, put, alice):
    same = dataset_import_path(put("BTCUSDT.jsonl", DEPTH), name="book", options=ReadOptions(), owner=alice)
    other = dataset_import_path(put("BTCUSDT.jsonl", DEPTH), name="book", options=ReadOptions(levels=1), owner=alice)
    assert same.pk == book.pk
    assert (other.version, other.parent_id) == (2, book.pk)


def test_a_refused_file_leaves_nothing(put, var_dir, alice):
    with pytest.raises(Refusal):
        dataset_import_path(put("x.jsonl", DEPTH + "{half\n"), name="bad", options=ReadOptions(), owner=alice)
    with pytest.raises(Refusal) as no:
        dataset_import_path(
            put("y.csv", AGG.replace("agg_trade", "symbol,agg_trade").replace("\n1", f"\n{'A' * 40},1")),
            name="bad", options=ReadOptions(), owner=alice,
        )  # fmt: skip
    assert no.value.code == "bad_symbol"
    assert not Dataset.objects.exists()
    assert list((var_dir / "spool").rglob("*")) == []


def test_a_stopped_import_leaves_nothing(put, var_dir, alice):
    def stop(_share, _what, _rows=0):
        raise KeyboardInterrupt

    def stop_at(stage):
        if stage == "storing":
            raise KeyboardInterrupt

    for stopped in ({"on_progress": stop}, {"on_stage": stop_at}):
        with pytest.raises(KeyboardInterrupt):
            dataset_import_path(put("x.csv", AGG), name="x", options=ReadOptions(), owner=alice, **stopped)
    assert not Dataset.objects.exists()
    assert [*(var_dir / "spool").rglob("*")] == []
    assert [*(var_dir / "datasets").iterdir()] == []


@pytest.fixture
def daily(var_dir, alice):
    return dataset_import(name="daily", imported=Imported(bars([1, 2, 3])), source="test", owner=alice)


def test_events_are_no_bars_and_bars_no_events(book, daily):
    with pytest.raises(Refusal) as no:
        dataset_panel(book)
    assert (no.value.code, "derive_bars" in str(no.value)) == ("not_bars", True)
    with pytest.raises(Refusal) as no:
        dataset_tape(daily)
    assert no.value.code == "no_tape"


def test_the_page_shows_the_book_at_a_time(client, book, alice):
    client.force_login(alice)
    text = page(client, "detail", book).content.decode()
    assert "Order book" in text
    assert text.count("<svg") > 3
    early = page(client, "detail", book, at="2024-03-28 01:30:00.060").content.decode()
    assert "01:30:00.050" in early
    for span in ("1h", "10min", "1min", "nonsense"):
        assert page(client, "detail", book, span=span, symbol="no such").status_code == 200


@pytest.mark.parametrize("at", ["yesterday", "2024-03-27", "9" * 60])
def test_a_wrong_time_is_told_at_its_field(client, book, alice, at):
    client.force_login(alice)
    answer = page(client, "detail", book, at=at)
    assert answer.status_code == 200
    assert 'aria-invalid="true"' in answer.content.decode()


def test_the_page_of_trades_shows_prices_and_the_latest(client, ticks, alice):
    client.force_login(alice)
    text = page(client, "detail", ticks).content.decode()
    assert "Latest trades" in text
    assert "100.4" in text
    assert 'id="book"' not in text


def test_the_page_costs_the_same_queries_and_says_when_files_are_gone(
    client, book, alice, django_assert_max_num_queries, var_dir
):
    client.force_login(alice)
    with django_assert_max_num_queries(22):
        page(client, "detail", book)
    (var_dir / "datasets" / book.content_hash / "price.npy").unlink()
    assert "The files are gone" in page(client, "detail", book).content.decode()


@pytest.mark.parametrize(("name", "method"), [("detail", "get"), ("download", "get"), ("derive", "post")])
def test_a_stranger_finds_nothing(client, book, bob, name, method):
    client.force_login(bob)
    assert getattr(client, method)(reverse(f"marketdata:{name}", args=[book.pk])).status_code == 404
    assert Dataset.objects.count() == 1
    assert QualityCheck.objects.count() == 1


def test_the_list_names_what_the_rows_are(client, book, ticks, alice):
    client.force_login(alice)
    text = client.get(reverse("marketdata:list")).content.decode()
    assert "order book" in text
    assert "trades" in text


def test_bars_are_made_on_the_page_and_remember_where_from(client, ticks, alice):
    client.force_login(alice)
    answer = client.post(reverse("marketdata:derive", args=[ticks.pk]), {"rule": "time", "size": "1min"})
    made = Dataset.objects.get(name="ticks-1min")
    assert answer.url == reverse("marketdata:detail", args=[made.pk])
    assert (made.content, made.frequency, made.rows, made.parent_id, made.currency) == (
        "bars",
        "1min",
        2,
        ticks.pk,
        "USDT",
    )
    assert made.lineage["rule"] == "time"
    assert dataset_panel(made).close.tolist() == [[100.6, 100.4]]
    answer = client.post(reverse("marketdata:derive", args=[ticks.pk]), {"rule": "volume", "size": "x"}, follow=True)
    assert "is not a size" in answer.content.decode()
    assert client.get(reverse("marketdata:detail", args=[made.pk])).status_code == 200


def test_too_many_events_are_sent_to_the_command(client, ticks, alice, monkeypatch):
    monkeypatch.setattr(views, "DERIVE_ROWS", 2)
    client.force_login(alice)
    answer = client.post(reverse("marketdata:derive", args=[ticks.pk]), {"rule": "time", "size": "1min"})
    assert answer.status_code == 413
    assert "derive_bars" in answer.content.decode()


def test_bars_of_what_is_not_ones_own_are_ones_own(ticks, bob):
    made = dataset_bars(ticks, rule="trades", size="3", actor=bob)
    assert (made.owner, made.name) == (bob, "ticks-trades-3-bob")
    assert dataset_bars(ticks, rule="dollar", size="150.5", actor=None).name == "ticks-dollar-150_5"


def test_events_are_exported_in_every_format(client, book, alice):
    client.force_login(alice)
    tables = []
    for kind in ("csv", "parquet", "arrow"):
        data = page(client, "download", book, format=kind).content
        if kind == "csv":
            text = data.decode().splitlines()
            assert text[0].startswith("symbol,time,kind,side,price,size,id,bid_price_1,bid_size_1")
            assert len(text) == 6
        else:
            tables.append(
                pq.read_table(io.BytesIO(data)) if kind == "parquet" else pyarrow.feather.read_table(io.BytesIO(data))
            )
    assert tables[0].equals(tables[1])
    assert tables[0]["kind"].to_pylist() == ["snapshot", "trade", "update", "update", "trade"]
    part = page(client, "download", book, start="2024-03-28T01:30:00.050Z", end="2024-03-28T01:30:00.100Z").content
    assert len(part.decode().splitlines()) == 3


@pytest.mark.parametrize(
    ("query", "status"),
    [({"format": "xls"}, 422), ({"symbol": "NO"}, 404), ({"start": "x"}, 422),
     ({"start": "2024-03-29", "end": "2024-03-28"}, 422), ({"start": "2030-01-01"}, 200)],
)  # fmt: skip
def test_an_export_that_cannot_be_is_refused(client, book, alice, query, status):
    client.force_login(alice)
    assert page(client, "download", book, **query).status_code == status


def test_an_answer_has_its_limit(client, book, alice, monkeypatch):
    monkeypatch.setattr(tape_exports, "CELLS", 10)
    client.force_login(alice)
    assert page(client, "download", book).status_code == 413


def test_the_api_gives_book_course_bars_and_events(client, book, ticks, daily, alice, bob):
    client.force_login(alice)
    at = f"/api/datasets/{book.pk}"
    found = client.get(f"{at}/book?time=2024-03-28T01:30:00.060Z&levels=1").json()
    assert (found["bids"], found["asks"], found["row"], found["event"]) == ([[10.0, 5.0]], [[10.1, 4.0]], 2, "trade")
    assert found["spread"] == pytest.approx(0.1)
    course = client.get(f"{at}/spread?points=2").json()
    assert course["bid_depth"] == [6.0, 9.0]
    assert client.get(f"{at}/export?format=csv").status_code == 200
    made = client.post(f"/api/datasets/{ticks.pk}/bars", {"rule": "trades", "size": "3"}, "application/json").json()
    assert (made["name"], made["rows"], made["content"]) == ("ticks-trades-3", 1, "bars")
    wrong = {
        f"{at}/book?time=x": 422, f"{at}/book?symbol=NO": 404, f"{at}/book?levels=0": 422,
        f"{at}/book?time=2020-01-01": 404, f"/api/datasets/{ticks.pk}/book": 409,
        f"/api/datasets/{ticks.pk}/spread": 409, f"/api/datasets/{daily.pk}/book": 409,
    }  # fmt: skip
    assert {url: client.get(url).status_code for url in wrong} == wrong
    client.force_login(bob)
    assert client.get(f"{at}/book").status_code == client.get(f"{at}/spread").status_code == 404
    assert client.post(f"{at}/bars", {}, "application/json").status_code == 404


def test_commands_import_check_show_derive_and_export(put, var_dir, tmp_path, capsys):
    path = put("BTCUSDT.jsonl", DEPTH)
    call_command("import_bars", str(path), dataset="book", format="binance_depth", levels=1, json=True)
    assert json.loads(capsys.readouterr().out)["content"] == "book"
    call_command("check_data", str(path), json=True)
    assert json.loads(capsys.readouterr().out)["findings"] == []
    call_command("check_data", "book")
    assert "No findings." in capsys.readouterr().out
    call_command("show_book", "book", time="2024-03-28T01:30:00.060Z", json=True)
    assert json.loads(capsys.readouterr().out)["bids"] == [[10.0, 5.0]]
    call_command("show_book", "book")
    assert "bid" in capsys.readouterr().out
    call_command("derive_bars", "book", by="trades", size="2", json=True)
    assert json.loads(capsys.readouterr().out)["name"] == "book-trades-2"
    call_command("export_data", "book", str(tmp_path / "out.parquet"), json=True)
    assert json.loads(capsys.readouterr().out)["rows"] == pq.read_table(tmp_path / "out.parquet").num_rows == 5
    with pytest.raises(CommandError, match="is not a size"):
        call_command("derive_bars", "book", by="volume", size="x")
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_data", "book", str(tmp_path / "out.parquet"))
    with pytest.raises(CommandError, match="not bars"):
        call_command("adjust_data", "book")


def test_the_wizard_shows_the_first_events_of_a_file_and_has_no_columns_to_ask_about(client, var_dir, alice):
    client.force_login(alice)
    form = {"name": "t", "adjustment": "raw", "time_zone": "UTC", "format": "auto", "levels": "5"}
    upload = SimpleUploadedFile("BTCUSDT.jsonl", DEPTH.encode())
    answer = client.post(reverse("marketdata:import"), {**form, "upload": upload, "preview": "1"})
    shown = answer.content.decode()
    assert "names its own columns" in shown
    assert '<select name="col_0"' not in shown
    assert answer.context["rows"][0] == (
        "2024-03-28T01:30:00.000000", "BTCUSDT", "Stated book", "", "", "", "5", "10", "10.1", "4",
    )  # fmt: skip
    assert [row[2] for row in answer.context["rows"]] == [
        "Stated book", "Trade", "Levels changed", "Levels changed", "Trade",
    ]  # fmt: skip
    assert not Dataset.objects.exists()
    upload = SimpleUploadedFile("BTCUSDT.jsonl", DEPTH.encode())
    answer = client.post(reverse("marketdata:import"), {**form, "upload": upload, "levels": "0"})
    assert answer.status_code == 422


def test_runs_and_features_on_events_are_refused_before_they_begin(client, ticks, alice):
    from apps.marketdata.features import table_question
    from apps.strategies.engine.registry import InvalidConfig
    from apps.strategies.services import config_check

    with pytest.raises(InvalidConfig) as no:
        config_check(alice, "rule", {"dataset": "ticks", "symbol": "BTCUSDT"})
    assert no.value.errors[0].field == "dataset"
    with pytest.raises(Refusal):
        table_question(ticks, {"a": "$close"}, [], "", "")


def test_a_tape_is_mapped_not_read(book):
    tape = dataset_tape(book)
    assert all(isinstance(values, np.memmap) for values in tape.columns.values())
