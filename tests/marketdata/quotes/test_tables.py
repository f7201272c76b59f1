"""How quotes lie in the tables: books in bytes, arrays for PostgreSQL, the log for readers that come often."""

from __future__ import annotations

import json
import struct

import pytest
from django.db import DatabaseError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.marketdata.adapters import latest_store, quote_tables
from apps.marketdata.adapters.latest_store import TableStore
from apps.marketdata.engine.quotes.book import book_packed, book_sides
from apps.marketdata.models import LatestQuote, QuoteRecord
from tests.marketdata.quotes.conftest import NOW, many, store, told

on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL")
numbers = st.floats(allow_nan=False, allow_infinity=False)
sides = st.lists(st.tuples(numbers, numbers), max_size=5).map(tuple)


@given(sides, sides)
def test_a_book_comes_back_as_it_was_packed(bids, asks):
    packed = book_packed(bids, asks)
    assert book_sides(packed) == (bids, asks)
    assert len(packed) == (1 + 16 * (len(bids) + len(asks)) if bids or asks else 0)


@given(sides, sides)
def test_a_book_of_an_older_version_is_read(bids, asks):
    text = json.dumps([bids, asks])
    assert book_sides(text) == book_sides(text.encode()) == (bids, asks)


@pytest.mark.parametrize("book", [b"\x11" + bytes(31), b"\x11" + bytes(33), b"\x55"])
def test_a_book_that_was_cut_is_no_book(book):
    with pytest.raises(struct.error, match="unpack requires a buffer"):
        book_sides(book)


@on_postgresql
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", [1, -(2**63), None]), ("integer", [None, None]), ("double precision", [0.1, None, -1e300, 5e-324]),
        ("text", ["", "股票", None, "a,{}\"'\\"]), ("bytea", [b"", b"\x00\xff", None]), ("text", []),
    ],
)  # fmt: skip
def test_arrays_come_to_the_server_as_they_are(kind, values):
    from apps.marketdata.adapters.pg_rows import run_with_arrays

    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE kept (at serial, value {kind}) ON COMMIT DROP")
        run_with_arrays(f"INSERT INTO kept (value) SELECT * FROM unnest(%b::{kind}[])", [(kind, values)])
        cursor.execute("SELECT value FROM kept ORDER BY at")
        assert [value for (value,) in cursor.fetchall()] == values
        with pytest.raises(DatabaseError):
            run_with_arrays("INSERT INTO no_such_table SELECT * FROM unnest(%b::text[])", [("text", ["a"])])


def lasts_of(rows):
    return {row[2]: row[5] for row in rows}


@pytest.mark.django_db
def test_a_reader_that_comes_often_reads_the_log_and_one_that_was_away_the_latest(writer, monkeypatch):
    monkeypatch.setattr(latest_store, "LOG_SPAN", 4)
    cursor, rows = TableStore().changed(None)
    store(writer, many(3))
    cursor, rows = TableStore().changed(cursor)
    assert lasts_of(rows) == {"S0": 10.0, "S1": 11.0, "S2": 12.0}
    store(writer, many(4, start=NOW + 10))
    cursor, rows = TableStore().changed(cursor)
    assert [row[0] for row in rows] == [4, 5, 6, 7]
    store(writer, many(5, start=NOW + 20))
    cursor, rows = TableStore().changed(cursor)
    assert sorted(row[0] for row in rows) == [10, 11, 12]


@pytest.mark.django_db
def test_what_was_dropped_of_the_log_is_found_among_the_latest(writer):
    store(writer, many(3))
    cursor, _rows = TableStore().changed(None)
    store(writer, [told("S1", 50.0, NOW + 60), told("S1", 60.0, NOW + 61)])
    QuoteRecord.objects.filter(seq__lte=4).delete()
    _cursor, rows = TableStore().changed(cursor)
    assert lasts_of(rows) == {"S0": 10.0, "S1": 60.0, "S2": 12.0}


@pytest.mark.django_db
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(st.integers(0, 4), max_size=8))
def test_a_reader_of_the_tables_misses_nothing_whenever_it_asks(writer, steps):
    cursor, seen = None, {}
    for at, count in enumerate(steps):
        store(writer, many(count, start=NOW + 10 * quote_tables.head()))
        if at % 2:
            cursor, rows = TableStore().changed(cursor)
            seen |= lasts_of(rows)
            assert seen == dict(LatestQuote.objects.values_list("symbol", "last"))
