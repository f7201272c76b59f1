"""Appends to the live log: a row per flush, numbered without a hole, fenced by the attempt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import F, QuerySet
from django.db.models.sql import UpdateQuery

from apps.sessions.adapters.wakeup import poke
from apps.sessions.engine.states import ON_A_WORKER
from apps.sessions.models import Session, SessionEvent
from apps.sessions.services.transitions import StaleAttempt


def append(
    session_id: int, payload: Mapping[str, Any], *, attempt: int, changes: Mapping[str, Any] | None = None
) -> int:
    """Write one row and the session's ``changes`` in one transaction; return the row's ``seq``.

    The UPDATE comes first: it locks the session's row, so numbers follow the order of commits.
    Raises ``StaleAttempt`` when another attempt has taken over or the session has left the worker.
    """
    with transaction.atomic():
        seq = append_in_transaction(session_id, payload, attempt=attempt, changes=changes)
        transaction.on_commit(poke)
    return seq


def append_in_transaction(
    session_id: int, payload: Mapping[str, Any], *, attempt: int, changes: Mapping[str, Any] | None = None
) -> int:
    """The same inside a transaction of the caller, who also wakes the readers."""
    rows = Session.objects.filter(pk=session_id, attempt=attempt, status__in=ON_A_WORKER)
    seq = _raised(rows, {"last_seq": F("last_seq") + 1, **dict(changes or {})})
    if seq is None:
        raise StaleAttempt(session_id, attempt)
    SessionEvent.objects.create(session_id=session_id, seq=seq, attempt=attempt, payload=dict(payload))
    return seq


def _raised(rows: QuerySet[Session], changes: Mapping[str, Any]) -> int | None:
    """Change the one session of ``rows`` and return its new number, in one statement: it holds the row until the
    commit, and a point waits for every step. None where the session is not as ``rows`` says."""
    update = rows.query.chain(UpdateQuery)
    update.add_update_values(dict(changes))  # type: ignore[attr-defined] # UpdateQuery, which the stubs call Query
    sql, params = update.get_compiler(DEFAULT_DB_ALIAS).as_sql()
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} RETURNING last_seq", params)
        row = cursor.fetchone()
    return int(row[0]) if row else None
