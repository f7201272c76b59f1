"""The board and the pages of feeds: what they show, to whom, for how many statements, and what their buttons do."""

from __future__ import annotations

import csv
import io
import time

import pytest
from django.utils import timezone

from apps.accounts import shares
from apps.marketdata.models import Feed
from apps.marketdata.services.feeds import feed_claim
from apps.marketdata.services.quotes import QuoteWriter
from tests.marketdata.quotes.conftest import store, told
from tests.sessions.live_fixtures import make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def advanced(client, bob):
    type(bob).objects.filter(pk=bob.pk).update(role="advanced")
    bob.refresh_from_db()
    client.force_login(bob)
    return client


def now(symbol="AAA", last=1.0, age=0.0, **more):
    moment = time.time() - age
    return told(symbol, last, moment, moment, **more)


def test_the_board_shows_each_newest_quote_with_its_age_market_and_feed(client, bob, writer):
    client.force_login(bob)
    store(writer, [now("AAA", 11.0, prev_close=10.0, bids=((10.9, 300.0),), asks=((11.1, 200.0),)), now("BBB", age=30),
                   now("CCC", age=7200)])  # fmt: skip
    page = client.get("/data/quotes/").content.decode()
    assert "+10.00%" in page
    assert "10.90" in page
    assert "× 300" in page
    assert page.count("stale</span>") == 1
    assert page.count("expired</span>") == 1
    assert "XSHG" in page
    assert "quotes arrive" in page
    assert "data-live-quotes" in page


def test_the_board_is_filtered_sorted_and_paged_by_its_address(client, bob, writer):
    client.force_login(bob)
    store(writer, [now(f"S{n:02}", 10.0 + n) for n in range(60)])
    assert client.get("/data/quotes/").context["page"].paginator.num_pages == 2
    assert [line.row.symbol for line in client.get("/data/quotes/?search=s07").context["lines"]] == ["S07"]
    assert client.get("/data/quotes/?sort=-last").context["lines"][0].row.symbol == "S59"
    assert client.get("/data/quotes/?sort=nonsense&page=zz").context["lines"][0].row.symbol == "S00"
    assert client.get("/data/quotes/?feed=none").context["lines"] == []
    assert client.get("/data/quotes/?search=%00").status_code == 200
    part = client.get("/data/quotes/?search=S07", headers={"HX-Request": "true"}).content
    assert part.strip().startswith(b'<div id="board"')


def test_the_csv_holds_the_whole_filtered_board(client, bob, writer):
    client.force_login(bob)
    store(writer, [now(f"S{n:02}", bids=((0.9, 5.0),)) for n in range(60)])
    rows = list(csv.DictReader(io.StringIO(client.get("/data/quotes/?format=csv").content.decode())))
    assert len(rows) == 60
    assert (rows[0]["symbol"], rows[0]["feed"], rows[0]["bid1"], rows[0]["bid1_size"], rows[0]["ask1"]) == (
        "S00", "live", "0.9", "5.0", "")  # fmt: skip


def test_an_empty_board_says_what_to_do_next(client, bob):
    client.force_login(bob)
    assert b"No feed is set up" in client.get("/data/quotes/").content
    Feed.objects.create(name="live", kind="websocket")
    assert b"No quote has come yet" in client.get("/data/quotes/").content
    assert b"No quote matches" in client.get("/data/quotes/?search=x").content


def test_a_strangers_feed_and_its_quotes_are_on_no_page(client, alice, bob):
    feed = Feed.objects.create(name="hers", kind="replay", owner=alice, wanted=True, dataset=make_dataset())
    store(QuoteWriter(feed_claim(feed)), [now("SECRET")])
    client.force_login(bob)
    for path in ("/data/quotes/", "/data/feeds/", "/data/quotes/?format=csv"):
        content = client.get(path).content
        assert b"SECRET" not in content
        assert b"hers" not in content
    assert client.get(f"/data/feeds/{feed.pk}/").status_code == 404
    for act in ("start", "stop", "remove"):
        assert client.post(f"/data/feeds/{feed.pk}/{act}/").status_code == 404
    shares.share_create(actor=alice, obj=feed, receiver="bob")
    assert b"SECRET" in client.get(f"/data/feeds/{feed.pk}/").content
    assert client.post(f"/data/feeds/{feed.pk}/stop/").status_code == 404


def test_pages_cost_the_same_however_many_feeds_and_quotes(client, bob, writer, django_assert_max_num_queries):
    client.force_login(bob)
    store(writer, [now(f"S{n}") for n in range(50)])
    for n in range(20):
        Feed.objects.create(name=f"f{n}", kind="websocket")
    for path, most in (("/data/quotes/", 12), ("/data/feeds/", 12), (f"/data/feeds/{writer.feed.pk}/", 14)):
        client.get(path)
        with django_assert_max_num_queries(most):
            client.get(path)


def test_a_replay_is_started_stopped_and_removed_from_the_page(advanced, bob):
    dataset = make_dataset()
    made = advanced.post("/data/feeds/", {"dataset": dataset.pk, "speed": "100", "symbols": "AAPL", "loop": "on"})
    assert made.status_code == 302
    feed = Feed.objects.get()
    assert (feed.owner, feed.wanted, feed.options, feed.symbols) == (
        bob,
        True,
        {"speed": 100.0, "loop": True},
        ["AAPL"],
    )
    assert b"waits for a worker" in advanced.get("/data/feeds/").content
    advanced.post(f"/data/feeds/{feed.pk}/remove/")
    assert Feed.objects.filter(pk=feed.pk).exists()  # not while it is wanted
    advanced.post(f"/data/feeds/{feed.pk}/stop/", {"from": "feed"})
    assert not Feed.objects.get().wanted
    advanced.post(f"/data/feeds/{feed.pk}/start/")
    assert Feed.objects.get().wanted
    advanced.post(f"/data/feeds/{feed.pk}/stop/")
    assert advanced.post(f"/data/feeds/{feed.pk}/remove/").status_code == 302
    assert not Feed.objects.exists()


@pytest.mark.parametrize("change", [{"speed": "0"}, {"speed": "nan"}, {"symbols": "MSFT"}, {"dataset": "7777"}])
def test_a_wrong_form_says_so_at_the_field_and_makes_nothing(advanced, change):
    data = {"dataset": make_dataset().pk, "speed": "60", **change}
    answer = advanced.post("/data/feeds/", data)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == list(change)
    assert not Feed.objects.exists()


def test_who_may_not_replay_is_offered_no_form_and_refused(client, bob):
    client.force_login(bob)
    assert b'name="speed"' not in client.get("/data/feeds/").content
    assert client.post("/data/feeds/", {"dataset": make_dataset().pk, "speed": "60"}).status_code == 403
    assert client.get("/data/feeds/source/").status_code == 403


def test_an_administrator_sets_up_a_source_and_is_told_what_is_wrong(client, root):
    client.force_login(root)
    good = {"name": "ws", "kind": "websocket", "url": "wss://x.example/", "mapping": '{"symbol": "s"}'}
    for change in (
        {"mapping": "{"},
        {"mapping": "[1]"},
        {"mapping": '{"x": "y"}'},
        {"url": "http://x"},
        {"calendar": "QQ"},
        {"name": "a b"},
    ):
        answer = client.post("/data/feeds/source/", {**good, **change})
        assert (answer.status_code, list(answer.context["form"].errors)) == (422, list(change))
    assert client.post("/data/feeds/source/", good).status_code == 302
    feed = Feed.objects.get()
    assert (feed.owner, feed.wanted, feed.options["mapping"]) == (None, False, {"symbol": "s"})
    assert client.get(f"/data/feeds/{feed.pk}/").status_code == 200


def test_the_page_of_a_feed_tells_refusals_failures_progress_and_minutes(client, bob, writer, feed):
    client.force_login(bob)
    store(writer, [now(last=0.0), now(last=5.0)])
    Feed.objects.update(
        total=100, position=49, kind="replay", options={"speed": 60, "loop": False},
        started_at=timezone.now() - timezone.timedelta(seconds=60), failures=2,
        error={"code": "feed_crashed", "message": "The feed ended by itself: %(error)s.", "params": {"error": "torn"}},
    )  # fmt: skip
    page = client.get(f"/data/feeds/{feed.pk}/").content.decode()
    for words in (
        "price not above zero",
        "ended by itself: torn",
        "50%",
        "left",
        "Last minutes of AAA",
        "2 failures in a row",
    ):
        assert words in page
