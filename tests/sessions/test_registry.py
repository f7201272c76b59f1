"""The registry of live connections: who is there, what they follow, and closing one."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied

from apps.accounts.models import AuditEntry
from apps.sessions.live.registry import connection_close, connection_rows, live_figures
from tests.sessions.sockets import of_type, opened, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_socket_is_left")]


async def test_a_connection_is_listed_with_what_it_follows(alice, session):
    ws = await opened(f"?session={session.pk}&after=0", alice, headers=[(b"user-agent", b"Tester/1")])
    await until(ws, of_type("connection_established"))
    await ws.send_json_to({"type": "ping"})
    await until(ws, of_type("pong"))  # By then it follows what its address asked for.
    (row,) = connection_rows()
    assert (row.user, row.agent, row.protocol, row.sessions) == ("alice", "Tester/1", "json", (session.pk,))
    figures = live_figures()
    assert (figures.connections, figures.people, figures.sessions) == (1, 1, 1)
    assert figures.messages >= row.sent >= 1
    await ws.send_json_to({"type": "ping"})
    await until(ws, of_type("pong"))
    assert connection_rows()[0].activity > row.activity
    await ws.disconnect()
    assert connection_rows() == []


async def test_an_administrator_closes_a_connection_for_good(alice, root, session):
    ws = await opened("", alice)
    await until(ws, of_type("connection_established"))
    (row,) = connection_rows()
    assert await sync_to_async(connection_close)(actor=root, connection_id=row.id)
    assert connection_rows() == []
    while (event := await asyncio.wait_for(ws.receive_output(), 5))["type"] != "websocket.close":
        pass
    assert event["code"] == 4410
    await ws.wait()
    entry = await AuditEntry.objects.aget(action="connection.close")
    assert entry.object_id == str(alice.pk)
    assert not await sync_to_async(connection_close)(actor=root, connection_id=row.id)


async def test_others_close_nothing(alice, bob):
    ws = await opened("", alice)
    await until(ws, of_type("connection_established"))
    with pytest.raises(PermissionDenied):
        await sync_to_async(connection_close)(actor=bob, connection_id=connection_rows()[0].id)
    assert len(connection_rows()) == 1
    await ws.disconnect()


@pytest.mark.parametrize(("sort", "expected"), [("user", ["alice", "bob"]), ("-user", ["bob", "alice"])])
async def test_the_list_is_sorted_as_asked(alice, bob, sort, expected):
    sockets = [await opened("", person) for person in (bob, alice)]
    for ws in sockets:
        await until(ws, of_type("connection_established"))
    assert [row.user for row in connection_rows(sort)] == expected
    assert len(connection_rows("nonsense")) == 2
    for ws in sockets:
        await ws.disconnect()
