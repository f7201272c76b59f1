"""Sessions and quotes followed on a real server, through its restart. ``QP_FOLLOW_SECONDS=60`` follows quotes for a minute."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time

import pytest

from quant_platform.client import AsyncClient, BackOff, Client, NotAuthenticated, NotFound, Retry
from quant_platform.client.__main__ import main
from tests.installation import free_port

QUICK = BackOff(first=0.05, most=0.2)
MAKE = """
from apps.accounts.models import User
from tests.sessions.live_fixtures import make_session
print(make_session(User.objects.get(username="alice"), name="Followed").pk)
"""
SAY = """
from apps.sessions.models import Session
from apps.sessions.services.log import append
for step in range({first}, {last} + 1):
    line = {{"time": "2026-01-01T00:00:00Z", "level": "info", "text": f"line {{step}}"}}
    append({pk}, {{"points": [{{"step": step, "values": {{"loss": 1.0 / step}}}}], "logs": [line]}}, attempt=1)
"""
END = """
from apps.sessions.models import Session
from apps.sessions.services.log import append
append({pk}, {{"status": "completed", "result": {{"sharpe": 1.5}}}}, attempt=1)
Session.objects.filter(pk={pk}).update(status="completed")
"""
REVOKE_ALL = """
from django.utils import timezone
from apps.accounts.models import ApiToken
ApiToken.objects.filter(name="follower").update(revoked_at=timezone.now())
"""
MAKE_TOKEN = """
from apps.accounts.models import User
from apps.accounts.tokens import token_create
print(token_create(User.objects.get(username="alice"), "follower")[1])
"""


@pytest.fixture
def session(shell):
    return int(shell(MAKE))


@pytest.fixture
def say(shell, session):
    return lambda first, last: shell(SAY.format(pk=session, first=first, last=last))


@pytest.fixture
def end(shell, session):
    return lambda: shell(END.format(pk=session))


class Follower(threading.Thread):
    """Follows in a thread; ``until`` waits for a step that was told."""

    def __init__(self, updates):
        super().__init__(daemon=True)
        self.updates, self.got, self.error, self.news = updates, [], None, threading.Condition()
        self.start()

    def run(self):
        try:
            for update in self.updates:
                with self.news:
                    self.got.append(update)
                    self.news.notify_all()
        except Exception as error:  # noqa: BLE001 - raised where the test waits
            self.error = error
        with self.news:
            self.news.notify_all()

    @property
    def steps(self):
        return [point.step for update in self.got for point in update.points]

    def until(self, step):
        with self.news:
            assert self.news.wait_for(lambda: step in self.steps or not self.is_alive(), 60), self.got
        assert step in self.steps, self.error

    def ended(self):
        self.join(60)
        assert not self.is_alive()
        if self.error:
            raise self.error
        return self.got


def check(got, last):
    assert [point.step for update in got for point in update.points] == list(range(1, last + 1))
    assert [line["text"] for update in got for line in update.logs] == [f"line {step}" for step in range(1, last + 1)]
    assert [update.status for update in got if update.status][-1] == "completed"


def test_a_session_is_followed_live_through_a_restart(server, token, session, say, end):
    say(1, 5)
    with Client(server.url, token, retry=Retry(base=0.01)) as client:
        follower = Follower(client.sessions.follow(session, back_off=QUICK))
        follower.until(5)
        say(6, 8)
        follower.until(8)
        server.stop()
        say(9, 12)
        server.start()
        follower.until(12)
        say(13, 15)
        end()
        got = follower.ended()
    check(got, 15)
    assert got[-1].status == "completed"


async def test_the_same_awaited_and_from_a_cursor_on(server, token, session, say, end):
    say(1, 4)
    async with AsyncClient(server.url, token, retry=Retry(base=0.01)) as client:
        first = []
        async for update in client.sessions.follow(session, back_off=QUICK):
            first.append(update)
            if update.seq == 4:
                break
        say(5, 9)
        await asyncio.to_thread(end)
        rest = [update async for update in client.sessions.follow(session, after=first[-1].seq, back_off=QUICK)]
    check(first + rest, 9)


def test_a_session_that_has_ended_is_told_whole_and_then_nothing(client, session, say, end):
    say(1, 3)
    end()
    got = list(client.sessions.follow(session))
    check(got, 3)
    assert list(client.sessions.follow(session, after=got[-1].seq)) == []


def test_without_a_library_of_sockets_the_log_is_asked_for(client, session, say, end, monkeypatch):
    monkeypatch.setitem(sys.modules, "websockets.exceptions", None)
    say(1, 3)
    client._sleep = lambda seconds: (say(4, 6), end()) if not client.sessions.status(session).is_final else None
    check(list(client.sessions.follow(session)), 6)


def test_where_sockets_are_blocked_the_log_is_asked_for(relay, token, session, say, end):
    say(1, 3)
    with Client(relay.url, token) as client:
        told = []
        client._sleep = lambda seconds: (told.append(seconds), say(4, 6), end()) if not told else None
        check(list(client.sessions.follow(session)), 6)
    assert relay.asked("/ws/live/") == 1
    assert "ticket" not in relay.seen[-1][1]


def test_two_sessions_are_followed_together(client, shell, session, say, end):
    other = int(shell(MAKE))
    shell(SAY.format(pk=other, first=1, last=2))
    shell(END.format(pk=other))
    say(1, 3)
    end()
    got = list(client.sessions.follow([session, other]))
    for name, last in ((session, 3), (other, 2)):
        check([update for update in got if update.session_id == name], last)


def test_a_stranger_and_a_revoked_token_are_refused(server, shell, session, say):
    with Client(server.url, server.tokens["bob"]) as stranger, pytest.raises(NotFound):
        list(stranger.sessions.follow(session))
    say(1, 2)
    plain = shell(MAKE_TOKEN).strip()
    with Client(server.url, plain, retry=Retry(base=0.01)) as client:
        follower = Follower(client.sessions.follow(session, back_off=QUICK))
        follower.until(2)
        shell(REVOKE_ALL)
        server.restart()
        with pytest.raises(NotAuthenticated):
            follower.ended()


# Quotes

FEEDING = "from tests.client.feeding import begin, write\n"


@pytest.fixture
def quote(shell):
    """Write quotes as a feed does: ``quote(first, last)`` of AAA and BBB, prices first … last."""
    name = f"feed-{time.monotonic_ns()}"
    shell(f"{FEEDING}begin({name!r})")
    return lambda first, last: shell(f"{FEEDING}write({name!r}, {first}, {last})")


class Quotes(Follower):
    @property
    def steps(self):
        return [int(quote.last) for page in self.got for quote in page.quotes]


def test_quotes_are_followed_through_a_restart_without_losing_one(server, token, client, quote):
    start = client.data.quotes_after().next
    seconds = float(os.environ.get("QP_FOLLOW_SECONDS", "0"))
    with Client(server.url, token, retry=Retry(base=0.05)) as following:
        stop = threading.Event()
        pages = following.data.follow_quotes(["AAA", "BBB"], after=start, pause=0.05)
        follower = Quotes(page for page in pages if not stop.is_set())
        quote(1, 20)
        follower.until(20)
        last, begun = 20, time.monotonic()
        server.stop()
        quote(21, 40)
        server.start()
        last = 40
        while time.monotonic() - begun < seconds:
            quote(last + 1, last + 10)
            last += 10
            if last % 200 == 0:
                server.restart()
        quote(last + 1, last + 1)
        follower.until(last + 1)
    found = follower.steps
    assert found == sorted(found)
    for symbol in ("AAA", "BBB"):
        prices = [int(one.last) for page in follower.got for one in page.quotes if one.symbol == symbol]
        assert prices[:last] == list(range(1, last + 1))
    numbers = [one.seq for page in follower.got for one in page.quotes]
    assert numbers == sorted(set(numbers))
    assert not any(page.lost or page.reset for page in follower.got)


def test_the_newest_quotes_of_many_symbols_come_in_batches(server, token, relay, client, quote):
    quote(1, 3)
    with Client(relay.url, token) as counted:
        found = counted.data.realtime(["AAA", "BBB", *(f"NO{n}" for n in range(60))])
    assert relay.asked("/api/data/realtime") == 2
    assert [(one.symbol, one.last) for one in found.quotes] == [("AAA", 3.0), ("BBB", 3.0)]
    assert len(found.missing) == 60
    assert found.quotes[0].bids[0] == (2.9, 100.0)
    cached = client.data.cached_quote("AAA")
    assert cached.data.last == 3.0
    with pytest.raises(NotFound):
        client.data.cached_quote("NEVER")


async def test_quotes_awaited(server, token, quote):
    async with AsyncClient(server.url, token) as client:
        start = (await client.data.quotes_after()).next
        await asyncio.to_thread(quote, 1, 5)
        got = []
        async for page in client.data.follow_quotes("AAA", after=start, pause=0.01):
            got += [int(one.last) for one in page.quotes]
            if got[-1] == 5:
                break
        assert got == [1, 2, 3, 4, 5]
        assert len((await client.data.realtime(["AAA"])).quotes) == 1


# How far away


def test_the_way_to_the_server_is_measured(client, server, capsys):
    figures = client.benchmark()
    assert figures.success
    assert figures.error is None
    assert 0 < figures.connection_time_ms < 5_000
    assert 0 < figures.transfer_time_ms < 30_000
    assert main(["benchmark", server.url, "--rounds", "2", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"connection_time_ms", "transfer_time_ms", "success", "error"}
    assert main(["benchmark", server.url, "--rounds", "1"]) == 0
    assert "connected in" in capsys.readouterr().out


async def test_the_way_is_measured_awaited_too(server, token):
    async with AsyncClient(server.url, token) as client:
        assert (await client.benchmark()).success


def test_a_way_that_leads_nowhere_is_a_figure_too(capsys, relay, token):
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url) as client:
        figures = client.benchmark()
    assert (figures.success, figures.connection_time_ms, figures.transfer_time_ms) == (False, None, None)
    assert url in figures.error
    assert main(["benchmark", url, "--rounds", "1"]) == 1
    assert url in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["benchmark", "nonsense"])
    with pytest.raises(SystemExit):
        main(["benchmark", url, "--rounds", "0"])
    relay.script = [(200, {"Content-Type": "text/html"}, b"<html>a hotel")]
    with Client(relay.url, token) as client:
        figures = client.benchmark()
    assert not figures.success
    assert "JSON" in figures.error


def test_the_command_measures_as_well(server, capsys):
    from django.core.management import CommandError, call_command

    call_command("client_benchmark", server.url, rounds=1, json=True)
    assert json.loads(capsys.readouterr().out)["success"] is True
    with pytest.raises(CommandError, match="address"):
        call_command("client_benchmark", "nonsense")
    with pytest.raises(SystemExit):
        call_command("client_benchmark", f"http://127.0.0.1:{free_port()}", rounds=1)
