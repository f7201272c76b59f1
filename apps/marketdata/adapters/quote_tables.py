"""The tables of quotes, written by the ten thousand a second: plain SQL, one statement for many rows.

SQLite takes many rows through one prepared statement, PostgreSQL through COPY and through arrays. Both write in the
transaction of the caller, which holds the head (``take_numbers``) until its commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from apps.marketdata.engine.quotes import MinuteBar, Quote

RECORD, LATEST = "marketdata_quoterecord", "marketdata_latestquote"
MINUTES, HEAD = "marketdata_minuterow", "marketdata_quotehead"
RECORD_COLUMNS = (
    "seq", "feed_id", "symbol", "time", "received", "last", "volume", "amount", "prev_close", "book",
)  # fmt: skip
LATEST_COLUMNS = (*RECORD_COLUMNS, "day")
MINUTE_COLUMNS = ("feed_id", "symbol", "minute", "open", "high", "low", "close", "volume", "amount", "count")
TYPES = {
    "seq": "bigint", "feed_id": "bigint", "symbol": "text", "book": "text", "day": "integer", "minute": "bigint",
    "count": "integer",
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


def row_of(seq: int, feed_id: int, quote: Quote) -> tuple[Any, ...]:
    book = _book(quote) if quote.bids or quote.asks else ""
    return (
        seq, feed_id, quote.symbol, quote.time, quote.received, quote.last, quote.volume, quote.amount,
        quote.prev_close, book,
    )  # fmt: skip


def _book(quote: Quote) -> str:
    """Return bids and asks as JSON. Python writes finite numbers as JSON does, and in half the time."""
    text = repr((quote.bids, quote.asks)).replace(" ", "").replace(",)", ")")
    if "n" in text:  # another library's numbers say their type
        return json.dumps([quote.bids, quote.asks])
    return text.replace("(", "[").replace(")", "]")


def rows_of(feed_id: int, quotes: Sequence[Quote], first: int) -> list[tuple[Any, ...]]:
    """Return ``quotes``, numbered from ``first``, as rows of ``LATEST_COLUMNS``."""
    return [(*row_of(first + at, feed_id, quote), quote.day) for at, quote in enumerate(quotes)]


def write(feed_id: int, quotes: Sequence[Quote], minutes: Iterable[MinuteBar], first: int) -> list[tuple[Any, ...]]:
    """Append ``quotes`` as ``first``, ``first + 1``, …, and set the newest of each symbol and its minutes.

    Returns the newest rows (``LATEST_COLUMNS``).
    """
    rows = rows_of(feed_id, quotes, first)
    newest = {row[2]: row for row in rows}
    bars = [
        (feed_id, bar.symbol, bar.minute, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.amount, bar.count)
        for bar in minutes
    ]
    _append([row[:-1] for row in rows])
    _set(LATEST, LATEST_COLUMNS, ("feed_id", "symbol"), list(newest.values()))
    _set(MINUTES, MINUTE_COLUMNS, ("feed_id", "symbol", "minute"), bars)
    return list(newest.values())


def _append(rows: list[tuple[Any, ...]]) -> None:
    names = ", ".join(RECORD_COLUMNS)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            ensure_partitions({int(row[4] // DAY) for row in rows})
            with cursor.copy(f"COPY {RECORD} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join(["%s"] * len(RECORD_COLUMNS))
        cursor.executemany(f"INSERT INTO {RECORD} ({names}) VALUES ({marks})", rows)  # noqa: S608


def _set(table: str, columns: tuple[str, ...], key: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Insert or replace ``rows`` by ``key``."""
    if not rows:
        return
    names = ", ".join(f'"{name}"' for name in columns)
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in key)
    conflict = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            arrays = ", ".join(f"%s::{TYPES.get(name, 'double precision')}[]" for name in columns)
            values = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) {conflict}", values)  # noqa: S608
            return
        marks = ", ".join(["%s"] * len(columns))
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
