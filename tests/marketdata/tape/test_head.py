"""The first events of a file: what the import would read, and no more than that takes."""

from __future__ import annotations

import pytest

from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.tape import sources
from apps.marketdata.engine.tape.head import first_events
from apps.ui.engine.refusal import Refusal
from tests.marketdata.tape.conftest import AGG
from tests.marketdata.tape.test_lobster import BOOK, MESSAGE, NAME

BEST = ("bid_size", "bid_price", "ask_price", "ask_size")


def test_trades_have_their_side_and_no_book(put):
    header, rows = first_events(put("BTCUSDT-aggTrades.csv", AGG), ReadOptions(), 2)
    assert header == ("time", "symbol", "side", "price", "size")
    assert len(rows) == 2
    assert {row[1] for row in rows} == {"BTCUSDT"}
    assert {row[2] for row in rows} <= {"buy", "sell"}


def test_a_book_has_its_best_level_after_each_event(put):
    put(NAME.format("orderbook"), BOOK)
    header, rows = first_events(put(NAME.format("message"), MESSAGE), ReadOptions(), 8)
    assert header == ("time", "symbol", "kind", "side", "price", "size", *BEST)
    assert rows[0] == (
        "2012-06-21T13:30:00.017459", "ABC", "add", "buy", "223.81", "100", "100", "223.81", "223.95", "100",
    )  # fmt: skip
    assert [row[2] for row in rows] == ["add", "trade", "hidden", "halt"]
    assert rows[3][4] == "", "a halt has no price"


def test_no_more_of_a_long_file_is_read_than_its_beginning(put, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 4096)
    head, *body = AGG.splitlines()
    path = put("BTCUSDT-aggTrades.csv", "\n".join([head, *body * 2000, "broken"]))
    read = []
    monkeypatch.setattr("apps.marketdata.engine.tape.trades.trades_of", _counted(read))
    assert len(first_events(path, ReadOptions(), 8)[1]) == 8
    assert len(read) == 1


def _counted(read):
    from apps.marketdata.engine.tape.trades import trades_of

    def counted(table, options):
        read.append(table)
        return trades_of(table, options)

    return counted


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [("BTCUSDT-aggTrades.csv", ReadOptions(format="ticks", levels=0), "bad_levels"), ("none.csv", ReadOptions(format="ticks"), "no_files")],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_as_by_the_import(put, name, options, code):
    path = put("BTCUSDT-aggTrades.csv", AGG)
    with pytest.raises(Refusal) as error:
        first_events(path.with_name(name), options, 8)
    assert error.value.code == code


@pytest.mark.data
@pytest.mark.parametrize("path", ["lob"])
def test_real_books_have_a_head(market_data, path):
    found = [file for file in sorted((market_data / path).rglob("*")) if file.suffix in {".zip", ".jsonl", ".csv"}]
    seen = 0
    for file in found:
        from apps.marketdata.engine.tape import tape_format

        if tape_format(file, ReadOptions()):
            header, rows = first_events(file, ReadOptions(), 8)
            assert header[:2] == ("time", "symbol")
            assert rows
            seen += 1
    assert seen
