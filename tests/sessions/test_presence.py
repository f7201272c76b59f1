"""Web processes see each other: seats that are theirs together, leases, what is asked of the other."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import psutil
import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.utils import timezone

from apps.accounts.notices import notify
from apps.sessions.live import connection, keeper, notices, presence
from apps.sessions.live.follower import Follower
from apps.sessions.live.keeper import Keeper
from apps.sessions.live.presence import Presence, Seat, clear_dead, seated
from apps.sessions.models import LiveConnection, WebProcess
from tests.sessions.sockets import close_code, eventually, of_type, opened, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_socket_is_left")]


def seat(user, number=0, **values):
    now = timezone.now()
    return Seat(f"{number:032}", user.pk, "10.0.0.1", "Tester", "json", (), now, now, **values)


@pytest.fixture
def place(monkeypatch):
    """Take another place: what registers next is another process."""
    return lambda slot: monkeypatch.setenv("QP_WEB_SLOT", str(slot))


@pytest.fixture
def two(place):
    """Two web processes that beat."""
    found = []
    for slot in (1, 2):
        place(slot)
        found.append(Presence())
        found[-1].register()
    return found


def test_the_last_seat_is_given_once(alice, two):
    assert [two[number % 2].admit(seat(alice, number), 3) for number in range(4)] == [True, True, True, False]
    two[0].leave(seat(alice, 0).id)
    assert two[1].admit(seat(alice, 5), 3)
    assert seated().filter(user=alice).count() == 3


def test_of_many_who_come_at_once_no_more_are_let_in(alice, two):
    """Each thread is a process of its own as far as the database can tell."""
    from django.db import connection as database

    given, gate = [], threading.Barrier(6)

    def come(number):
        gate.wait()
        given.append(two[number % 2].admit(seat(alice, number), 2))
        database.close()

    threads = [threading.Thread(target=come, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == [False, False, False, False, True, True]


def test_a_silent_process_holds_no_seats(alice, two):
    assert two[0].admit(seat(alice), 1)
    WebProcess.objects.filter(pk=two[0].process).update(last_beat=timezone.now() - timedelta(seconds=11))
    assert two[1].admit(seat(alice, 1), 1)
    two[1].beat({})
    assert not WebProcess.objects.filter(pk=two[0].process).exists()
    assert not LiveConnection.objects.filter(pk=seat(alice).id).exists()


def test_who_was_taken_for_dead_comes_back_with_its_connections(alice, two):
    mine = seat(alice)
    two[0].admit(mine, 5)
    WebProcess.objects.all().delete()
    two[0].beat({mine.id: mine})
    two[0].look({mine.id: mine})
    assert seated().get().process_id == two[0].process
    WebProcess.objects.all().delete()
    assert two[0].admit(seat(alice, 1), 5), "nor is anybody refused meanwhile"


def test_a_successor_clears_the_rows_of_who_was_killed(alice, two, place):
    two[0].admit(seat(alice), 1)
    place(1)
    after = Presence()
    assert after.admit(seat(alice, 1), 1)
    assert WebProcess.objects.count() == 2
    place("")
    assert presence.process_name().endswith(f":{os.getpid()}"), "without a supervisor nobody follows"


def test_a_process_of_this_host_that_is_gone_is_known_at_once(alice, two):
    two[0].admit(seat(alice), 1)
    mine = psutil.Process().create_time()
    WebProcess.objects.filter(pk=two[0].process).update(born=mine - 100.0)  # its pid is another's now
    clear_dead()
    assert list(WebProcess.objects.values_list("pk", flat=True)) == [two[1].process]
    WebProcess.objects.update(pid=2**22 + 5)
    clear_dead()
    assert not WebProcess.objects.exists()


def test_a_beat_brings_figures_and_rows_up_to_date(alice, two):
    two[0].admit(seat(alice), 5)
    now = replace(seat(alice, sent=9, waiting=2), sessions=(4, 5))
    two[0].beat({now.id: now})
    row = LiveConnection.objects.get()
    assert (row.sent, row.waiting, row.sessions, row.following) == (9, 2, [4, 5], 2)
    assert row.activity == now.activity


def test_rows_nobody_holds_any_more_are_removed(alice, two):
    two[0].admit(seat(alice), 5)
    two[0].seats.clear()  # its consumer could not say so: the database was away
    two[0].look({})
    assert not LiveConnection.objects.exists()


def test_an_orderly_end_leaves_nothing(alice, two):
    two[0].admit(seat(alice), 5)
    two[0].end()
    assert list(WebProcess.objects.values_list("pk", flat=True)) == [two[1].process]
    assert not LiveConnection.objects.exists()


async def test_another_process_closes_a_socket_of_this_one(alice):
    ws = await opened("", alice)
    await until(ws, of_type("connection_established"))
    await LiveConnection.objects.aupdate(closing=True)
    await sync_to_async(Keeper().turn)()
    assert await close_code(ws) == 4410
    await ws.wait()


async def test_a_socket_waits_a_moment_for_the_page_before_it(alice, settings, monkeypatch):
    settings.QP_SOCKETS_PER_USER = 1
    ws, waited = await opened("", alice), []
    await until(ws, of_type("connection_established"))

    async def sleep(seconds):
        if seconds != connection.SEAT_SECONDS:
            return await asyncio.sleep(seconds)
        waited.append(seconds)
        await ws.disconnect()
        await eventually(lambda: not presence.presence.seats)

    monkeypatch.setattr(connection, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": sleep}))
    after = await opened("", alice)
    await until(after, of_type("connection_established"))
    assert waited
    await after.disconnect()


def test_a_database_that_is_away_is_said_once_and_tried_again(monkeypatch, caplog):
    def away(seats):
        raise OperationalError("away")

    kept = Keeper()
    monkeypatch.setattr(keeper.presence, "beat", away)
    for _ in range(3):
        kept.turn()
    assert caplog.text.count("cannot be kept") == 1
    monkeypatch.undo()
    kept._looks = 0
    kept.turn()
    assert WebProcess.objects.exists()
    kept.stop()
    assert not WebProcess.objects.exists()


def told(followers, known=()):
    found = notices.fresh([one.user_id for one in followers], known)
    notices.tell(found, followers)
    notices.mark_told(found)
    return [len(one.queue) for one in followers]


def test_two_processes_tell_a_notice_once_to_each_socket(alice):
    first, second = Follower("json", user_id=alice.pk), Follower("html", user_id=alice.pk)
    notify(alice, "test.notice")
    assert told([first]) == [1]
    assert told([second]) == [1], "it was there when the other process told"
    late = Follower("json", user_id=alice.pk)
    assert told([late]) == [0], "a page that opens later shows it already"
    notify(alice, "test.notice")
    assert told([late]) == [1]


def test_a_notice_of_a_moment_without_a_socket_is_not_lost(alice):
    notify(alice, "test.notice")
    assert told([Follower("json", user_id=alice.pk)]) == [1]
