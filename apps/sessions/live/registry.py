"""The connections of all web processes, for the people who administer them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.accounts.services import audit
from apps.sessions.live.connection import CLOSED_BY_ADMINISTRATOR, connections
from apps.sessions.live.presence import Seat, living, presence, seated
from apps.sessions.live.traffic import traffic
from apps.sessions.models import LiveConnection

#: Sort key of the list → the columns it compares; the order of the keys is that of the columns.
SORTS = {
    "user": ("user__username", "opened"), "address": ("address", "opened"), "sessions": ("following", "opened"),
    "opened": ("opened",), "activity": ("activity",),
}  # fmt: skip


@dataclass(frozen=True)
class ConnectionRow(Seat):
    """An open socket with the name of its user. ``activity`` is when its other end last said something, an answer to
    the heartbeat included."""

    user: str = ""


@dataclass(frozen=True)
class LiveFigures:
    """What all sockets do together; ``per_second`` counts messages over a minute."""

    connections: int
    people: int
    sessions: int
    per_second: float
    messages: int
    opened: int
    overflows: int


def connection_list(sort: str = "") -> QuerySet[LiveConnection]:
    """Return the open connections, the newest first unless ``sort`` names another order: under a page that
    refreshes itself, rows may not change places by themselves."""
    columns = SORTS.get(sort.lstrip("-"))
    sign = "-" if columns is None or sort.startswith("-") else ""
    return seated().select_related("user").order_by(*(f"{sign}{name}" for name in columns or SORTS["opened"]), "pk")


def connection_rows(found: Iterable[LiveConnection]) -> list[ConnectionRow]:
    """Return ``found`` for a page: as of now where this process holds them, else as of their process's last beat."""
    return [ConnectionRow(user=one.user.username, **vars(_seat(one))) for one in found]


def _seat(row: LiveConnection) -> Seat:
    mine = connections.get(row.pk)
    if mine is not None and mine.user is not None:
        return mine.seat()
    return Seat(
        row.pk, row.user_id, row.address, row.agent, row.protocol, tuple(row.sessions), row.opened, row.activity,
        row.sent, row.waiting, row.overflows,
    )  # fmt: skip


def live_figures() -> LiveFigures:
    """Return the sums over all processes, in two statements."""
    rows = [_seat(one) for one in seated()]
    others = living().exclude(pk=presence.process or 0).values_list("messages", "opened", "per_second")
    said = [*others, (traffic.messages, traffic.opened, traffic.per_second())]
    return LiveFigures(
        connections=len(rows),
        people=len({row.user_id for row in rows}),
        sessions=len({session for row in rows for session in row.sessions}),
        per_second=sum(rate for _messages, _opened, rate in said),
        messages=sum(messages for messages, _opened, _rate in said),
        opened=sum(opened for _messages, opened, _rate in said),
        overflows=sum(row.overflows for row in rows),
    )


def connection_count() -> int:
    """Return how many live connections all web processes hold."""
    return seated().count()


def connection_close(*, actor: User, connection_id: str) -> bool:
    """Close a connection for good: its page says so and does not come back by itself. For administrators.

    The process that holds it does so, within a second where that is another one. False when there is no such
    connection (any more).
    """
    require_permission(actor, "user.admin")
    with transaction.atomic():
        found = seated().select_related("user").filter(pk=connection_id).first()
        if found is None or not LiveConnection.objects.filter(pk=found.pk, closing=False).update(closing=True):
            return False
        audit(actor, "connection.close", found.user, {"address": found.address, "agent": found.agent})
    close_here(found.pk)
    return True


def close_here(connection_id: str) -> None:
    """Close a connection if this process holds it; it is left by its consumer."""
    found = connections.get(connection_id)
    if found is None or found.loop is None:
        return
    with contextlib.suppress(RuntimeError):  # Its loop has ended, and the connection with it.
        asyncio.run_coroutine_threadsafe(found.end(CLOSED_BY_ADMINISTRATOR), found.loop)


def seats_here() -> dict[str, Seat]:
    """Return the connections that this process holds."""
    return {one.id: one.seat() for one in tuple(connections.values()) if one.user is not None}
