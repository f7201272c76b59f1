"""Replay and latest quotes: order, pace, days, duplicates, age."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.quotes import LatestQuotes, Quote, ReplayFeed
from apps.ui.engine.refusal import Refusal


def minutes() -> BarPanel:
    times = np.array(["2024-01-02T09:31", "2024-01-02T09:32", "2024-01-02T15:00", "2024-01-03T09:31"], "datetime64[ns]")
    close = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, np.nan, 6.0, 7.0]])
    return BarPanel(("A", "B"), times, {"close": close, "volume": np.full((2, 4), 10.0)}, frequency="1min")


async def played(feed, symbols=("A", "B")):
    return [batch async for batch in feed.batches(symbols)]


async def test_a_replay_gives_each_close_in_order_and_is_silent_where_there_is_no_bar():
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    batches = await played(ReplayFeed(minutes(), 60, sleep=sleep, clock=lambda: 1000.0))
    assert [[(q.symbol, q.last) for q in batch] for batch in batches] == [
        [("A", 1.0), ("B", 5.0)], [("A", 2.0)], [("A", 3.0), ("B", 6.0)], [("A", 4.0), ("B", 7.0)]]  # fmt: skip
    assert slept == [1.0, 1.0, 1.0]  # a minute at ×60; longer pauses are not waited for
    assert [batch[0].volume for batch in batches] == [10.0, 20.0, 30.0, 10.0]  # of the day
    assert batches[0][0].age(1007.0) == 7.0


async def test_a_replay_may_begin_later_and_refuses_what_it_cannot_do():
    async def sleep(seconds):
        pass

    batches = await played(ReplayFeed(minutes(), 1000, start=np.datetime64("2024-01-03"), sleep=sleep), ["B"])
    assert [q.last for batch in batches for q in batch] == [7.0]
    with pytest.raises(Refusal, match="speed"):
        ReplayFeed(minutes(), 2000)
    with pytest.raises(Refusal, match="not in"):
        await played(ReplayFeed(minutes(), 1000, sleep=sleep), ["C"])


def quote(time=0.0, last=1.0, symbol="A", **rest):
    return Quote(symbol, last, time, time, **rest)


def test_repeated_and_late_quotes_are_dropped_and_counted():
    latest = LatestQuotes()
    assert latest.put([quote(1), quote(1), quote(0.5), quote(2)]) == [quote(1), quote(2)]
    assert latest.put([quote(2, bids=((0.9, 5.0),))])  # the book moved at the same moment
    assert (latest.counts.kept, latest.counts.repeated, latest.counts.late) == (3, 1, 1)


def test_an_old_quote_is_not_given_any_more_and_is_named_as_silent():
    latest = LatestQuotes(lifetime=60)
    latest.put([quote(0), quote(50, symbol="B")])
    assert latest.get("A", 60.0) == quote(0)
    assert latest.get("A", 60.1) is None
    assert latest.get("C", 0.0) is None
    assert latest.silent(70.0, 15.0) == ["A", "B"]
    assert quote(100).age(90.0) == 0.0


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 9), st.integers(1, 3)), max_size=40))
def test_what_is_known_never_goes_back_in_time(came):
    latest, newest = LatestQuotes(), {}
    for symbol, time, last in came:
        latest.put([quote(float(time), float(last), symbol)])
        newest[symbol] = max(newest.get(symbol, 0), time)
        assert latest.get(symbol, 9.0).time == newest[symbol]
    assert latest.counts.kept + latest.counts.repeated + latest.counts.late == len(came)
