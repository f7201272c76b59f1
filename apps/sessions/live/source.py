"""Reads of the tail. They run in the tail's own thread, which keeps its own connection.

Rows are addressed by (session, seq), never by their global id: a database hands out ids
before commits, so a reader by id loses rows (58 of 2,516 measured on PostgreSQL). One
statement reads all watched sessions: every row fetched may wait for the interpreter lock,
so a tick asks once and for little.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import DatabaseError, connection

from apps.marketdata.adapters import quote_tables
from apps.sessions import archive
from apps.sessions.engine.events import EventPayload
from apps.sessions.live.frames import Batch, Head
from apps.sessions.models import Session

P = ParamSpec("P")
R = TypeVar("R")
#: Events of one session in one read; a reader further behind is served in several.
CHUNK = 1000
#: Sessions of one statement: SQLite allows 500 members of a compound.
MEMBERS = 200
HEAD = ("last_seq", "status", "progress", "kind")
ONE = """SELECT * FROM (
SELECT e.session_id, e.seq, e.payload, s.last_seq, s.status, s.progress, s.kind
FROM quant_sessions_sessionevent e JOIN quant_sessions_session s ON s.id = e.session_id
WHERE e.session_id = %s AND e.seq > %s ORDER BY e.seq LIMIT %s) AS member"""


def own_connection(function: Callable[P, R]) -> Callable[P, R]:
    """Keep the thread's connection from tick to tick, and drop it when the database failed."""

    @wraps(function)
    def reads(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except DatabaseError:
            connection.close()
            raise

    return reads


@own_connection
def news(cursors: dict[int, int]) -> list[Batch]:
    """Return a batch for each session that has events behind its cursor."""
    pairs = list(cursors.items())
    parts = (_read(pairs[start : start + MEMBERS]) for start in range(0, len(pairs), MEMBERS))
    return [batch for part in parts for batch in part]


def _read(pairs: list[tuple[int, int]]) -> list[Batch]:
    events: dict[int, list[tuple[int, EventPayload]]] = {}
    heads: dict[int, Head] = {}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([ONE] * len(pairs)), [value for pair in pairs for value in (*pair, CHUNK)])
        for session, seq, payload, *head in cursor.fetchall():
            events.setdefault(session, []).append((seq, _document(payload)))
            heads[session] = Head(*head)
    after = dict(pairs)
    return [
        Batch(session, after[session], sorted(found, key=_seq), heads[session]) for session, found in events.items()
    ]


def _document(payload: Any) -> EventPayload:
    """Return the payload of a raw row, which is text on both databases."""
    document: EventPayload = json.loads(payload) if isinstance(payload, str) else payload
    return document


def _seq(event: tuple[int, EventPayload]) -> int:
    return event[0]


@own_connection
def catch_up(session: int, after: int) -> Batch | None:
    """Return what a reader at ``after`` has missed; None when the session is gone."""
    found = _read([(session, after)])
    if found and not found[0].has_gap:
        return found[0]
    row = Session.objects.filter(pk=session).values_list(*HEAD).first()
    if row is None:
        return None
    head = Head(*row)
    if after < head.last_seq:
        kept = [(event.seq, event.payload) for event in archive.read_log(session, after, CHUNK)]
        if kept:
            return Batch(session, after, kept, head)
    return found[0] if found else Batch(session, after, (), head)


@own_connection
def quotes_head() -> int:
    """Return the number of the last quote."""
    return quote_tables.head()


def close() -> None:
    """Close the connection of the calling thread."""
    connection.close()
