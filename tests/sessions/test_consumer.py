"""The live socket: who may listen, what arrives."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.accounts.api_auth import token_digest
from apps.accounts.models import ApiToken, User
from apps.accounts.services import ticket_create
from apps.sessions.live import connection
from apps.sessions.models import Session
from tests.sessions.live_fixtures import points
from tests.sessions.sockets import (
    close_code,
    cookie_of,
    of_type,
    opened,
    said,
    socket,
    until,
    watched,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_socket_is_left")]


# Who may listen


async def test_an_anonymous_socket_is_closed_for_good(session):
    ws = socket(f"?session={session.pk}&after=0")
    assert (await ws.connect())[0]
    assert await close_code(ws) == 4401


async def test_a_stranger_is_closed_for_good(session, bob):
    ws = await opened(f"?session={session.pk}&after=0", bob)
    assert await close_code(ws) == 4403


async def test_a_session_that_is_not_there_is_closed_like_a_stranger(alice):
    assert await close_code(await opened("?session=999999&after=0", alice)) == 4403


async def test_another_site_is_refused_before_anything_is_accepted(session, alice):
    ws = socket(f"?session={session.pk}", cookie=await sync_to_async(cookie_of)(alice), origin=b"https://evil.example")
    assert (await ws.connect())[0] is False


async def test_a_token_in_the_address_is_refused_with_its_reason(session):
    ws = socket(f"?session={session.pk}&token=abc")
    await ws.connect()
    message, _ = await until(ws, of_type("error"))
    assert message["code"] == "token_in_query"
    assert await close_code(ws) == 4401


@pytest.mark.parametrize("query", ["?session=x", "?session=1&after=-3", "?session=99999999999999999999"])
async def test_an_address_that_makes_no_sense_is_refused(alice, query):
    assert await close_code(await opened(query, alice)) == 4400


def token_for(user, **more):
    ApiToken.objects.create(user=user, name="t", prefix="t", token_hash=token_digest("secret-token"), **more)
    return "secret-token"


async def test_a_program_presents_a_bearer_token_and_needs_no_origin(session, alice):
    token = await sync_to_async(token_for)(alice)
    ws = socket(f"?session={session.pk}", headers=[(b"authorization", f"Bearer {token}".encode())], origin=b"")
    await ws.connect()
    await until(ws, of_type("connection_established"))
    await ws.disconnect()


async def test_a_revoked_token_opens_nothing(session, alice):
    token = await sync_to_async(token_for)(alice, revoked_at=timezone.now())
    ws = socket(f"?session={session.pk}", headers=[(b"authorization", f"Bearer {token}".encode())], origin=b"")
    await ws.connect()
    assert await close_code(ws) == 4401


async def test_a_ticket_opens_one_connection_and_no_second(session, alice):
    ticket = await sync_to_async(ticket_create)(alice)
    first = socket(f"?session={session.pk}", protocols=("json", f"ticket.{ticket}"), origin=b"")
    await first.connect()
    await until(first, of_type("connection_established"))
    second = socket(f"?session={session.pk}", protocols=("json", f"ticket.{ticket}"), origin=b"")
    await second.connect()
    assert await close_code(second) == 4401
    await first.disconnect()


async def test_the_sixth_socket_of_a_user_is_one_too_many(alice):
    sockets = [await opened("", alice) for _ in range(settings.QP_SOCKETS_PER_USER)]
    for ws in sockets:
        await until(ws, of_type("connection_established"))
    assert await close_code(await opened("", alice)) == 4429
    await sockets.pop().disconnect()
    again = await opened("", alice)
    await until(again, of_type("connection_established"))
    for ws in [*sockets, again]:
        await ws.disconnect()


async def test_losing_access_is_noticed(session, alice):
    ws = await opened(f"?session={session.pk}", alice)
    await until(ws, of_type("connection_established"))
    (mine,) = connection.connections.values()
    assert await mine.lost_access() == 0
    alice.is_active = False
    await sync_to_async(alice.save)()
    assert await mine.lost_access() == 4401
    await ws.disconnect()


async def test_a_session_that_changed_hands_is_no_longer_watched(session, alice, bob):
    ws = await opened(f"?session={session.pk}", alice)
    await watched()
    (mine,) = connection.connections.values()
    await Session.objects.filter(pk=session.pk).aupdate(owner=bob)
    assert await mine.lost_access() == 4403
    await ws.disconnect()


async def test_who_must_set_up_a_second_factor_first_hears_nothing(session, alice, settings):
    settings.QP_SECOND_FACTOR = "all"
    assert await close_code(await opened(f"?session={session.pk}", alice)) == 4401


async def test_other_rights_ask_the_page_to_come_back(session, alice):
    ws = await opened(f"?session={session.pk}", alice)
    await watched()
    (mine,) = connection.connections.values()
    assert await mine.lost_access() == 0
    await User.objects.filter(pk=alice.pk).aupdate(role="advanced")
    assert await mine.lost_access() == connection.COME_BACK
    await ws.disconnect()


async def test_the_log_in_is_looked_at_again_and_the_socket_closed(session, alice, monkeypatch):
    monkeypatch.setattr(connection, "RECHECK", 0.05)
    ws = await opened(f"?session={session.pk}", alice)
    await until(ws, of_type("connection_established"))
    await sync_to_async(Client().logout)()
    alice.is_active = False
    await sync_to_async(alice.save)()
    assert await close_code(ws) == 4401


@pytest.mark.parametrize("kind", ["bearer", "ticket"])
async def test_programs_are_looked_at_again_too(session, alice, kind):
    if kind == "bearer":
        token = await sync_to_async(token_for)(alice)
        ws = socket(f"?session={session.pk}", headers=[(b"authorization", f"Bearer {token}".encode())], origin=b"")
    else:
        ticket = await sync_to_async(ticket_create)(alice)
        ws = socket(f"?session={session.pk}", headers=[(b"authorization", f"Ticket {ticket}".encode())], origin=b"")
    await ws.connect()
    await until(ws, of_type("connection_established"))
    (mine,) = connection.connections.values()
    assert await mine.lost_access() == 0
    await ApiToken.objects.aupdate(revoked_at=timezone.now())
    alice.is_active = False
    await sync_to_async(alice.save)()
    assert await mine.lost_access() == 4401
    await ws.disconnect()


# What arrives


async def test_missed_points_come_first_then_new_ones_each_once(session, alice):
    await said(session, points(1), points(2), points(3))
    ws = await opened(f"?session={session.pk}&after=1", alice)
    caught, _ = await until(ws, of_type("session_metrics_update"))
    assert [point["step"] for point in caught["points"]] == [2, 3]
    assert (caught["seq"], caught["step"], caught["metrics"]["loss"]) == (3, 3, 1 / 3)
    await said(session, points(4))
    live, _ = await until(ws, of_type("session_metrics_update"))
    assert [point["step"] for point in live["points"]] == [4]
    assert live["seq"] == 4
    await ws.disconnect()


async def test_two_readers_at_different_cursors_both_see_everything_once(session, alice):
    await said(session, *(points(step) for step in range(1, 6)))
    first = await opened(f"?session={session.pk}&after=0", alice)
    await until(first, of_type("session_metrics_update"))
    second = await opened(f"?session={session.pk}&after=3", alice)
    await said(session, points(6))
    steps = []
    while not steps or steps[-1] < 6:
        message, _ = await until(second, of_type("session_metrics_update"))
        steps += [point["step"] for point in message["points"]]
    assert steps == [4, 5, 6]
    for ws in (first, second):
        await ws.disconnect()


async def test_a_page_gets_numbers_and_partials(session, alice):
    ws = await opened(f"?session={session.pk}&after=0&view=detail", alice, protocols=("html",))
    await said(session, points(1) | {"progress": {"done": 1, "total": 4, "unit": "episode"}})
    frame, _ = await until(ws, lambda message: "points" in message)
    assert (frame["session"], frame["seq"], frame["points"][0]["step"]) == (session.pk, 1, 1)
    partial, _ = await until(ws, lambda message: "html" in message)
    assert 'id="session-progress" hx-swap-oob="true"' in partial["html"]
    await ws.disconnect()


async def test_partials_come_in_the_language_of_their_page(session, alice):
    ws = await opened(f"?session={session.pk}&after=0&language=zh-hans", alice, protocols=("html",))
    await said(session, {"status": "running"})
    partial, _ = await until(ws, lambda message: "html" in message)
    assert "session-status" in partial["html"]
    (mine,) = connection.connections.values()
    assert mine.follower.look.language == "zh-hans"
    await ws.disconnect()


async def test_a_list_gets_its_rows(session, alice):
    ws = await opened(f"?session={session.pk}&after=0&view=row", alice, protocols=("html",))
    await said(session, {"progress": {"done": 1, "total": 4, "unit": "episode"}})
    partial, _ = await until(ws, lambda message: "html" in message)
    assert partial["html"].startswith(f'<tr id="session-row-{session.pk}" hx-swap-oob="true"')
    await ws.disconnect()


async def test_an_unknown_view_gets_numbers_alone(session, alice):
    ws = await opened(f"?session={session.pk}&after=0&view=nonsense", alice, protocols=("html",))
    await said(session, points(1) | {"status": "running"})
    frame, _ = await until(ws, lambda message: "points" in message)
    assert frame["status"] == "running"
    await ws.disconnect()


async def test_an_ending_is_told_with_its_reason(session, alice):
    ws = await opened(f"?session={session.pk}&after=0", alice)
    await said(session, {"status": "failed", "reason": {"code": "disk_full", "detail": "No space left"}})
    failed, seen = await until(ws, of_type("training_failed"))
    assert "No space left" in failed["error_message"]
    assert any(message["type"] == "session_status_update" and message["status"] == "failed" for message in seen)
    await ws.disconnect()


async def test_a_completed_run_brings_its_result(session, alice):
    ws = await opened(f"?session={session.pk}&after=0", alice)
    await said(session, {"status": "completed", "result": {"sharpe": 1.5}})
    done, _ = await until(ws, of_type("training_completed"))
    assert done["result"] == {"sharpe": 1.5}
    await ws.disconnect()


async def test_log_lines_reach_programs(session, alice):
    ws = await opened(f"?session={session.pk}&after=0", alice)
    await said(session, {"logs": [{"time": "t", "level": "info", "text": "hello"}]})
    message, _ = await until(ws, of_type("session_log"))
    assert message["lines"][0]["text"] == "hello"
    await ws.disconnect()


async def test_a_rewind_is_passed_on(session, alice):
    await said(session, points(1, 2, 3), {"rewind": 1}, points(2))
    ws = await opened(f"?session={session.pk}&after=0", alice)
    message, _ = await until(ws, of_type("session_metrics_update"))
    assert message["rewind"] == 1
    assert [point["step"] for point in message["points"]] == [1, 2]
    await ws.disconnect()
