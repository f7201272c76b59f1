"""The sink of a running session: batches, lease, fence, orders, checkpoints."""

from __future__ import annotations

import errno
import json
import os
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch
from django.db import IntegrityError, OperationalError
from django.utils import timezone

from apps.sessions.models import Checkpoint, Session
from apps.sessions.runner import checkpoints
from apps.sessions.runner import sink as sink_module
from apps.sessions.runner.sink import DbSink
from apps.sessions.selectors import session_folder
from apps.sessions.services.transitions import StaleAttempt, session_command
from apps.ui.engine.refusal import Refusal
from tests.sessions.machine import claimed, eventually, payloads

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(alice):
    return claimed(alice)


@pytest.fixture
def sink(session):
    """A sink whose thread does not run: tests flush when they want to."""
    return DbSink(session, session_folder(session.pk))


@pytest.fixture
def live(session):
    sink = DbSink(session, session_folder(session.pk))
    sink.start()
    yield sink
    sink._closed.set()
    sink._thread.join(10)


def tensors(value=1.0):
    return {"x": torch.tensor([value], dtype=torch.float64)}


def save(sink, step, **more):
    sink.save(step, tensors(step), {"step": step}, epoch=step, **more)


def test_what_gathers_between_two_flushes_is_one_row(session, sink):
    for step in range(1, 6):
        sink.point(step, {"loss": 1 / step}, epoch=step, seed=7)
    sink.progress(5, 10, "episode")
    sink.log("half way", "warning")
    sink.flush()
    sink.flush()
    row = payloads(session)[-1]
    assert len(payloads(session)) == 2
    assert [point["step"] for point in row["points"]] == [1, 2, 3, 4, 5]
    assert row["points"][0] | {"at": 0} == {"step": 1, "epoch": 1, "seed": 7, "values": {"loss": 1.0}, "at": 0}
    assert row["logs"][0]["text"] == "half way"
    assert row["progress"]["unit"] == "episode"
    session.refresh_from_db()
    assert (session.step, session.epoch, session.progress) == (5, 5, 0.5)
    assert session.progress_info["done"] == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_metric_that_is_no_number_stops_the_run(sink, session, value):
    with pytest.raises(Refusal) as refused:
        sink.point(3, {"loss": value})
    assert refused.value.code == "nan_metric"
    assert "step 3" in refused.value.message % refused.value.params
    sink.flush()
    assert len(payloads(session)) == 1


def test_the_thread_writes_within_the_flush_time_and_renews_the_lease(session, live, settings):
    live.point(1, {"loss": 1.0})
    eventually(lambda: len(payloads(session)) == 2)
    Session.objects.filter(pk=session.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    # The trainer says nothing for a while: the thread renews the lease all the same.
    eventually(lambda: Session.objects.get(pk=session.pk).lease_until > timezone.now())
    assert Session.objects.get(pk=session.pk).seconds_used > 0


def test_an_old_attempt_learns_that_it_is_over(session, live):
    Session.objects.filter(pk=session.pk).update(attempt=2)

    def speaks():
        try:
            live.point(1, {"loss": 1.0})
        except StaleAttempt:
            return True
        return False

    eventually(speaks)
    with pytest.raises(StaleAttempt):
        live.stop_requested()
    assert not [payload for payload in payloads(session) if "points" in payload]


def test_an_attempt_whose_session_was_taken_back_writes_nothing(session, sink):
    session_command(session_id=session.pk, command="requeue")
    with pytest.raises(StaleAttempt):
        save(sink, 5)
    assert not Checkpoint.objects.exists()
    assert [payload.get("status") for payload in payloads(session)] == ["running", "queued"]


@pytest.mark.parametrize("command", ["pause", "cancel"])
def test_an_order_from_outside_is_seen(session, live, alice, command):
    assert not live.stop_requested()
    session_command(session_id=session.pk, command=command, actor=alice)
    eventually(live.stop_requested)
    assert live.stop_reason == {"pause": "pausing", "cancel": "cancelling"}[command]


@pytest.mark.parametrize(("limit", "at"), [(7200, 6600.0), (600, 300.0)])
def test_a_checkpoint_is_due_once_600_s_before_the_time_limit_or_at_half_of_a_short_one(
    alice, settings, monkeypatch, limit, at
):
    clock = [0.0]
    monkeypatch.setattr(sink_module, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    settings.QP_CHECKPOINT_SECONDS = 1e9
    session = claimed(alice, time_limit=limit)
    sink = DbSink(session, session_folder(session.pk))
    clock[0] = at - 1
    assert not sink.checkpoint_due()
    clock[0] = at + 1
    assert sink.checkpoint_due()
    save(sink, 1)
    assert not sink.checkpoint_due(), "one is enough"
    clock[0] = limit + 1.0
    sink._look_for_orders()
    assert sink.stop_reason == "time_limit"


def test_the_time_limit_asks_it_to_stop(alice, settings):
    session = claimed(alice, time_limit=100, seconds_used=99.9)
    sink = DbSink(session, session_folder(session.pk))
    sink.start()
    eventually(sink.stop_requested)
    assert sink.stop_reason == "time_limit"
    sink.close()
    assert sink.seconds_used() > 99.9


def test_the_first_reason_to_stop_counts(sink):
    sink.request_stop("shutdown")
    sink.request_stop("time_limit")
    assert sink.stop_reason == "shutdown"


def test_a_checkpoint_commits_with_its_points_and_step(session, sink):
    sink.point(10, {"loss": 0.5}, epoch=2)
    save(sink, 10, score=1.5, best=True)
    row, mark = Checkpoint.objects.get(), payloads(session)[-1]
    assert (row.step, row.score, row.is_best, row.is_latest, row.attempt) == (10, 1.5, True, True, 1)
    assert mark["checkpoint"]["step"] == 10
    assert mark["points"][0]["step"] == 10
    resume = sink.latest()
    assert (resume.step, resume.state, resume.tensors["x"].item()) == (10, {"step": 10}, 10.0)
    assert not list(sink.folder.glob("*.partial"))


def test_without_its_row_nothing_of_a_checkpoint_is_said(session, sink, monkeypatch):
    def broken(**_):
        raise IntegrityError("no")

    monkeypatch.setattr(Checkpoint.objects, "create", broken)
    sink.point(10, {"loss": 0.5})
    with pytest.raises(IntegrityError):
        save(sink, 10)
    assert len(payloads(session)) == 1
    session.refresh_from_db()
    assert session.step == 0


def test_the_best_and_the_two_newest_are_kept(session, sink):
    save(sink, 1, best=True)
    for step in (2, 3, 4):
        save(sink, step)
    assert list(Checkpoint.objects.order_by("step").values_list("step", "is_best", "is_latest")) == [
        (1, True, False), (3, False, False), (4, False, True)
    ]  # fmt: skip
    assert len(list(sink.folder.iterdir())) == 6
    save(sink, 5, best=True)
    save(sink, 6)
    save(sink, 7)
    assert list(Checkpoint.objects.order_by("step").values_list("step", flat=True)) == [5, 6, 7]


def test_checkpoints_are_due_by_the_clock(sink, settings):
    settings.QP_CHECKPOINT_SECONDS = 0.05
    eventually(sink.checkpoint_due)
    save(sink, 1)
    settings.QP_CHECKPOINT_SECONDS = 60
    assert not sink.checkpoint_due()


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def no_state(path):
    path.with_suffix(".json").write_text("{")


def other_state(path):
    path.with_suffix(".json").write_text(json.dumps({"sha256": "0", "state": {}}))


@pytest.mark.parametrize("damage", [cut, flip, no_state, other_state, os.remove])
def test_a_damaged_checkpoint_is_passed_over(session, sink, damage):
    save(sink, 1)
    save(sink, 2)
    damage(sink.folder / "001-000000000002.safetensors")
    assert sink.latest().step == 1
    assert Checkpoint.objects.get().step == 1
    sink.flush()
    assert "damaged" in payloads(session)[-1]["logs"][0]["text"]


def test_without_a_whole_checkpoint_there_is_none(sink):
    assert sink.latest() is None
    save(sink, 1)
    cut(sink.folder / "001-000000000001.safetensors")
    assert sink.latest() is None


def test_a_full_disk_is_said_and_leaves_the_last_checkpoint(sink, monkeypatch):
    save(sink, 1)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full)
    with pytest.raises(Refusal) as refused:
        save(sink, 2)
    assert refused.value.code == "disk_full"
    assert "No space left" in refused.value.message % refused.value.params
    monkeypatch.undo()
    assert sink.latest().step == 1
    assert not list(sink.folder.glob("*.partial"))


def test_another_error_of_the_disk_keeps_its_name(sink, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(checkpoints.os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        save(sink, 2)


def test_a_database_that_restarts_is_waited_for(session, sink, monkeypatch):
    real, failures = sink_module.append_in_transaction, [OperationalError("gone")] * 2

    def flaky(*args, **options):
        if failures:
            raise failures.pop()
        return real(*args, **options)

    monkeypatch.setattr(sink_module, "append_in_transaction", flaky)
    monkeypatch.setattr(sink_module.time, "sleep", lambda _: None)
    sink.point(1, {"loss": 1.0})
    sink.flush()
    assert [len(payload.get("points", ())) for payload in payloads(session)] == [0, 1]


def test_a_database_that_stays_away_ends_the_run(sink, monkeypatch):
    def gone(*_, **__):
        raise OperationalError("gone")

    monkeypatch.setattr(sink_module, "append_in_transaction", gone)
    monkeypatch.setattr(sink_module, "DATABASE_PATIENCE", 0.0)
    sink.point(1, {"loss": 1.0})
    with pytest.raises(OperationalError):
        sink.flush()


def test_a_rewind_says_what_comes_again(session, sink):
    sink.rewind(4)
    assert payloads(session)[-1] == {"rewind": 4}
    session.refresh_from_db()
    assert session.step == 4


def test_the_rate_follows_the_steps(sink):
    time.sleep(0.01)
    sink.point(100, {"loss": 1.0})
    sink.progress(1, 0, "step")
    sink._rate_anchor = (sink._rate_anchor[0] - 11, 0)
    sink.point(200, {"loss": 1.0})
    sink.progress(1, 2, "step")
    assert 0 < sink._pending["progress"]["rate"] < 20
    assert sink._rate_anchor[1] == 200


def test_closing_writes_the_rest(session, live):
    live.point(1, {"loss": 1.0})
    live.close()
    assert [len(payload.get("points", ())) for payload in payloads(session)][-1] == 1 or len(payloads(session)) == 2
