"""A reader that lags is dropped back to its cursor and never holds up another."""

from __future__ import annotations

import asyncio
import json

from apps.sessions.live.follower import Follower, Look
from apps.sessions.live.frames import Batch, Head, error, reset
from apps.sessions.live.partials import FRAGMENTS, named, register, template_of

HEAD = Head(99, "running", 0.5)


def batch(after, *steps, session=7):
    events = [(after + at, {"points": [{"step": step, "values": {"loss": 1.0}}]}) for at, step in enumerate(steps, 1)]
    return Batch(session, after, events, HEAD)


async def all_had_their_turn():
    """Let every task that can go on go on: turns are counted, as a busy machine may sleep through a time."""
    for _ in range(100):
        await asyncio.sleep(0)


def seqs(follower):
    return [seq for _, seq, _ in follower.queue]


def test_frames_are_queued_once_and_in_order():
    follower = Follower("json")
    follower.accept(batch(0, 1, 2))
    follower.accept(batch(0, 1, 2))
    follower.accept(batch(2, 3))
    assert seqs(follower) == [2, 3]


def test_an_overlapping_batch_brings_only_what_is_new():
    follower = Follower("json", cursors={7: 2})
    follower.accept(batch(0, 1, 2, 3))
    message = json.loads(follower.queue[0][2])
    assert [point["step"] for point in message["points"]] == [3]
    assert follower.cursors[7] == 3


def test_an_overflow_drops_the_queue_and_asks_to_read_again():
    follower = Follower("json", limit=3)
    for seq in range(10):
        follower.accept(batch(seq, seq + 1))
    assert follower.lost
    assert not follower.queue
    assert follower.overflows == 1


async def test_after_an_overflow_reading_starts_at_what_was_sent():
    follower, sent, again = Follower("json", limit=3), [], []
    pumped = asyncio.Event()

    async def send(text):
        sent.append(json.loads(text)["seq"])

    async def resume():
        again.append(dict(follower.sent))
        pumped.set()

    task = asyncio.create_task(follower.pump(send, resume))
    follower.accept(batch(0, 1))
    await all_had_their_turn()
    for seq in range(1, 8):
        follower.accept(batch(seq, seq + 1))
    await asyncio.wait_for(pumped.wait(), 20)
    assert again == [{7: 1}]
    assert sent == [1]
    follower.accept(batch(8, 9))
    follower.cursors[7] = 1
    task.cancel()


def test_events_in_several_frames_count_as_sent_with_the_last():
    follower = Follower("json")
    payload = {"points": [{"step": 1, "values": {"loss": 1.0}}], "logs": [{"text": "hello"}], "status": "completed"}
    follower.accept(Batch(7, 0, [(1, payload)], HEAD))
    assert [session for session, _, _ in follower.queue] == [0, 0, 0, 7]
    messages = [json.loads(text) for _, _, text in follower.queue]
    assert [message["type"] for message in messages] == [
        "session_metrics_update", "session_log", "session_status_update", "training_completed",
    ]  # fmt: skip
    assert [message.get("more", False) for message in messages] == [True, True, True, False]


async def test_a_slow_reader_does_not_slow_another():
    slow, quick, got = Follower("json", limit=5), Follower("json", limit=500), []
    never = asyncio.Event()

    async def stuck(text):
        await never.wait()

    async def take(text):
        got.append(json.loads(text)["seq"])

    async def nothing():
        pass

    tasks = [asyncio.create_task(slow.pump(stuck, nothing)), asyncio.create_task(quick.pump(take, nothing))]
    for seq in range(100):
        part = batch(seq, seq + 1)
        for follower in (slow, quick):
            follower.accept(part)
        await asyncio.sleep(0)
    await all_had_their_turn()
    assert got == list(range(1, 101))
    assert slow.lost
    assert len(slow.queue) <= 5
    for task in tasks:
        task.cancel()


def test_a_page_frame_holds_numbers_and_a_program_gets_words():
    part = Batch(
        7, 0, [(1, {"points": [{"step": 1, "at": 5.0, "values": {"loss": 2.0}}], "progress": {"done": 1}})], HEAD
    )
    assert json.loads(part.html[0]) == {
        "session": 7, "after": 0, "seq": 1, "emitted": 5.0, "points": [{"step": 1, "at": 5.0, "values": {"loss": 2.0}}],
    }  # fmt: skip
    (message,) = map(json.loads, part.json)
    assert message["type"] == "session_metrics_update"
    assert message["metrics"] == {"loss": 2.0}
    assert message["progress"] == 0.5


def test_progress_alone_is_a_status_for_programs():
    (message,) = map(json.loads, Batch(7, 0, [(1, {"progress": {"done": 1}})], HEAD).json)
    assert (message["type"], message["status"], message["progress"]) == ("session_status_update", "running", 0.5)


def test_a_gap_is_seen():
    assert Batch(7, 3, [(5, {})], HEAD).has_gap
    assert not Batch(7, 4, [(5, {})], HEAD).has_gap
    assert not Batch(7, 4, [], HEAD).has_gap


def test_a_void_cursor_is_told_in_the_words_of_the_protocol():
    assert json.loads(reset("html", 7, 3)) == {"session": 7, "reset": True, "seq": 3}
    assert json.loads(reset("json", 7, 0)) == {"type": "session_resync", "session_id": 7, "seq": 0}
    assert json.loads(error("x", "y")) == {"type": "error", "code": "x", "message": "y"}


def test_a_change_touches_the_fragments_that_show_it():
    assert named("detail", frozenset({"progress"})) == ["progress"]
    assert "actions" in named("detail", frozenset({"status"}))
    assert named("row", frozenset({"logs"})) == []
    assert named("nonsense", frozenset({"status"})) == []


def test_without_the_chart_library_the_curves_travel_as_drawings():
    assert "curves" in named("detail-svg", frozenset({"findings"}))
    assert "captions" not in FRAGMENTS["detail-svg"]


def test_other_rooms_add_their_fragments():
    register("card", "card", "monitoring/partials/card.html", {"progress"})
    try:
        assert named("card", frozenset({"progress"})) == ["card"]
        assert template_of("card", "card") == "monitoring/partials/card.html"
    finally:
        del FRAGMENTS["card"]


def test_readers_that_see_the_same_share_a_drawing():
    assert Look("detail", "en", "UTC") == Look("detail", "en", "UTC")
    assert len({Look("detail", "en", "UTC"), Look("detail", "en", "UTC"), Look("detail", "zh-hans", "UTC")}) == 2


async def test_a_page_gets_what_waits_in_a_row_as_one_message():
    follower, sent = Follower("html"), []

    async def send(text):
        sent.append(text)

    async def nothing():
        pass

    for session in (7, 8):
        follower.accept(batch(0, 1, session=session))
    follower.put("<i></i>")
    follower.put("<b></b>")
    follower.accept(batch(1, 2))
    task = asyncio.create_task(follower.pump(send, nothing))
    await all_had_their_turn()
    task.cancel()
    assert [frame["session"] for frame in json.loads(sent[0])["frames"]] == [7, 8]
    assert sent[1] == "<i></i><b></b>"
    assert json.loads(sent[2])["seq"] == 2
    assert follower.sent == {7: 2, 8: 1}
