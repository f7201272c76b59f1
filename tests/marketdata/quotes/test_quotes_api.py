"""REST of quotes and feeds: newest, cache, cursor, minutes; what strangers see; what is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from apps.accounts import shares
from apps.marketdata.adapters import quote_tables
from apps.marketdata.adapters.quote_board import board
from apps.marketdata.models import Feed
from apps.marketdata.services.feeds import feed_claim
from apps.marketdata.services.quotes import QuoteWriter, quotes_drop
from tests.marketdata.quotes.conftest import many, store, told
from tests.sessions.live_fixtures import make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_bob(client, bob):
    client.force_login(bob)
    return client


@pytest.fixture
def replay(alice, bob) -> Feed:
    """A replay of alice's."""
    return Feed.objects.create(name="hers", kind="replay", owner=alice, wanted=True, dataset=make_dataset())


def now(symbol="AAA", last=1.0, age=0.0, **more):
    moment = time.time() - age
    return told(symbol, last, moment, moment, **more)


def post(client, path, body):
    return client.post(path, body, content_type="application/json")


def test_realtime_gives_the_newest_and_says_what_is_missing(as_bob, writer):
    store(writer, [now("SH600000", 7.0, bids=((6.9, 100.0),)), now("OLD", age=61)])
    found = post(as_bob, "/api/data/realtime", ["600000.SH", "OLD", "NEVER", "SH600000"]).json()
    (quote,) = found["quotes"]
    assert (quote["symbol"], quote["last"], quote["bids"], quote["feed"]) == ("SH600000", 7.0, [[6.9, 100.0]], "live")
    assert (quote["replay"], quote["stale"]) == (False, False)
    assert [(row["symbol"], row["reason"]) for row in found["missing"]] == [("OLD", "expired"), ("NEVER", "unknown")]


def test_a_live_source_goes_before_a_replay_and_a_feed_can_be_named(as_bob, writer, replay):
    store(writer, [now(last=1.0, age=8)])
    Feed.objects.filter(pk=replay.pk).update(owner=None)
    store(QuoteWriter(feed_claim(Feed.objects.get(pk=replay.pk))), [now(last=2.0)])
    (quote,) = post(as_bob, "/api/data/realtime", ["AAA"]).json()["quotes"]
    assert (quote["last"], quote["stale"]) == (1.0, True)
    (quote,) = post(as_bob, "/api/data/realtime?feed=hers", ["AAA"]).json()["quotes"]
    assert (quote["last"], quote["replay"]) == (2.0, True)
    unknown = post(as_bob, "/api/data/realtime?feed=no", ["AAA"])
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_feed")


def test_the_cache_says_whether_memory_answered_and_how_old_it_is(as_bob, writer, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(board, "_clock", lambda: clock[0])
    store(writer, [now()])
    first, second = (as_bob.get("/api/data/cache/AAA").json() for _ in range(2))
    assert [one["from_cache"] for one in (first, second)] == [False, True]
    assert second["data"]["last"] == 1.0
    assert 0 <= second["age_s"] < 30
    store(writer, [now(last=2.0)])
    clock[0] += 1.0
    assert as_bob.get("/api/data/cache/AAA").json()["data"]["last"] == 2.0
    assert as_bob.get("/api/data/cache/ZZZ").json()["code"] == "no_quote"


def test_past_its_lifetime_a_quote_is_no_data(as_bob, writer):
    store(writer, [now(age=61)])
    found = as_bob.get("/api/data/cache/AAA").json()
    assert (found["data"], found["from_cache"]) == (None, False)
    assert found["age_s"] > 60


def test_a_cursor_gives_every_quote_once_and_in_order(as_bob, writer):
    start = as_bob.get("/api/data/quotes").json()
    assert (start["quotes"], start["next"]) == ([], quote_tables.head())
    for at in range(0, 25, 5):
        store(writer, many(25)[at : at + 5])
    seen, after = [], start["next"]
    while True:
        page = as_bob.get(f"/api/data/quotes?after={after}&limit=4").json()
        seen += page["quotes"]
        after = page["next"]
        if not page["more"]:
            break
    assert [quote["last"] for quote in seen] == [10.0 + n for n in range(25)]
    assert len({quote["seq"] for quote in seen}) == 25
    assert as_bob.get(f"/api/data/quotes?after={after}").json()["quotes"] == []


def test_a_cursor_moves_on_although_nothing_of_its_symbols_came(as_bob, writer):
    store(writer, many(9))
    page = as_bob.get("/api/data/quotes?after=0&symbols=S1").json()
    assert [quote["symbol"] for quote in page["quotes"]] == ["S1"] * 3
    page = as_bob.get("/api/data/quotes?after=0&symbols=NONE").json()
    assert (page["quotes"], page["next"], page["more"]) == ([], quote_tables.head(), False)


def test_a_cursor_is_told_what_retention_dropped_and_when_it_is_of_another_database(as_bob, writer):
    store(writer, many(5, start=time.time() - 9 * 86_400), many(2, start=time.time() - 5))
    quotes_drop()
    page = as_bob.get("/api/data/quotes?after=1").json()
    assert (page["lost"], len(page["quotes"])) == (4, 2)
    page = as_bob.get(f"/api/data/quotes?after={10**12}").json()
    assert (page["reset"], page["next"]) == (True, quote_tables.head())


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", f"after={2**63}", "limit=0", "limit=10001", "symbols=" + "x," * 2]
)
def test_a_question_that_cannot_be_is_no_server_error(as_bob, query):
    assert as_bob.get(f"/api/data/quotes?{query}").status_code in {200, 422}


def test_too_many_symbols_are_refused_at_their_field(as_bob):
    answer = post(as_bob, "/api/data/realtime", [f"S{n}" for n in range(501)])
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "too_many_symbols", "symbols")


def test_minutes_are_given_by_time_and_bounded(as_bob, writer):
    store(writer, many(200, symbols=1))
    bars = as_bob.get("/api/data/minutes/S0").json()["bars"]
    assert [bar["time"] for bar in bars] == sorted(bar["time"] for bar in bars)
    assert sum(bar["quotes"] for bar in bars) == 200
    end = bars[1]["time"]
    assert as_bob.get("/api/data/minutes/S0", {"end": end}).json()["bars"] == bars[:2]
    assert as_bob.get("/api/data/minutes/S0", {"start": end, "limit": 1}).json()["bars"] == bars[-1:]
    assert as_bob.get("/api/data/minutes/S0?start=9999999999999").status_code in {200, 422}


def test_a_strangers_replay_is_not_there_until_it_is_shared(as_bob, alice, bob, replay):
    store(QuoteWriter(feed_claim(replay)), [now()])
    assert as_bob.get("/api/feeds").json()["total"] == 0
    assert as_bob.get("/api/data/quotes?after=0").json()["quotes"] == []
    assert post(as_bob, "/api/data/realtime", ["AAA"]).json()["quotes"] == []
    for path in ("/api/data/cache/AAA", f"/api/feeds/{replay.pk}", "/api/data/minutes/AAA?feed=hers"):
        assert as_bob.get(path).status_code == 404
    assert as_bob.get("/api/data/minutes/AAA").json()["bars"] == []
    shares.share_create(actor=alice, obj=replay, receiver="bob")
    assert as_bob.get(f"/api/feeds/{replay.pk}").json()["name"] == "hers"
    assert len(as_bob.get("/api/data/quotes?after=0").json()["quotes"]) == 1
    assert post(as_bob, f"/api/feeds/{replay.pk}/stop", {}).status_code == 404


def test_replays_need_the_permission_and_sources_an_administrator(as_bob, bob, client):
    make_dataset()
    body = {"dataset": "us-daily-adjusted", "speed": 10, "symbols": ["AAPL"]}
    assert post(as_bob, "/api/feeds/replays", body).status_code == 403
    type(bob).objects.filter(pk=bob.pk).update(role="advanced")
    made = post(as_bob, "/api/feeds/replays", body)
    assert (made.status_code, made.json()["wanted"], made.json()["owner"]) == (201, True, "bob")
    assert post(as_bob, "/api/feeds/replays", {**body, "everybody": True}).status_code == 403
    assert post(as_bob, "/api/feeds/sources", {"name": "x", "kind": "qmt"}).status_code == 403
    stopped = post(as_bob, f"/api/feeds/{made.json()['id']}/stop", {}).json()
    assert (stopped["wanted"], stopped["health"]) == (False, "stopped")
    assert as_bob.delete(f"/api/feeds/{made.json()['id']}").status_code == 204


@pytest.mark.parametrize(
    ("change", "field"),
    [({"speed": 0}, "speed"), ({"speed": 1001}, "speed"), ({"symbols": ["MSFT"]}, "symbols"), ({"dataset": "no"}, "dataset"),
     ({"name": "a b"}, "name"), ({"name": "x" * 65}, "name"), ({"symbols": ["A\x00"]}, "symbols")],
)  # fmt: skip
def test_a_replay_that_cannot_be_is_refused_at_its_field(client, root, change, field):
    make_dataset()
    client.force_login(root)
    answer = post(client, "/api/feeds/replays", {"dataset": "us-daily-adjusted", **change})
    assert (answer.status_code in {404, 422}, answer.json().get("field")) == (True, field)
    assert not Feed.objects.exists()


def test_a_source_is_checked_and_shows_no_secret(client, root):
    client.force_login(root)
    good = {"name": "ws", "kind": "websocket", "options": {"url": "wss://x.example/q?key={secret}", "credential": "k"}}
    made = post(client, "/api/feeds/sources", good).json()
    assert made["options"]["url"] == "wss://x.example/q"
    assert post(client, "/api/feeds/sources", good).status_code == 409
    for options, field in (
        ({"url": "http://x"}, "url"),
        ({"url": "ws://x", "mapping": []}, "mapping"),
        ({"url": 7}, "url"),
    ):
        answer = post(client, "/api/feeds/sources", {**good, "name": "y", "options": options})
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    answer = post(client, "/api/feeds/sources", {"name": "z", "kind": "qmt", "calendar": "XXXX"})
    assert answer.json()["field"] == "calendar"


def test_reading_costs_few_statements_however_many_symbols(as_bob, writer, django_assert_max_num_queries):
    store(writer, [now(f"S{n}") for n in range(50)])
    with django_assert_max_num_queries(8):
        assert len(post(as_bob, "/api/data/realtime", [f"S{n}" for n in range(50)]).json()["quotes"]) == 50
    with django_assert_max_num_queries(8):
        assert len(as_bob.get("/api/data/quotes?after=0").json()["quotes"]) == 50


def test_health_follows_what_a_feed_says(client, root, writer, feed, settings):
    client.force_login(root)

    def health(**changes):
        Feed.objects.update(**changes)
        return client.get(f"/api/feeds/{feed.pk}").json()["health"]

    store(writer, [now()])
    late = datetime.fromtimestamp(time.time() - 100, UTC)
    assert health() == "ok"
    assert health(last_quote_at=late, started_at=late, created=late) == "silent"
    assert health(connected=False) == "disconnected"
    assert health(wanted=False) == "stopping"
    assert health(state="failed", error={"code": "x", "message": "Boom"}) == "failed"
    assert health(wanted=True, state="running", lease_until=late) == "waiting"
    assert health(wanted=False) == "stopped"
    assert health(state="finished") == "finished"
