"""The live socket: what a client may say, and what happens when things go wrong."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async

from apps.accounts.notices import notify, register
from apps.sessions.live import connection, painter, tailer
from apps.sessions.models import LiveConnection, SessionEvent
from tests.sessions.live_fixtures import make_session, points
from tests.sessions.sockets import (
    PATIENCE,
    close_code,
    eventually,
    of_type,
    opened,
    said,
    until,
    watched,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_socket_is_left")]


# What programs say


async def test_subscribing_and_unsubscribing(session, alice):
    other = await sync_to_async(make_session)(alice, name="Other")
    await said(other, points(1))
    ws = await opened("", alice)
    await ws.send_json_to({"type": "subscribe_session", "session_id": other.pk, "after": 0})
    await until(ws, of_type("session_subscribed"))
    message, _ = await until(ws, of_type("session_metrics_update"))
    assert message["session_id"] == other.pk
    await ws.send_json_to({"type": "unsubscribe_session", "session_id": other.pk})
    await until(ws, of_type("session_unsubscribed"))
    await said(other, points(2))
    await ws.send_json_to({"type": "ping"})
    _, seen = await until(ws, of_type("pong"))
    assert [message["type"] for message in seen] == ["pong"]
    await ws.disconnect()


async def test_subscribing_again_starts_at_the_new_cursor(session, alice):
    await said(session, points(1), points(2))
    ws = await opened(f"?session={session.pk}&after=2", alice)
    await until(ws, of_type("connection_established"))
    await ws.send_json_to({"type": "subscribe_session", "session_id": session.pk, "after": 1})
    message, _ = await until(ws, of_type("session_metrics_update"))
    assert [point["step"] for point in message["points"]] == [2]
    await ws.disconnect()


async def test_a_stranger_cannot_subscribe_but_keeps_the_socket(session, bob):
    ws = await opened("", bob)
    await ws.send_json_to({"type": "subscribe_session", "session_id": session.pk})
    message, _ = await until(ws, of_type("error"))
    assert message["code"] == "session_not_found"
    await ws.send_json_to({"type": "ping"})
    await until(ws, of_type("pong"))
    await ws.disconnect()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("hello", "not_json"), ("[" * 100_000, "not_json"), ("[]", "unknown_type"), ("3", "unknown_type"),
        ('{"type": "dance"}', "unknown_type"), ('{"type": ["ping"]}', "unknown_type"),
        ('{"type": "subscribe_session", "session_id": "7"}', "bad_message"),
        ('{"type": "subscribe_session", "session_id": 7, "after": -1}', "bad_message"),
        (f'{{"type": "subscribe_session", "session_id": 7, "after": {2**63}}}', "bad_message"),
        ('{"type": "subscribe_session", "session_id": true}', "bad_message"),
        ('{"type": "unsubscribe_session"}', "bad_message"),
    ],
)  # fmt: skip
async def test_a_message_that_makes_no_sense_is_answered_and_the_socket_lives(alice, text, code):
    ws = await opened("", alice)
    await ws.send_to(text_data=text)
    message, _ = await until(ws, of_type("error"))
    assert message["code"] == code
    assert message["message"]
    await ws.send_json_to({"type": "ping"})
    await until(ws, of_type("pong"))
    await ws.disconnect()


async def test_bytes_are_no_message_either(alice):
    ws = await opened("", alice)
    await ws.send_to(bytes_data=b"\x00\x01")
    message, _ = await until(ws, of_type("error"))
    assert message["code"] == "not_json"
    await ws.disconnect()


async def test_a_socket_follows_as_many_sessions_as_it_may(session, alice, settings):
    settings.QP_SESSIONS_PER_SOCKET = 1
    other = await sync_to_async(make_session)(alice, name="Other")
    assert await close_code(await opened(f"?session={session.pk}&session={other.pk}", alice)) == 4400
    ws = await opened(f"?session={session.pk}", alice)
    await until(ws, of_type("connection_established"))
    await watched()
    await ws.send_json_to({"type": "subscribe_session", "session_id": other.pk})
    message, _ = await until(ws, of_type("error"))
    assert message["code"] == "too_many_sessions"
    await ws.disconnect()


# Old cursors


async def test_a_cursor_beyond_the_log_starts_anew(session, alice):
    await said(session, points(1), points(2))
    ws = await opened(f"?session={session.pk}&after=500", alice)
    await until(ws, of_type("session_resync"))
    message, _ = await until(ws, of_type("session_metrics_update"))
    assert [point["step"] for point in message["points"]] == [1, 2]
    await ws.disconnect()


async def test_a_cursor_whose_successors_were_removed_starts_anew(session, alice):
    await said(session, *(points(step) for step in range(1, 8)))
    await SessionEvent.objects.filter(session=session, seq__lt=5).adelete()
    ws = await opened(f"?session={session.pk}&after=2", alice)
    await until(ws, of_type("session_resync"))
    message, _ = await until(ws, of_type("session_metrics_update"))
    assert [point["step"] for point in message["points"]] == [5, 6, 7]
    await ws.disconnect()


async def test_a_page_with_a_void_cursor_is_told_to_fetch_its_curves(session, alice):
    await said(session, points(1), points(2))
    ws = await opened(f"?session={session.pk}&after=500", alice, protocols=("html",))
    frame, _ = await until(ws, lambda message: message.get("reset"))
    assert frame["seq"] == 2
    await said(session, points(3))
    live, _ = await until(ws, lambda message: "points" in message)
    assert live["seq"] == 3
    await ws.disconnect()


async def test_a_log_that_was_emptied_starts_anew_at_zero(session, alice):
    await said(session, points(1))
    await SessionEvent.objects.filter(session=session).adelete()
    ws = await opened(f"?session={session.pk}&after=9", alice)
    message, _ = await until(ws, of_type("session_resync"))
    assert message["seq"] == 0
    await ws.disconnect()


# Notices


async def test_a_notice_reaches_its_user_and_nobody_else(alice, bob):
    register("test.hello", "Hello %(name)s")
    mine, others = await opened("", alice), await opened("", bob)
    await until(mine, of_type("connection_established"))
    await sync_to_async(notify)(alice, "test.hello", "error", "/sessions/1/", name="Alice")
    message, _ = await until(mine, of_type("notice"))
    assert (message["text"], message["level"], message["url"], message["unread"]) == (
        "Hello Alice",
        "error",
        "/sessions/1/",
        1,
    )
    await others.send_json_to({"type": "ping"})
    _, seen = await until(others, of_type("pong"))
    assert not [one for one in seen if one["type"] == "notice"]
    for ws in (mine, others):
        await ws.disconnect()


# Upkeep


async def test_the_heartbeat_is_sent_and_answered(alice, settings):
    settings.QP_HEARTBEAT_SECONDS = 0.05
    ws = await opened("", alice)
    await until(ws, of_type("ping"))
    (mine,) = connection.connections.values()
    before = mine.last_activity
    await ws.send_json_to({"type": "pong"})
    await eventually(lambda: mine.last_activity > before)
    await ws.disconnect()


async def test_a_consumer_that_raises_leaves_nothing_behind(session, alice, monkeypatch):
    ws = await opened(f"?session={session.pk}", alice)
    await until(ws, of_type("connection_established"))

    async def broken(self, text):
        raise RuntimeError("broken")

    monkeypatch.setattr(connection.Connection, "hear", broken)
    await ws.send_to(text_data="{}")
    with pytest.raises(RuntimeError):  # noqa: PT012 - whichever of the two sees it first
        await ws.receive_output(timeout=PATIENCE)
        await ws.wait(timeout=PATIENCE)
    async with asyncio.timeout(PATIENCE):
        while await LiveConnection.objects.aexists():
            await asyncio.sleep(0.01)
    assert connection.connections == {}
    assert tailer.tailer().watchers == {}


async def test_a_database_that_fails_once_is_read_again(session, alice, monkeypatch):
    ws = await opened(f"?session={session.pk}&after=0", alice)
    await watched()
    real, failures = tailer.source.news, []

    def flaky(cursors):
        if not failures:
            failures.append(1)
            raise OSError("gone")
        return real(cursors)

    monkeypatch.setattr(tailer.source, "news", flaky)
    await said(session, points(1))
    await until(ws, of_type("session_metrics_update"))
    assert failures
    await ws.disconnect()


async def test_a_drawing_that_fails_does_not_end_the_live_page(session, alice, monkeypatch):
    ws = await opened(f"?session={session.pk}&after=0", alice, protocols=("html",))

    drawn = []

    def broken(*_):
        drawn.append(1)
        raise ValueError("no template")

    monkeypatch.setattr(painter.partials, "draw", broken)
    await said(session, points(1) | {"status": "running"})
    await until(ws, lambda message: "points" in message)
    await eventually(lambda: drawn)
    await said(session, points(2))
    await until(ws, lambda message: message.get("seq") == 2)
    await ws.disconnect()
