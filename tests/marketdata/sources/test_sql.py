"""Tables and queries, read and nothing else."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine.readers import read_bars
from apps.marketdata.engine.sources.network import Network
from apps.marketdata.engine.sources.sql import SqlConfig, SqlSource
from apps.marketdata.engine.sources.sql_text import FAMILIES, WORDS, checked_name, checked_query
from apps.ui.engine.config import InvalidConfig, validated
from apps.ui.engine.refusal import Refusal

SOURCE = SqlSource()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM prices", "select a, b from p where c = ';'", "SELECT 1;", " ( SELECT 1 ) ", "WITH x AS (SELECT 1) SELECT * FROM x",
        "SELECT * FROM p -- drop it\n", "SELECT * FROM p /* ; DELETE */ WHERE a = 'insert into'", 'SELECT "order" FROM p',
        "SELECT $$ DROP TABLE x; $$, $a$ ; $a$", "SELECT replace(s, '.SH', '') FROM p WHERE d >= :since", "SELECT a::date FROM p",
        "SELECT substring(a from 1 for 3) FROM p", "SELECT updated_at, deleted FROM p", "SELECT 'it''s'",
    ],
)  # fmt: skip
def test_one_select_passes(query):
    assert checked_query(query).endswith(query.strip().rstrip("; ")[-3:])


@pytest.mark.parametrize(
    "query",
    [
        "", "DROP TABLE p", "UPDATE p SET a = 1", "SELECT 1; DROP TABLE p", "SELECT 1;SELECT 2", "WITH x AS (DELETE FROM p RETURNING *) SELECT * FROM x",
        "SELECT * INTO q FROM p", "EXPLAIN ANALYZE DELETE FROM p", "SELECT pg_sleep(100)", "SELECT pg_read_file('/etc/passwd')", "SELECT PG_TERMINATE_BACKEND(1)",
        "SELECT lo_export(1, '/tmp/x')", "SELECT dblink('host=x', 'DROP')", "SELECT set_config('a', 'b', false)", "SELECT nextval('s')",
        "COPY p TO '/tmp/x'", "SELECT 1 --\n; DROP TABLE p", "SELECT 1 /* */; DROP TABLE p", "SELECT '\\'; DROP TABLE p; --'", "SELECT E'\\'; DROP TABLE p --'",
        "SELECT 'open", "SELECT /* open", "SELECT $a$ open", 'SELECT "pg_sleep"(1)', 'SELECT U&"pg\\005fsleep"(1)', "VALUES (1)", "TABLE p", "PRAGMA x", "ATTACH 'x' AS y",
        "SELECT load_extension('x')", "SELECT query_to_xml('DROP TABLE p', true, true, '')", "DO $$ BEGIN END $$", "CALL x()", "SET x = 1", "BEGIN; SELECT 1",
    ],
)  # fmt: skip
def test_anything_else_is_refused(query):
    with pytest.raises(Refusal) as caught:
        checked_query(query)
    assert (caught.value.code, caught.value.field) == ("bad_query", "query")


FILLERS = st.lists(st.sampled_from([" ", "\n", "\t", "/* x */", "-- y\n", "(", ")", ",", "a", "1", "'t'", '"n"', "$$ d $$", "::date"]), max_size=6).map(" ".join)  # fmt: skip


@given(FILLERS, st.sampled_from(sorted(WORDS | {f"{one}x" for one in FAMILIES})), FILLERS, st.booleans())
def test_a_forbidden_word_is_found_wherever_it_stands(before, word, after, upper):
    with pytest.raises(Refusal):
        checked_query(f"SELECT {before} {word.upper() if upper else word} {after}")


@given(st.text(max_size=80))
def test_any_text_is_a_query_or_refused(text):
    with suppress(Refusal):
        found = checked_query(text).lower()
        assert "select" in found or "with" in found


@pytest.mark.parametrize("name", ['a"b', "a;b", "a b", "", ".a", "a.", "a.b.c.d", "1a", "a-b", "ä"])
def test_only_plain_names_are_names(name):
    with pytest.raises(Refusal):
        checked_name(name, "table")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"engine": "sqlite", "database": "x"}, "table"), ({"engine": "sqlite", "table": "p", "query": "SELECT 1"}, "table"),
        ({"engine": "postgresql", "table": "p"}, "host"), ({"engine": "sqlite", "query": "DELETE FROM p"}, "query"),
        ({"engine": "sqlite", "table": "p; DROP"}, "table"), ({"engine": "mysql", "table": "p"}, "engine"),
        ({"engine": "sqlite", "table": "p", "date_column": "a b"}, "date_column"), ({"engine": "postgresql", "host": "h", "table": "p", "port": 0}, "port"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_work_is_refused_at_its_field(values, field):
    with pytest.raises(InvalidConfig) as caught:
        validated(SqlConfig, values)
    assert caught.value.field == field


# SQLite

ROWS = [
    (f"2024-01-{day:02d}", symbol, 10.0 + day, 12.0, 9.0, 11.0, 100)
    for day in range(2, 12)
    for symbol in ("AAA", "BBB")
]
CREATE = "CREATE TABLE prices (date TEXT, symbol TEXT, open REAL, high REAL, low REAL, close REAL, volume INTEGER)"


@pytest.fixture
def prices(import_root):
    path = import_root / "vendor.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute(CREATE)
        database.executemany("INSERT INTO prices VALUES (?, ?, ?, ?, ?, ?, ?)", ROWS)
    database.close()
    return path


def lite(job, **more):
    values = {"engine": "sqlite", "database": "vendor.sqlite3", **({} if "query" in more else {"table": "prices"})}
    return job("sql", **values | more)


def test_a_table_is_read_whole_and_then_since_the_newest_bar(job, prices):
    work = lite(job)
    fetched = SOURCE.fetch(work)
    assert fetched.pieces[0].rows == 20
    panel = read_bars(work.folder).panel
    assert (panel.symbols, len(panel.times), panel.open[0, 0]) == (("AAA", "BBB"), 10, 12.0)
    again = lite(job, held={"AAA": np.datetime64("2024-01-11", "ns")}, overlap=1)
    assert SOURCE.fetch(again).pieces[0].rows == 4


def test_nothing_new_is_no_file(job, prices):
    assert SOURCE.fetch(lite(job, held={"AAA": np.datetime64("2025-01-11", "ns")})).files == ()


def test_a_query_may_ask_since(job, prices):
    query = (
        "SELECT date, symbol, open, high, low, close FROM prices WHERE symbol = 'AAA' AND date >= :since ORDER BY date"
    )
    fetched = SOURCE.fetch(lite(job, query=query, start="2024-01-08"))
    assert fetched.pieces[0].rows == 4
    assert "2024-01-08" not in fetched.pieces[0].what


def test_columns_and_symbols_are_told(job, prices):
    assert "date, symbol, open" in str(SOURCE.test(lite(job)))
    assert SOURCE.symbols(lite(job)) == ["AAA", "BBB"]
    assert SOURCE.symbols(lite(job, query="SELECT * FROM prices WHERE symbol > 'AAA'")) == ["BBB"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"database": "absent.sqlite3"}, "no_such_file"), ({"database": "../../etc/passwd"}, "bad_folder"), ({"table": "absent"}, "database_failed"),
        ({"date_column": "day"}, "no_column"), ({"query": "SELECT open FROM prices"}, "no_column"), ({"query": "SELECT :x AS date"}, "database_failed"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told(job, prices, more, code):
    with pytest.raises(Refusal) as caught:
        SOURCE.fetch(lite(job, **more))
    assert caught.value.code == code


def test_the_database_itself_refuses_to_write(job, prices, monkeypatch):
    """Even a text that got past the reading of its words changes nothing."""
    from apps.marketdata.engine.sources import sql

    for text in (
        "DELETE FROM prices",
        "INSERT INTO prices (date) VALUES ('x')",
        "DROP TABLE prices",
        "ATTACH ':memory:' AS x",
    ):
        monkeypatch.setattr(sql.SqlSource, "_select", staticmethod(lambda work, text=text: text))
        with pytest.raises(Refusal) as caught:
            SOURCE.fetch(lite(job))
        assert caught.value.code == "database_failed"
    with sqlite3.connect(prices) as database:
        assert database.execute("SELECT count(*) FROM prices").fetchone() == (20,)
    database.close()


def test_a_query_without_end_is_ended(job, prices):
    endless = "WITH RECURSIVE n(date) AS (SELECT 1 UNION ALL SELECT date + 1 FROM n) SELECT max(date) AS date FROM n"
    with pytest.raises(Refusal) as caught:
        SOURCE.fetch(lite(job, query=endless, network=Network(seconds=0.2)))
    assert caught.value.code == "database_failed"


def test_more_than_the_limit_is_refused(job, import_root, prices):
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000) SELECT '2024-01-02' AS date, i FROM n"
    with pytest.raises(Refusal) as caught:
        SOURCE.fetch(lite(job, query=many, network=Network(limit=20_000)))
    assert caught.value.code == "too_large"


# PostgreSQL

SERVER = os.environ.get("QUANT_TEST_POSTGRES") or os.environ.get("DATABASE_URL", "")


@pytest.fixture
def postgres():
    """A table of its own in the PostgreSQL of the test run; skips without one."""
    psycopg = pytest.importorskip("psycopg")
    if not SERVER.startswith("postgres"):
        pytest.skip("no PostgreSQL: set DATABASE_URL or QUANT_TEST_POSTGRES")
    parts = urlsplit(SERVER)
    where = {"host": parts.hostname, "port": parts.port or 5432, "user": unquote(parts.username or ""), "dbname": "postgres",
             "password": unquote(parts.password or "") or None}  # fmt: skip
    table = f"source_prices_{os.getpid()}"
    with psycopg.connect(**where, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(CREATE.replace("prices", table).replace("date TEXT", "date DATE"))
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s, %s, %s, %s, %s, %s)", ROWS)
        connection.execute(
            f"CREATE OR REPLACE FUNCTION {table}_w() RETURNS int LANGUAGE sql AS 'INSERT INTO {table} (symbol) VALUES (''X''); SELECT 1'"
        )
        yield where, table
        connection.execute(f"DROP FUNCTION {table}_w()")
        connection.execute(f"DROP TABLE {table}")


def pg(job, postgres, *, allowed=True, **more):
    where, table = postgres
    network = Network(frozenset({where["host"]}) if allowed else frozenset())
    secret = {"username": where["user"], "password": where["password"] or ""}
    values = {"engine": "postgresql", "host": where["host"], "port": where["port"], "database": "postgres", "encrypted": False,
              **({} if "query" in more else {"table": table})}  # fmt: skip
    return job("sql", network=network, secret=secret, **values | more)


@pytest.mark.postgres
def test_postgresql_is_read_since_the_newest_bar(job, postgres):
    work = pg(job, postgres, held={"AAA": np.datetime64("2024-01-11", "ns")}, overlap=1)
    assert SOURCE.fetch(work).pieces[0].rows == 4
    assert read_bars(work.folder).panel.symbols == ("AAA", "BBB")
    assert SOURCE.symbols(pg(job, postgres)) == ["AAA", "BBB"]


@pytest.mark.postgres
def test_postgresql_refuses_a_function_that_writes(job, postgres):
    _where, table = postgres
    with pytest.raises(Refusal) as caught:
        SOURCE.fetch(pg(job, postgres, query=f"SELECT {table}_w() AS date"))
    assert "read-only" in str(caught.value)


@pytest.mark.postgres
def test_a_database_inside_is_reached_only_where_an_administrator_allows_it(job, postgres):
    with pytest.raises(Refusal) as caught:
        SOURCE.fetch(pg(job, postgres, allowed=False))
    assert caught.value.code == "private_address"


@pytest.mark.postgres
def test_a_wrong_log_in_is_told_without_the_password(job, postgres):
    work = pg(job, postgres, database="no_such_database_here")
    with pytest.raises(Refusal) as caught:
        SOURCE.fetch(work)
    assert caught.value.code == "database_failed"
