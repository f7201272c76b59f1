"""When syncs come by themselves, what is tried again, and whole syncs through every layer."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from apps.accounts.models import AuditEntry, Notice
from apps.marketdata.models import SyncRun
from apps.marketdata.selectors import dataset_panel
from apps.marketdata.services import syncing
from apps.marketdata.services.sources import source_create, source_pause
from apps.marketdata.services.syncing import claim, sync_request
from apps.marketdata.tasks import run_syncs, sync_source, syncs_due
from apps.ui.engine.refusal import Refusal
from tests.marketdata.sources.conftest import put
from tests.marketdata.sources.test_syncing import rows, sync

pytestmark = pytest.mark.django_db


# The schedule


def mine():
    return Schedule.objects.filter(func="apps.marketdata.tasks.sync_source")


def scheduled(alice, **values):
    return source_create(owner=alice, name="tick", kind="folder", values={"when": "interval", "minutes": 60, **values})


def test_an_interval_is_a_schedule_of_the_cluster(alice, import_root):
    source = scheduled(alice)
    row = Schedule.objects.get(name=f"sync {source.pk}")
    assert (row.func, row.args, row.schedule_type, row.minutes, row.repeats) == (
        "apps.marketdata.tasks.sync_source", str(source.pk), "I", 60, -1,
    )  # fmt: skip
    assert row.next_run == source.next_at


def test_a_source_by_hand_has_no_schedule_and_a_pause_takes_it_away(alice, import_root, folder_source):
    assert not mine().exists()
    source = scheduled(alice)
    source_pause(source, actor=alice, paused=True)
    assert not mine().exists()
    assert source.next_at is None
    assert sync_source(source.pk) == 0
    source_pause(source, actor=alice, paused=False)
    assert mine().count() == 1


def test_its_time_comes(alice, import_root):
    source = scheduled(alice)
    put(import_root, "AAA.csv", rows("2024-01-01", 30))
    mine().update(next_run=timezone.now() - timedelta(days=2))
    assert sync_source(source.pk) == 1
    run = SyncRun.objects.get()
    assert (run.state, run.trigger, run.requested_by) == ("completed", "schedule", None)
    assert mine().get().next_run > timezone.now() + timedelta(minutes=59)


def beat_of_the_cluster(monkeypatch) -> list[bool]:
    """Do what the cluster does once a beat: make tasks of what is due, and run them as its worker does."""
    from multiprocessing import Value
    from queue import SimpleQueue

    from django_q import scheduler as schedules
    from django_q import worker as workers
    from django_q.brokers import get_broker
    from django_q.signing import SignedPackage

    for module in (schedules, workers):  # the test has one connection, and its transaction
        monkeypatch.setattr(module, "close_old_django_connections", lambda: None)
    broker = get_broker()
    schedules.scheduler(broker)
    tasks, results = SimpleQueue(), SimpleQueue()
    while taken := broker.dequeue():
        for ack, payload in taken:
            broker.acknowledge(ack)
            tasks.put(SignedPackage.loads(payload))
    tasks.put("STOP")
    workers.worker(tasks, results, Value("f", -1))
    return [results.get()["success"] for _ in range(results.qsize())]


def test_the_cluster_makes_a_version_by_itself_and_none_where_nothing_is_new(alice, import_root, monkeypatch):
    """The whole way of a schedule: due, task, worker, version; again without a change, and with one."""
    Schedule.objects.all().delete()
    source = scheduled(alice)
    put(import_root, "AAA.csv", rows("2024-01-01", 30))
    assert beat_of_the_cluster(monkeypatch) == []  # not due yet
    states = []
    for text in (None, None, rows("2024-01-01", 31)):
        if text:
            put(import_root, "AAA.csv", text)
        mine().update(next_run=timezone.now() - timedelta(minutes=1))
        assert beat_of_the_cluster(monkeypatch) == [True]
        run = SyncRun.objects.latest("id")
        states.append((run.state, run.trigger, run.dataset and run.dataset.version))
        assert mine().get().next_run > timezone.now() + timedelta(minutes=59)
    assert states == [("completed", "schedule", 1), ("unchanged", "schedule", 1), ("completed", "schedule", 2)]
    source.refresh_from_db()
    assert (source.failures, OrmQ.objects.count()) == (0, 0)


def test_a_close_that_no_calendar_knows_is_said(alice, import_root, monkeypatch):
    from apps.marketdata.services import sources

    source = source_create(
        owner=alice, name="close", kind="folder", values={"when": "close", "calendar": "XNYS", "after_close": 30}
    )
    assert mine().get().schedule_type == Schedule.DAILY

    def ended(*args):
        raise Refusal("calendar_ended", "The calendar %(calendar)s ends.", calendar="XNYS")

    monkeypatch.setattr(sources, "next_time", ended)
    sources.source_arm(source, timezone.now())
    source.refresh_from_db()
    assert (source.next_at, source.schedule_problem["code"]) == (None, "calendar_ended")
    assert mine().count() == 1  # asked again tomorrow, when the library may be newer


def test_what_may_yet_work_is_tried_again_later_and_later_then_told(alice, import_root, monkeypatch, settings):
    from apps.marketdata.engine.sources.port import TryAgain

    settings.QP_SYNC_RETRIES = 2

    def fail(*args):
        raise TryAgain("timed_out", "%(host)s did not answer.", host="x")

    monkeypatch.setattr(syncing, "carry_out", fail)
    source = scheduled(alice)
    waits = []
    for _ in range(4):
        sync_source(source.pk)
        run = SyncRun.objects.first()
        assert run.state == "failed"
        waits.append(round((run.retry_at - timezone.now()).total_seconds() / 60) if run.retry_at else None)
    assert waits == [1, 2, None, None]
    assert [run.trigger for run in SyncRun.objects.order_by("id")] == ["schedule", "retry", "retry", "retry"]
    assert Notice.objects.filter(code="source.failed", user=alice).count() == 1
    monkeypatch.undo()
    put(import_root, "AAA.csv", rows("2024-01-01", 30))
    sync_source(source.pk)
    source.refresh_from_db()
    assert source.failures == 0


def test_what_no_retry_mends_waits_for_its_usual_time(alice, import_root):
    source = scheduled(alice)
    put(import_root, "AAA.csv", "a,b\n1,2\n")
    sync_source(source.pk)
    run = SyncRun.objects.get()
    assert (run.state, run.retry_at) == ("failed", None)
    assert Notice.objects.filter(code="source.failed").count() == 1


def test_asking_by_hand_rings_for_a_worker(folder_source, alice, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        sync_request(folder_source, actor=alice)
    assert OrmQ.objects.count() == 1
    assert run_syncs() == 1
    assert AuditEntry.objects.filter(action="source.sync").count() == 1


def test_what_was_lost_and_what_waits_is_seen_to_without_anybody_asking(folder_source, alice):
    run = sync_request(folder_source, actor=alice, ring=False)
    assert syncs_due() == {"taken_back": 0, "waiting": 1}
    assert OrmQ.objects.count() == 1
    assert claim(run)
    SyncRun.objects.update(worker=f"{socket.gethostname()}:{os.getpid()}:1")
    assert syncs_due() == {"taken_back": 1, "waiting": 0}


def test_a_worker_that_drains_begins_no_sync(folder_source, alice, monkeypatch, tmp_path):
    drain = tmp_path / "drain"
    drain.touch()
    monkeypatch.setenv("QP_DRAIN_FILE", str(drain))
    sync_request(folder_source, actor=alice, ring=False)
    assert run_syncs() == 0


# Through every layer


def test_a_split_of_the_vendor_brings_the_whole_history_again(alice, import_root, monkeypatch):
    import sys

    from tests.marketdata.sources import doubles

    yf = doubles.Yfinance()
    monkeypatch.setitem(sys.modules, "yfinance", yf)
    monkeypatch.setattr("apps.marketdata.engine.sources.registry.present", lambda module: True)
    source = source_create(
        owner=alice, name="yahoo", kind="yfinance", values={"symbols": "AAPL", "start": "2024-03-04"}
    )
    first = sync(source)
    assert (first.state, first.added) == ("completed", 19), first.reason
    assert sync(source).state == "unchanged"
    yf.scale = 0.5
    run = sync(source)
    assert (run.state, run.changed) == ("completed", 19), run.reason
    assert [asked["start"] for asked in yf.asked][-2:] == ["2024-03-21", "2024-03-04"]
    closes = dataset_panel(run.dataset).close[0]
    assert closes.max() < 70
    assert dataset_panel(first.dataset).close[0].min() > 100


def test_a_secret_is_opened_for_the_sync_and_stands_nowhere(alice, import_root, server, settings, caplog):
    """The database, the files and the log of an installation that used a key hold it sealed only."""
    from pathlib import Path

    from django.apps import apps
    from django.core import serializers

    from apps.accounts.credentials import credential_set

    key = "k3y-of-alice-0815"
    credential_set(owner=alice, name="vendor", kind="source", secret=key)
    settings.QP_SOURCE_HOSTS = [f"127.0.0.1:{server.port}"]
    server.answer = lambda path, heads: (200, {}, rows("2024-01-01", 5).encode()) if key in path else (403, {}, b"")
    values = {"url": f"{server.url}/AAA.csv?apikey={{secret}}", "credential": "vendor"}
    source = source_create(owner=alice, name="web", kind="http", values=values)
    run = sync(source)
    assert (run.state, run.added) == ("completed", 5), run.reason
    server.answer = lambda path, heads: (500, {}, f"no {key}".encode())
    assert sync(source).state == "failed"
    kept = "".join(serializers.serialize("json", model.objects.all()) for model in apps.get_models())
    assert "alice" in kept
    assert key not in kept
    assert key not in caplog.text
    files = [path for path in Path(settings.VAR_DIR).rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if key.encode() in path.read_bytes()]


def test_a_secret_that_is_gone_is_told(alice, import_root):
    from apps.accounts.credentials import credential_set

    secret = credential_set(owner=alice, name="vendor", kind="source", secret="k3y-of-alice")
    source = source_create(
        owner=alice, name="web", kind="http", values={"url": "https://x.example/a.csv", "credential": "vendor"}
    )
    secret.delete()
    assert sync(source).reason["code"] == "credential_unknown"


def test_what_leads_inside_is_refused_by_the_sync(alice, import_root):
    source = source_create(
        owner=alice, name="web", kind="http", values={"url": "http://169.254.169.254/latest/meta-data/"}
    )
    run = sync(source)
    assert (run.state, run.reason["code"]) == ("failed", "private_address")
