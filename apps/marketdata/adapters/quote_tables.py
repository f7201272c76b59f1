"""The tables of quotes, written by the ten thousand a second: plain SQL, one statement for many rows.

SQLite takes many rows through one prepared statement, PostgreSQL through COPY and through arrays. Both write in the
transaction of the caller, which holds the head (``take_numbers``) until its commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection

from apps.marketdata.engine.quotes import MinuteBar, Quote
from apps.marketdata.engine.quotes.book import book_packed

RECORD, LATEST = "marketdata_quoterecord", "marketdata_latestquote"
MINUTES, HEAD = "marketdata_minuterow", "marketdata_quotehead"
REAL = "double precision"
#: Columns and their types on PostgreSQL.
RECORD_COLUMNS: Mapping[str, str] = {
    "seq": "bigint", "feed_id": "bigint", "symbol": "text", "time": REAL, "received": REAL, "last": REAL,
    "volume": REAL, "amount": REAL, "prev_close": REAL, "book": "bytea",
}  # fmt: skip
_NAMES = ", ".join(RECORD_COLUMNS)
LATEST_COLUMNS: Mapping[str, str] = {**RECORD_COLUMNS, "day": "integer"}
MINUTE_COLUMNS: Mapping[str, str] = {
    "feed_id": "bigint", "symbol": "text", "minute": "bigint", "open": REAL, "high": REAL, "low": REAL, "close": REAL,
    "volume": REAL, "amount": REAL, "count": "integer",
}  # fmt: skip
DAY = 86_400


def take_numbers(count: int) -> int:
    """Raise the head by ``count`` and return the first of the new numbers; held until the transaction ends."""
    with connection.cursor() as cursor:
        for _attempt in range(2):
            cursor.execute(
                f"UPDATE {HEAD} SET last_seq = last_seq + %s WHERE id = 1 RETURNING last_seq",  # noqa: S608 - a name of ours
                [count],
            )
            found = cursor.fetchone()
            if found is not None:
                return int(found[0]) - count + 1
            cursor.execute(f"INSERT INTO {HEAD} (id, last_seq) VALUES (1, 0) ON CONFLICT DO NOTHING")  # noqa: S608
    raise RuntimeError("the head of the quotes cannot be made")


def head() -> int:
    """Return the number of the last quote, 0 before the first."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT last_seq FROM {HEAD} WHERE id = 1")  # noqa: S608 - a name of ours
        found = cursor.fetchone()
    return int(found[0]) if found else 0


def latest_rows(feed_id: int | None = None) -> list[tuple[Any, ...]]:
    """Return the newest quotes, of all feeds or one, as rows of ``RECORD_COLUMNS``."""
    where, values = ("", []) if feed_id is None else (" WHERE feed_id = %s", [feed_id])
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_NAMES} FROM {LATEST}{where}", values)  # noqa: S608 - names of ours
        return list(cursor.fetchall())


def log_between(first: int, last: int) -> list[tuple[Any, ...]]:
    """Return the raw quotes with the numbers ``first`` to ``last`` that are kept, in their order."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_NAMES} FROM {RECORD} WHERE seq BETWEEN %s AND %s ORDER BY seq",  # noqa: S608 - names of ours
            [first, last],
        )
        return list(cursor.fetchall())


def rows_of(feed_id: int, quotes: Sequence[Quote], first: int) -> list[tuple[Any, ...]]:
    """Return ``quotes``, numbered from ``first``, as rows of ``RECORD_COLUMNS``."""
    return [
        (
            seq, feed_id, quote.symbol, quote.time, quote.received, quote.last, quote.volume, quote.amount,
            quote.prev_close, book_packed(quote.bids, quote.asks),
        )
        for seq, quote in enumerate(quotes, first)
    ]  # fmt: skip


def write(feed_id: int, quotes: Sequence[Quote], minutes: Iterable[MinuteBar], first: int) -> list[tuple[Any, ...]]:
    """Append ``quotes`` as ``first``, ``first + 1``, …, and set the newest of each symbol and its minutes.

    Returns the newest rows (``RECORD_COLUMNS``).
    """
    rows = rows_of(feed_id, quotes, first)
    newest = {quote.symbol: at for at, quote in enumerate(quotes)}
    bars = [
        (feed_id, bar.symbol, bar.minute, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.amount, bar.count)
        for bar in minutes
    ]
    _append(rows)
    _set(LATEST, LATEST_COLUMNS, ("feed_id", "symbol"), [(*rows[at], quotes[at].day) for at in newest.values()])
    _set(MINUTES, MINUTE_COLUMNS, ("feed_id", "symbol", "minute"), bars)
    return [rows[at] for at in newest.values()]


def _append(rows: list[tuple[Any, ...]]) -> None:
    if connection.vendor == "postgresql":
        from apps.marketdata.adapters.pg_rows import copy_rows

        ensure_partitions({int(row[4] // DAY) for row in rows})
        copy_rows(RECORD, RECORD_COLUMNS, rows)
        return
    names, marks = ", ".join(RECORD_COLUMNS), ", ".join(["%s"] * len(RECORD_COLUMNS))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {RECORD} ({names}) VALUES ({marks})", rows)  # noqa: S608 - names of ours


def _set(table: str, columns: Mapping[str, str], key: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Insert or replace ``rows`` by ``key``."""
    if not rows:
        return
    names = ", ".join(f'"{name}"' for name in columns)
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in key)
    conflict = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    if connection.vendor == "postgresql":
        from apps.marketdata.adapters.pg_rows import run_with_arrays

        arrays = ", ".join(f"%b::{kind}[]" for kind in columns.values())
        statement = f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) {conflict}"  # noqa: S608
        run_with_arrays(statement, list(zip(columns.values(), zip(*rows, strict=True), strict=True)))
        return
    marks = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks}) {conflict}", rows)  # noqa: S608


def partition_name(day: int) -> str:
    """Return the table of the day counted from 1970."""
    return f"{RECORD}_{day}"


def partitions() -> list[int]:
    """Return the days that have a table of their own, oldest first; none on SQLite."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [RECORD])
        names = [name.rpartition("_")[2] for (name,) in cursor.fetchall()]
    return sorted(int(name) for name in names if name.isdecimal())


def ensure_partitions(days: Iterable[int]) -> None:
    """Make the tables of ``days`` that are not there; two writers may try at once, for they hold the head."""
    missing = set(days) - set(partitions())
    with connection.cursor() as cursor:
        for day in sorted(missing):
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {partition_name(day)} PARTITION OF {RECORD} "
                f"FOR VALUES FROM ({day * DAY}) TO ({(day + 1) * DAY})"
            )


def oldest() -> int:
    """Return the number of the oldest raw quote that is kept; one beyond the head where there is none."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT MIN(seq) FROM {RECORD}")  # noqa: S608 - a name of ours
        found = cursor.fetchone()
    return int(found[0]) if found and found[0] is not None else head() + 1
