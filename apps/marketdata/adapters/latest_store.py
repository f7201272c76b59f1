"""Where readers find what changed among the latest quotes: the table, or Redis where ``REDIS_URL`` is set.

Both answer one question: which latest quotes changed since I last asked? The answer comes with a cursor for the next
question. In the tables it is a quote's number; numbers appear in their order (``QuoteHead``), so nothing is missed, and
what came behind a number is read from the log, so that setting a latest quote moves no index. In Redis it is a count
of its own, raised in the step that sets the rows.
"""

from __future__ import annotations

import json
import logging
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Protocol

from django.conf import settings

from apps.marketdata.adapters import quote_tables

logger = logging.getLogger(__name__)
CHANGES, ROWS, COUNT = "quotes:changes", "quotes:rows", "quotes:count"
#: Sets rows (member, JSON, …) and files each under the next count. A count that is gone begins at the time in µs,
#: beyond any that was given before.
SET = """
local count = redis.call('INCR', KEYS[3])
if count == 1 then count = tonumber(ARGV[2]); redis.call('SET', KEYS[3], ARGV[2]) end
for at = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
  redis.call('ZADD', KEYS[1], count, ARGV[at])
end
redis.call('EXPIRE', KEYS[1], ARGV[1]); redis.call('EXPIRE', KEYS[2], ARGV[1])
return count
"""
#: Quotes that came since for which the log is read; beyond, the latest of each symbol are fewer.
LOG_SPAN = 10_000
#: Members of one script: Lua's stack is not endless.
MEMBERS = 2_000
Row = tuple[Any, ...]
Cursor = tuple[str, int] | None


class LatestStore(Protocol):
    def changed(self, after: Cursor) -> tuple[Cursor, list[Row]]:
        """Return rows (``RECORD_COLUMNS``, newer ones later) behind ``after``, None for all, and the next cursor."""
        ...


class TableStore:
    """The tables of quotes: every process of every host sees them."""

    def changed(self, after: Cursor) -> tuple[Cursor, list[Row]]:
        head = quote_tables.head()
        known = after[1] if after is not None and after[0] == "table" else 0
        if known == head:
            return ("table", head), []
        if 0 < known < head <= known + LOG_SPAN:
            rows = quote_tables.log_between(known + 1, head)
            if len(rows) == head - known:  # otherwise some were dropped by their age
                return ("table", head), rows
        return ("table", head), quote_tables.latest_rows()


class RedisStore:
    """The same in Redis, written after each commit; without an answer the table is asked.

    A sorted set files members under the count of their change, a hash holds their rows; both end with the lifetime
    of quotes.
    """

    def __init__(self, client: Any) -> None:
        self.client, self.table = client, TableStore()

    def changed(self, after: Cursor) -> tuple[Cursor, list[Row]]:
        import redis

        try:
            count = int(self.client.get(COUNT) or 0)
            if after is None or after[0] != "redis" or count < after[1]:
                # What came before belongs to the table; what changes while it is read has a higher count.
                return ("redis", count), self.table.changed(None)[1]
            if count == after[1]:
                return after, []
            members = self.client.zrangebyscore(CHANGES, f"({after[1]}", count)
            rows = self.client.hmget(ROWS, members) if members else []
        except redis.RedisError as error:
            logger.warning("Redis does not answer (%s); latest quotes come from the table.", type(error).__name__)
            return self.table.changed(after)
        return ("redis", count), [_row(text) for text in rows if text is not None]

    def publish(self, rows: Iterable[Row]) -> None:
        """Set the newest row of each symbol."""
        import redis

        newest = {f"{row[1]}:{row[2]}": _text(row) for row in rows}
        flat = [part for pair in newest.items() for part in pair]
        try:
            for start in range(0, len(flat), MEMBERS):
                given = [settings.QP_CACHE_QUOTES_SECONDS, time.time_ns() // 1000, *flat[start : start + MEMBERS]]
                self.client.eval(SET, 3, CHANGES, ROWS, COUNT, *given)
        except redis.RedisError as error:
            logger.warning("Redis did not take the latest quotes (%s); the table has them.", type(error).__name__)


def _text(row: Row) -> str:
    """Return a row as JSON, the bytes of its book, which is the last, as base64."""
    return json.dumps((*row[:-1], b64encode(row[-1]).decode()))


def _row(text: str | bytes) -> Row:
    found = json.loads(text)
    return (*found[:-1], b64decode(found[-1]))


@lru_cache(maxsize=4)
def _redis(url: str) -> RedisStore:
    return RedisStore(client_of(url))


def client_of(url: str) -> Any:
    """Return a client that tries once: the table answers too, and nobody waits ten seconds for Redis to come back."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0))


def store() -> LatestStore:
    """Return the store of this installation."""
    return _redis(settings.REDIS_URL) if settings.REDIS_URL else TableStore()


def publish(rows: Iterable[Row]) -> None:
    """Tell Redis of committed rows (``RECORD_COLUMNS``), oldest first; nothing to do without it."""
    found = store()
    if isinstance(found, RedisStore) and rows:
        found.publish(rows)
