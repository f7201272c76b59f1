"""A feed from source to table: replays that go on where they were, stops, failures, the command."""

from __future__ import annotations

import asyncio
import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.marketdata import quote_runner
from apps.marketdata.engine.quotes import ReplayFeed
from apps.marketdata.models import Feed, QuoteRecord
from apps.marketdata.quote_runner import run_feed
from apps.marketdata.services.feeds import feed_start, feed_stop, replay_create
from apps.ui.engine.refusal import Refusal
from tests.marketdata.quotes.conftest import panel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def replay(monkeypatch):
    """A wanted replay of 40 minutes of two symbols that waits for nothing."""

    async def sleep(seconds):
        await asyncio.sleep(0)

    def source(feed):
        options = feed.options
        return ReplayFeed(panel(40), options["speed"], after=feed.position, loop=options["loop"], sleep=sleep)

    monkeypatch.setattr(quote_runner, "source_of", source)
    monkeypatch.setattr(quote_runner, "MOST", 8)
    return Feed.objects.create(name="r", kind="replay", wanted=True, options={"speed": 1000, "loop": False})


def lasts(symbol="AAA"):
    return list(QuoteRecord.objects.filter(symbol=symbol).order_by("seq").values_list("last", flat=True))


WHOLE = [10.0 + n for n in range(40)]


def test_a_replay_runs_to_its_end_and_is_finished(replay):
    assert asyncio.run(run_feed(replay)) == "finished"
    assert lasts() == WHOLE
    replay.refresh_from_db()
    assert (replay.wanted, replay.state, replay.position, replay.quote_count) == (False, "finished", 39, 80)
    feed_start(feed=replay, actor=None)
    assert asyncio.run(run_feed(Feed.objects.get())) == "finished"
    assert lasts() == WHOLE * 2


def test_one_that_is_stopped_keeps_its_place_and_goes_on_behind_it(replay):
    def stop_soon(run):
        run.told = lambda count, seq: run.stop()

    assert asyncio.run(run_feed(replay, stop_soon)) == "stopped"
    first = lasts()
    assert 0 < len(first) < 40
    assert asyncio.run(run_feed(Feed.objects.get())) == "finished"
    assert lasts() == WHOLE


def test_what_nobody_wants_any_more_ends_by_itself(replay, monkeypatch):
    monkeypatch.setattr(quote_runner, "BEAT", 0.0)
    Feed.objects.update(options={"speed": 1000, "loop": True})
    replay.refresh_from_db()
    feed_stop(feed=replay, actor=None)
    assert asyncio.run(run_feed(replay)) == "stopped"


def test_one_thrown_out_in_the_middle_is_followed_without_a_gap_or_a_repeat(replay):
    """As after kill -9: no word of farewell, the lease runs out, another takes it."""

    class Killed(BaseException):
        pass

    count = 0

    def arm(run):
        def told(stored, seq):
            nonlocal count
            count += 1
            if count == 3:
                raise Killed

        run.told = told

    with pytest.raises(Killed):
        asyncio.run(run_feed(replay, arm))
    assert 0 < len(lasts()) < 40
    Feed.objects.update(lease_until=None)
    assert asyncio.run(run_feed(Feed.objects.get())) == "finished"
    assert lasts() == WHOLE
    assert lasts("BBB") == [last + 100 for last in WHOLE]


def test_a_database_that_is_away_for_a_moment_costs_nothing(replay, monkeypatch):
    from django.db import OperationalError

    from apps.marketdata.adapters import quote_tables

    real, calls = quote_tables.write, []

    def unsteady(*given):
        calls.append(1)
        if len(calls) % 3 == 2:
            raise OperationalError("away")
        return real(*given)

    monkeypatch.setattr(quote_tables, "write", unsteady)
    monkeypatch.setattr(quote_runner.time, "sleep", lambda seconds: None)
    assert asyncio.run(run_feed(replay)) == "finished"
    assert lasts() == WHOLE


def test_a_source_that_cannot_run_here_is_told_and_tried_again_later(replay, monkeypatch):
    def no_source(feed):
        raise Refusal("xtquant_missing", "not here", status=409)

    monkeypatch.setattr(quote_runner, "source_of", no_source)
    assert asyncio.run(run_feed(replay)) == "failed"
    replay.refresh_from_db()
    assert (replay.error["code"], replay.failures, replay.wanted) == ("xtquant_missing", 1, True)


def test_a_source_that_breaks_is_told_with_what_came_before_kept(replay, monkeypatch):
    class Broken(ReplayFeed):
        async def batches(self, symbols):
            async for batch in super().batches(symbols):
                yield batch
                if batch[0].last > 14:
                    raise ValueError("torn")

    async def sleep(seconds):
        await asyncio.sleep(0)

    monkeypatch.setattr(quote_runner, "source_of", lambda feed: Broken(panel(40), 1000, sleep=sleep))
    assert asyncio.run(run_feed(replay)) == "failed"
    assert lasts() == WHOLE[:6]
    replay.refresh_from_db()
    assert "torn" in replay.error["params"]["error"]


def call(*words):
    out = StringIO()
    call_command("quotes", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_runs_lists_stops_shows_and_removes(replay):
    call("run", "--feed", "r")
    rows = json.loads(call("list", "--json"))["feeds"]
    assert [(row["name"], row["state"], row["quotes"]) for row in rows] == [("r", "finished", 80)]
    assert "the replay has come to its end" in call("list")
    shown = json.loads(call("show", "AAA,NONE", "--json"))
    assert [quote["last"] for quote in shown["quotes"]] == [49.0]
    assert "49" in call("show", "AAA,NONE")
    call("start", "r")
    call("stop", "r")
    call("remove", "r")
    assert not Feed.objects.exists()
    with pytest.raises(CommandError, match="There is no feed r"):
        call("run", "--feed", "r")


def test_the_command_sets_up_replays_and_sources(builtin):
    call("replay", builtin[1].name, "--speed", "100", "--loop")
    call("source", "ws", "--options", '{"url": "ws://x.example"}')
    assert list(Feed.objects.order_by("name").values_list("name", "wanted")) == [
        (f"replay-{builtin[1].name}", True), ("ws", False)]  # fmt: skip
    for wrong in ("{", "[]"):
        with pytest.raises(CommandError, match="JSON"):
            call("source", "other", "--options", wrong)
    with pytest.raises(CommandError, match="speed"):
        call("replay", builtin[1].name, "--speed", "0.5")


def test_a_real_replay_reads_its_dataset(builtin):
    feed = replay_create(actor=None, dataset=builtin[1], speed=1000)
    source = quote_runner.source_of(feed)
    assert source.panel.symbols
    assert Feed.objects.get().total == len(source.panel.times)
