"""Latest quotes in memory and in Redis: only what changed is read, nothing is missed, a dead Redis costs nothing."""

from __future__ import annotations

import os
import uuid

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.marketdata.adapters import latest_store, quote_tables
from apps.marketdata.adapters.latest_store import RedisStore, TableStore, client_of
from apps.marketdata.adapters.quote_board import FRESH, Board
from apps.marketdata.models import LatestQuote, QuoteHead
from tests.marketdata.quotes.conftest import NOW, many, store, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def board(clock):
    return Board(TableStore, clock=lambda: clock[0])


def lasts(board, *symbols):
    found, _hit = board.of(symbols)
    return [held[0].quote.last if held else None for held in found.values()]


def test_memory_answers_for_a_moment_and_then_only_what_changed_is_read(writer, board, clock, monkeypatch):
    store(writer, many(6))
    asked = []
    real = TableStore.changed

    def counted(self, after):
        cursor, rows = real(self, after)
        asked.append(len(rows))
        return cursor, rows

    monkeypatch.setattr(TableStore, "changed", counted)
    assert lasts(board, "S0", "S1", "NONE") == [13.0, 14.0, None]
    store(writer, [told("S0", 99.0, NOW + 50)])
    assert lasts(board, "S0") == [13.0]
    clock[0] += FRESH
    assert lasts(board, "S0", "S1") == [99.0, 14.0]
    clock[0] += FRESH
    assert lasts(board, "S0") == [99.0]
    assert asked == [3, 1, 0]
    assert (board.count.reads, board.count.hits) == (7, 1)
    assert board.count.ratio == pytest.approx(1 / 7)


def test_another_database_with_lower_numbers_is_read_anew(writer, board, clock):
    store(writer, many(6))
    assert lasts(board, "S0") == [13.0]
    QuoteHead.objects.update(last_seq=1)
    LatestQuote.objects.update(last=7.0, seq=1)
    clock[0] += FRESH
    assert lasts(board, "S0") == [7.0]


def test_what_is_in_memory_is_what_is_in_the_table_book_and_all(writer, board):
    full = told(bids=((1.0, 2.0),), asks=((1.5, 4.0), (1.6, 1.0)), volume=5.0, amount=6.0, prev_close=0.9)
    store(writer, [full])
    found, _hit = board.of(["AAA"])
    assert found["AAA"][0].quote == full


@pytest.fixture
def server(monkeypatch):
    """A Redis of the environment with keys of this test's own."""
    if not os.environ.get("REDIS_URL"):
        pytest.skip("needs REDIS_URL")
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    prefix = uuid.uuid4().hex
    keys = {name: f"{prefix}:{name}" for name in ("CHANGES", "ROWS", "COUNT")}
    for name, key in keys.items():
        monkeypatch.setattr(latest_store, name, key)
    yield client
    client.delete(*keys.values())


def publish(to, writer, quotes):
    _count, last = store(writer, quotes)
    to.publish(quote_tables.rows_of(writer.feed.pk, quotes, last - len(quotes) + 1))


def test_redis_gives_what_changed_and_the_table_what_came_before(writer, server, clock):
    redis_store = RedisStore(server)
    store(writer, [told("OLD", 5.0)])
    board = Board(lambda: redis_store, clock=lambda: clock[0])
    assert lasts(board, "OLD") == [5.0]
    publish(redis_store, writer, many(6))
    clock[0] += FRESH
    LatestQuote.objects.all().delete()  # what follows comes from Redis
    assert lasts(board, "OLD", "S0", "S2") == [5.0, 13.0, 15.0]
    assert 0 < server.ttl(latest_store.ROWS) <= 60


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ABC")), max_size=20))
def test_a_reader_of_redis_misses_nothing_whenever_it_asks(server, writer, steps):
    redis_store, seen, known, moment = RedisStore(server), {}, {}, NOW
    cursor, rows = redis_store.changed(None)
    seen |= {row[2]: row[5] for row in rows}
    for reads, symbol in steps:
        if reads:
            cursor, rows = redis_store.changed(cursor)
            seen |= {row[2]: row[5] for row in rows}
            assert {name: seen.get(name) for name in known} == known
        else:
            moment += 1
            known[symbol] = moment
            redis_store.publish(quote_tables.rows_of(writer.feed.pk, [told(symbol, moment, moment)], int(moment)))


def test_a_restarted_redis_sends_readers_to_the_table_and_counts_on(writer, server, clock):
    redis_store = RedisStore(server)
    board = Board(lambda: redis_store, clock=lambda: clock[0])
    publish(redis_store, writer, many(3))
    assert lasts(board, "S0") == [10.0]
    before = int(server.get(latest_store.COUNT))
    server.delete(latest_store.CHANGES, latest_store.ROWS, latest_store.COUNT)
    store(writer, [told("S0", 77.0, NOW + 90)])
    clock[0] += FRESH
    assert lasts(board, "S0") == [77.0]
    redis_store.publish(quote_tables.rows_of(writer.feed.pk, [told("S1", 88.0)], 99))
    assert int(server.get(latest_store.COUNT)) > before
    clock[0] += FRESH
    assert lasts(board, "S1") == [88.0]


def test_a_redis_that_does_not_answer_costs_nothing(writer, board, clock, monkeypatch):
    dead = RedisStore(client_of("redis://127.0.0.1:1"))
    monkeypatch.setattr(latest_store, "store", lambda: dead)
    store(writer, many(3))
    board = Board(lambda: dead, clock=lambda: clock[0])
    assert lasts(board, "S0") == [10.0]
    store(writer, [told("S0", 20.0, NOW + 30)])
    clock[0] += FRESH
    assert lasts(board, "S0") == [20.0]
