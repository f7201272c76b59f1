"""Cursors of a followed log: whatever way it comes, none is lost and none comes twice."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.sessions.live.frames import Batch, Head
from quant_platform.client import BackOff, NotFound, SocketClosed, UnexpectedAnswer, Unreachable
from quant_platform.client.live import Cursor, Journey, Pace, closed

RUNNING = Head(99, "running", 0.5)


def payload(step, **more):
    return {"points": [{"step": step, "epoch": step, "values": {"loss": 1.0 / step}, "at": float(step)}], **more}


def frames(after, *payloads):
    events = [(after + at, one) for at, one in enumerate(payloads, 1)]
    return [json.loads(text) for text in Batch(7, after, events, RUNNING).json]


def heard(cursor, messages):
    return [update for update in map(cursor.hear, messages) if update is not None]


def steps(updates):
    return [point.step for update in updates for point in update.points]


def test_messages_about_the_same_events_are_one_update():
    line = {"time": "now", "level": "info", "text": "hello"}
    cursor = Cursor(7)
    messages = frames(0, payload(1, logs=[line]), payload(2, status="completed", result={"sharpe": 1.0}))
    assert len(messages) == 4
    assert [cursor.hear(message) for message in messages[:-1]] == [None] * 3
    update = cursor.hear(messages[-1])
    assert steps([update]) == [1, 2]
    assert (update.seq, update.status, update.result, update.logs) == (2, "completed", {"sharpe": 1.0}, (line,))
    assert cursor.done


def test_what_was_not_complete_when_the_connection_broke_comes_again_whole():
    cursor = Cursor(7)
    messages = frames(0, payload(1, logs=[{"text": "a"}]))
    assert cursor.hear(messages[0]) is None
    cursor.reconnect()
    assert cursor.seq == 0
    again = frames(0, payload(1, logs=[{"text": "a"}]), payload(2))
    (update,) = heard(cursor, again)
    assert (steps([update]), update.seq) == ([1, 2], 2)


def test_a_group_that_the_server_began_anew_replaces_the_old_one():
    cursor = Cursor(7)
    first = frames(0, payload(1, logs=[{"text": "a"}]))
    cursor.hear(first[0])
    assert steps(heard(cursor, first)) == [1]


def test_what_was_seen_is_not_told_again():
    cursor = Cursor(7, seq=2)
    assert heard(cursor, frames(0, payload(1), payload(2))) == []
    assert steps(heard(cursor, frames(2, payload(3)))) == [3]


def test_the_state_at_the_opening_is_told():
    (update,) = heard(Cursor(7, seq=2), frames(2))
    assert (update.status, update.points) == ("running", ())


@given(st.lists(st.integers(1, 3), min_size=1, max_size=8), st.lists(st.booleans(), min_size=30, max_size=30))
def test_however_the_events_are_cut_and_the_connection_breaks_each_point_comes_once(sizes, breaks):
    log = [payload(step, logs=[{"text": str(step)}]) for step in range(1, sum(sizes) + 1)]
    cursor, got, chance = Cursor(7), [], iter(breaks * 10)
    while cursor.seq < len(log):
        size = sizes[cursor.seq % len(sizes)]
        for message in frames(cursor.seq, *log[cursor.seq : cursor.seq + size]):
            if next(chance, False):
                cursor.reconnect()
                break
            update = cursor.hear(message)
            got += [update] if update else []
    assert steps(got) == list(range(1, len(log) + 1))
    assert [line["text"] for update in got for line in update.logs] == [str(step) for step in range(1, len(log) + 1)]


def test_the_log_that_is_asked_for_and_the_one_that_is_pushed_share_the_cursor():
    cursor = Cursor(7)
    assert cursor.read({"seq": 1, "payload": payload(1)}).seq == 1
    assert cursor.read({"seq": 1, "payload": payload(1)}) is None
    assert steps(heard(cursor, frames(0, payload(1)))) == []
    assert steps(heard(cursor, frames(1, payload(2)))) == [2]
    assert cursor.read({"seq": 3, "payload": {"status": "failed", "rewind": 1}}).rewind == 1
    assert cursor.done


def test_a_void_cursor_starts_anew():
    cursor = Cursor(7, seq=50)
    update = cursor.hear({"type": "session_resync", "session_id": 7, "seq": 0})
    assert update.resync
    assert steps(heard(cursor, frames(0, payload(1)))) == [1]
    assert cursor.restart().resync
    assert cursor.seq == 0


def test_a_journey_names_its_sessions_once_and_asks_for_those_still_open():
    journey = Journey([7, 9, 7], {9: 4})
    assert journey.query() == "session=7&after=0&session=9&after=4"
    journey.cursors[7].status = "cancelled"
    assert journey.query() == "session=9&after=4"
    assert not journey.done
    assert Journey(7, 3).query() == "session=7&after=3"
    with pytest.raises(ValueError, match="at least one"):
        Journey([])


def test_a_heartbeat_is_answered_and_nonsense_is_told():
    journey = Journey(7)
    assert journey.hear('{"type": "ping"}') == (None, '{"type":"pong"}')
    for other in (
        '{"type": "connection_established"}',
        '{"type": "notice", "id": 1}',
        '{"session_id": 8, "type": "x"}',
    ):
        assert journey.hear(other) == (None, "")
    for nonsense in ("<html>", "[1]"):
        with pytest.raises(UnexpectedAnswer):
            journey.hear(nonsense)


def test_close_codes_that_are_final_end_it():
    assert closed(4012) is None
    assert closed(None) is None
    assert isinstance(closed(4403), SocketClosed)
    assert "administrator" in str(closed(4410))


def test_the_live_connection_is_tried_again_ever_more_slowly_and_asked_for_meanwhile():
    pace = Pace(BackOff(first=100.0, most=1000.0))
    assert pace.is_due
    pace.broke(Unreachable("x"))
    assert not pace.is_due
    assert 49 < pace.pause() <= 100
    pace.asking(None)
    assert pace.pause() == 2.0
    pace.asking(Unreachable("x"))
    assert pace.pause() > 2.0
    pace.works()
    assert pace.failures == 0
    for hopeless in (NotFound(404, {}), SocketClosed(4401)):
        with pytest.raises(type(hopeless)):
            pace.broke(hopeless)
        with pytest.raises(type(hopeless)):
            pace.asking(hopeless)
