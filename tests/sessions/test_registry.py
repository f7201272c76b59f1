"""The registry of live connections: who is there, what they follow, and closing one."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.sessions.live.registry import connection_close, connection_count, connection_list, connection_rows
from apps.sessions.live.registry import live_figures as figures
from apps.sessions.models import LiveConnection, WebProcess
from tests.sessions.sockets import of_type, opened, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_socket_is_left")]


@sync_to_async
def rows(sort=""):
    return connection_rows(connection_list(sort))


live_figures = sync_to_async(figures)


def elsewhere(user, **values):
    """Make a connection of another web process, which beats."""
    now = timezone.now()
    process, _ = WebProcess.objects.get_or_create(
        name="far:1:2", defaults={"host": "far", "pid": 7, "born": 0.0, "messages": 100, "opened": 3, "per_second": 2.0}
    )
    made = {"protocol": "html", "opened": now, "activity": now, "sessions": [5, 6], "following": 2, "sent": 40}
    return LiveConnection.objects.create(id=f"{LiveConnection.objects.count():032}", process=process, user=user,
                                         **(made | values))  # fmt: skip


async def test_a_connection_is_listed_with_what_it_follows(alice, session):
    ws = await opened(f"?session={session.pk}&after=0", alice, headers=[(b"user-agent", b"Tester/1")])
    await until(ws, of_type("connection_established"))
    await ws.send_json_to({"type": "ping"})
    await until(ws, of_type("pong"))  # By then it follows what its address asked for.
    (row,) = await rows()
    assert (row.user, row.agent, row.protocol, row.sessions) == ("alice", "Tester/1", "json", (session.pk,))
    figures = await live_figures()
    assert (figures.connections, figures.people, figures.sessions) == (1, 1, 1)
    assert figures.messages >= row.sent >= 1
    await ws.send_json_to({"type": "ping"})
    await until(ws, of_type("pong"))
    assert (await rows())[0].activity > row.activity
    await ws.disconnect()
    assert await rows() == []


async def test_connections_of_other_processes_are_listed_and_added_up(alice, bob):
    ws = await opened("", alice)
    await until(ws, of_type("connection_established"))
    before = await live_figures()
    other = await sync_to_async(elsewhere)(bob, waiting=3, overflows=1)
    assert {row.user for row in await rows()} == {"alice", "bob"}
    after = await live_figures()
    assert (after.connections, after.people, after.sessions, after.overflows) == (2, 2, 2, 1)
    assert (after.messages - before.messages, after.opened - before.opened) == (100, 3)
    assert after.per_second == pytest.approx(before.per_second + 2.0, abs=0.5)
    silent = timezone.now() - timedelta(minutes=1)
    await WebProcess.objects.filter(pk=other.process_id).aupdate(last_beat=silent)
    assert [row.user for row in await rows()] == ["alice"]
    assert (await live_figures()).messages == pytest.approx(before.messages, abs=5)
    assert await sync_to_async(connection_count)() == 1
    await ws.disconnect()


async def test_an_administrator_closes_a_connection_for_good(alice, root, session):
    ws = await opened("", alice)
    await until(ws, of_type("connection_established"))
    (row,) = await rows()
    assert await sync_to_async(connection_close)(actor=root, connection_id=row.id)
    assert await rows() == []
    while (event := await asyncio.wait_for(ws.receive_output(), 5))["type"] != "websocket.close":
        pass
    assert event["code"] == 4410
    await ws.wait()
    entry = await AuditEntry.objects.aget(action="connection.close")
    assert entry.object_id == str(alice.pk)
    assert not await sync_to_async(connection_close)(actor=root, connection_id=row.id)


def test_a_connection_of_another_process_is_marked_for_it(alice, root):
    other = elsewhere(alice, address="10.0.0.9", agent="Tester/1")
    assert connection_close(actor=root, connection_id=other.pk)
    other.refresh_from_db()
    assert other.closing
    assert not connection_rows(connection_list())
    assert not connection_close(actor=root, connection_id=other.pk), "once is enough"
    assert AuditEntry.objects.get(action="connection.close").details == {"address": "10.0.0.9", "agent": "Tester/1"}


async def test_others_close_nothing(alice, bob):
    ws = await opened("", alice)
    await until(ws, of_type("connection_established"))
    with pytest.raises(PermissionDenied):
        await sync_to_async(connection_close)(actor=bob, connection_id=(await rows())[0].id)
    assert len(await rows()) == 1
    await ws.disconnect()


@pytest.mark.parametrize(("sort", "expected"), [("user", ["alice", "bob"]), ("-user", ["bob", "alice"])])
def test_the_list_is_sorted_as_asked(alice, bob, sort, expected):
    for person in (bob, alice):
        elsewhere(person)
    assert [row.user for row in connection_rows(connection_list(sort))] == expected
    assert [row.user.username for row in connection_list("nonsense")] == ["alice", "bob"], "the newest first"
