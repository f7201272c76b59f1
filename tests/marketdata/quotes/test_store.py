"""Stored quotes: numbers without a hole, all of a batch or none, one writer a feed, days that go."""

from __future__ import annotations

import time

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.marketdata.adapters import quote_tables
from apps.marketdata.models import Feed, LatestQuote, MinuteRow, QuoteRecord
from apps.marketdata.services.feeds import feed_claim, feed_delete, feeds_due
from apps.marketdata.services.quotes import LEASE, FeedLost, Progress, QuoteWriter, quotes_drop
from apps.ui.engine.refusal import Refusal
from tests.marketdata.quotes.conftest import NOW, many, store, told

pytestmark = pytest.mark.django_db


def log(feed):
    return list(QuoteRecord.objects.filter(feed_id=feed.pk).order_by("seq").values_list("symbol", "last"))


def test_a_batch_is_stored_with_its_newest_and_its_minutes(writer, feed):
    assert store(writer, many(7)) == (7, quote_tables.head())
    rows = list(QuoteRecord.objects.order_by("seq"))
    assert [row.seq for row in rows] == list(range(rows[0].seq, rows[0].seq + 7))
    assert [row.last for row in rows] == [10.0 + n for n in range(7)]
    assert list(LatestQuote.objects.order_by("symbol").values_list("symbol", "last")) == [
        ("S0", 16.0),
        ("S1", 14.0),
        ("S2", 15.0),
    ]
    assert sum(MinuteRow.objects.values_list("count", flat=True)) == 7
    feed.refresh_from_db()
    assert (feed.quote_count, feed.state) == (7, "running")


def test_the_book_and_what_is_unknown_come_back_as_they_were(writer):
    full = told(bids=((1.0, 2.0), (0.5, 3.0)), asks=((1.5, 4.0),), volume=5.0, amount=6.0, prev_close=0.9)
    store(writer, [full, told("BBB")])
    one, other = QuoteRecord.objects.order_by("seq")
    assert one.sides == (((1.0, 2.0), (0.5, 3.0)), ((1.5, 4.0),))
    assert (one.volume, one.amount, one.prev_close) == (5.0, 6.0, 0.9)
    assert (other.sides, other.volume, other.prev_close) == (((), ()), None, None)


@pytest.mark.parametrize("table", ["RECORD", "LATEST", "MINUTES"])
def test_a_batch_that_fails_in_the_middle_leaves_nothing_and_is_stored_whole_afterwards(
    writer, feed, monkeypatch, table
):
    store(writer, many(3), position=3)
    before = (quote_tables.head(), log(feed))
    writer.take([many(4, start=NOW + 100)])
    with monkeypatch.context() as broken:
        broken.setattr(quote_tables, table, "no_such_table")
        with pytest.raises(DatabaseError):
            writer.store(Progress(7))
    assert (quote_tables.head(), log(feed)) == before
    assert Feed.objects.get().position == 3
    assert writer.store(Progress(7))[0] == 4
    assert len(log(feed)) == 7
    assert Feed.objects.get().position == 7


def test_a_commit_whose_answer_was_lost_is_not_done_twice(writer, feed, monkeypatch):
    class Cut(transaction.Atomic):
        def __exit__(self, *error):
            super().__exit__(*error)
            raise OperationalError("the connection is gone")

    writer.take([many(4)])
    with monkeypatch.context() as cut:
        cut.setattr(transaction, "atomic", lambda: Cut(None, True, False))
        with pytest.raises(OperationalError):
            writer.store(Progress(4))
    assert len(log(feed)) == 4
    assert writer.store(Progress(4))[0] == 4
    assert len(log(feed)) == 4


def test_a_killed_writer_is_followed_by_one_that_repeats_nothing(writer, feed):
    quotes = many(10)
    store(writer, quotes[:6], position=6)
    writer.take([quotes[6:8]])  # killed before these were stored
    Feed.objects.update(lease_until=timezone.now() - LEASE)
    heir = QuoteWriter(feed_claim(Feed.objects.get()))
    store(heir, quotes[4:], position=10)  # the source says the last ones again
    assert log(feed) == [(quote.symbol, quote.last) for quote in quotes]
    assert sum(MinuteRow.objects.values_list("count", flat=True)) == 10


def test_one_process_writes_a_feed_and_the_one_before_is_fenced_off(writer, feed):
    with pytest.raises(Refusal, match="another process"):
        feed_claim(Feed.objects.get())
    Feed.objects.update(lease_until=timezone.now() - LEASE)
    assert list(feeds_due()) == [feed]
    feed_claim(Feed.objects.get())
    writer.take([many(2)])
    with pytest.raises(FeedLost):
        writer.store(Progress())
    assert log(feed) == []
    assert quote_tables.head() == 0


def test_a_feed_that_failed_waits_longer_each_time(feed):
    now = timezone.now()
    for failures, waits in ((1, 2), (2, 5), (5, 300), (99, 300)):
        Feed.objects.update(failures=failures, state="failed", ended_at=now)
        assert not feeds_due(now + timezone.timedelta(seconds=waits - 1))
        assert feeds_due(now + timezone.timedelta(seconds=waits + 1))


def test_raw_quotes_go_after_their_days_and_minutes_stay(writer, feed):
    today = time.time()
    store(writer, many(5, start=today - 9 * 86_400), many(4, start=today - 60))
    assert quotes_drop(days=0) == 0
    assert quotes_drop(dry_run=True) == 5
    assert quotes_drop() == 5
    assert QuoteRecord.objects.count() == 4
    assert sum(MinuteRow.objects.values_list("count", flat=True)) == 9
    assert quote_tables.oldest() == quote_tables.head() - 3
    assert quotes_drop() == 0


def test_on_postgresql_each_day_is_a_table_of_its_own(writer):
    store(writer, many(2), many(2, start=NOW + 86_400))
    days = quote_tables.partitions()
    wanted = {int(NOW // 86_400), int(NOW // 86_400) + 1} if connection.vendor == "postgresql" else set()
    assert set(days) >= wanted
    assert bool(days) == (connection.vendor == "postgresql")


def test_a_running_feed_is_not_removed_and_a_stopped_one_takes_its_latest_along(writer, feed):
    store(writer, many(3))
    with pytest.raises(Refusal, match="stop it first"):
        feed_delete(feed=Feed.objects.get(), actor=None)
    Feed.objects.update(wanted=False, state="stopped", lease_until=None)
    feed_delete(feed=Feed.objects.get(), actor=None)
    assert not LatestQuote.objects.exists()
    assert not MinuteRow.objects.exists()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 9)), max_size=6), max_size=6), st.integers(0, 5)
)
def test_however_the_source_is_cut_and_repeats_itself_each_state_is_stored_once(feed, batches, killed):
    QuoteRecord.objects.all().delete()
    LatestQuote.objects.all().delete()
    Feed.objects.update(state="stopped", lease_until=None, quote_count=0)
    moment, source = NOW, []
    for batch in batches:
        source.append([told(symbol, float(last), (moment := moment + 1)) for symbol, last in batch])
    first = QuoteWriter(feed_claim(Feed.objects.get()))
    for batch in source[:killed]:
        store(first, batch)
    Feed.objects.update(lease_until=timezone.now() - LEASE)
    second = QuoteWriter(feed_claim(Feed.objects.get()))
    for batch in source[max(0, killed - 1) :]:  # it says the last batch again
        store(second, batch)
    assert log(feed) == [(quote.symbol, quote.last) for batch in source for quote in batch]
