"""The tail of a web process: it goes to sleep when nobody looks, and never with somebody looking."""

from __future__ import annotations

import asyncio

import pytest

from apps.sessions.adapters.wakeup import Waiter
from apps.sessions.live import tailer
from apps.sessions.live.follower import Follower


class LastWait:
    """Stands for the hint: somebody joins while the tail waits for the last time, and leaves later."""

    def __init__(self, tail):
        self.tail, self.waits = tail, 0

    async def wait(self, timeout):
        self.waits += 1
        await asyncio.sleep(tailer.IDLE_SECONDS * 2)
        if self.waits == 1:
            self.tail.followers.add(Follower("json"))
        elif self.waits == 3:
            self.tail.followers.clear()


async def test_a_reader_who_comes_in_the_last_moment_keeps_the_tail_going(monkeypatch):
    monkeypatch.setattr(tailer, "IDLE_SECONDS", 0.001)
    tail = tailer.Tailer()
    ticks = []

    async def tick():
        ticks.append(len(tail.followers))

    monkeypatch.setattr(tail, "tick", tick)
    async with asyncio.timeout(5):
        await tail._loop(LastWait(tail))
    assert ticks[:3] == [0, 1, 1], "it read for the late one until that one left"
    tail.reader.shutdown(wait=False)


@pytest.mark.usefixtures("sqlite_only")
async def test_without_a_place_for_hints_the_log_is_looked_at_all_the_same(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr("apps.sessions.adapters.wakeup.folder", lambda: tmp_path / ("x" * 200))
    waiter = await Waiter().open()
    assert not await waiter.wait(0.01)
    await waiter.close()
    assert "No hints" in caplog.text


@pytest.fixture
def sqlite_only(db):
    from django.db import connection

    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has hints of its own")


async def test_who_looks_at_quotes_is_told_when_some_came_and_others_are_not(monkeypatch):
    monkeypatch.setattr(tailer, "QUOTES_SECONDS", 0.0)
    heads = iter([5, 5, 8, 8])
    monkeypatch.setattr(tailer.source, "quotes_head", lambda: next(heads))
    tail = tailer.Tailer()
    looks, other = Follower("html", quotes=True), Follower("html")
    tail.followers = {other}
    await tail._quotes()  # nobody looks: nothing is read
    tail.followers = {looks, other}
    for _ in range(4):
        await tail._quotes()
    assert [text for _session, _seq, text in looks.queue] == ['{"type":"quotes","seq":8}']
    assert not other.queue
    tail.reader.shutdown(wait=False)
