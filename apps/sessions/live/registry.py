"""The connections of this web process, for the people who administer it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.accounts.services import audit
from apps.sessions.live.connection import CLOSED_BY_ADMINISTRATOR, Connection, connections
from apps.sessions.live.traffic import traffic

#: Sort key of the list → what it compares; the order of the keys is that of the columns.
SORTS = {
    "user": lambda one: (one.user, one.opened), "address": lambda one: (one.address, one.opened),
    "sessions": lambda one: len(one.sessions), "opened": lambda one: one.opened, "activity": lambda one: one.activity,
}  # fmt: skip


@dataclass(frozen=True)
class ConnectionRow:
    """One open socket. ``activity`` is when its other end last said something, an answer to the heartbeat
    included; ``waiting`` messages are on their way to it, ``overflows`` counts how often it was too slow."""

    id: str
    user: str
    user_id: int
    address: str
    agent: str
    protocol: str
    sessions: tuple[int, ...]
    opened: datetime
    activity: datetime
    sent: int
    waiting: int
    overflows: int


@dataclass(frozen=True)
class LiveFigures:
    """What all sockets of this process do together; ``per_second`` counts messages over a minute."""

    connections: int
    people: int
    sessions: int
    per_second: float
    messages: int
    opened: int
    overflows: int


def connection_rows(sort: str = "") -> list[ConnectionRow]:
    """Return the open connections, the newest first unless ``sort`` names another order: under a page that
    refreshes itself, rows may not change places by themselves."""
    rows = [_row(one) for one in _open()]
    key = SORTS.get(sort.lstrip("-"))
    return sorted(rows, key=key or SORTS["opened"], reverse=sort.startswith("-") if key else True)


def live_figures() -> LiveFigures:
    rows: Sequence[ConnectionRow] = connection_rows()
    return LiveFigures(
        connections=len(rows),
        people=len({row.user_id for row in rows}),
        sessions=len({session for row in rows for session in row.sessions}),
        per_second=traffic.per_second(),
        messages=traffic.messages,
        opened=traffic.opened,
        overflows=sum(row.overflows for row in rows),
    )


def connection_close(*, actor: User, connection_id: str) -> bool:
    """Close a connection for good: its page says so and does not come back by itself. For administrators.

    False when there is no such connection in this process (any more).
    """
    require_permission(actor, "user.admin")
    found = next((one for one in _open() if one.id == connection_id), None)
    if found is None or found.user is None or found.loop is None:
        return False
    found.closing = True
    with contextlib.suppress(RuntimeError):  # Its loop has ended, and the connection with it.
        asyncio.run_coroutine_threadsafe(found.end(CLOSED_BY_ADMINISTRATOR), found.loop)
    audit(actor, "connection.close", found.user, {"address": found.address, "agent": found.agent})
    return True


def _open() -> list[Connection]:
    return [one for one in tuple(connections.values()) if not one.closing and one.user is not None]


def _row(one: Connection) -> ConnectionRow:
    assert one.user is not None  # noqa: S101 (_open leaves out the others)
    follower = one.follower
    return ConnectionRow(
        one.id, one.user.username, one.user.pk, one.address, one.agent, follower.protocol,
        tuple(sorted(follower.cursors)), one.opened, one.last_activity,
        follower.messages, len(follower.queue), follower.overflows,
    )  # fmt: skip
