"""Monitoring, metrics and probes: who may see them, and that they say what is so."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from datetime import timedelta

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.utils import timezone
from prometheus_client import generate_latest

from apps.marketdata.models import Feed
from apps.monitoring import health
from apps.monitoring.engine import resources as machine
from apps.monitoring.metrics import counted
from apps.monitoring.selectors import system
from apps.monitoring.templatetags.monitoring import time_left
from apps.sessions.models import Session, SessionEvent, Worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker(db):
    return Worker.objects.create(name="host:1", host="host", pid=1, slots=2)


def page(client, user):
    client.force_login(user)
    response = client.get("/monitoring/")
    assert response.status_code == 200
    return response.content.decode()


def test_everybody_sees_their_own_sessions_and_not_the_machinery(client, alice, bob, make_session, worker):
    make_session(alice, "running")
    make_session(bob, "failed")
    html = page(client, alice)
    assert "Your sessions" in html
    assert "/monitoring/machinery/" not in html
    counts = {row.status: row.count for row in system.sessions_by_state(alice)}
    assert (counts["running"], counts["failed"], len(counts)) == (1, 0, 10)


def test_administrators_see_workers_queue_and_sockets(client, root, alice, make_session, worker):
    make_session(alice, "queued", queued_at=timezone.now() - timedelta(minutes=5))
    Worker.objects.create(name="host:2", host="host", pid=2, last_beat=timezone.now() - timedelta(minutes=10))
    html = page(client, root)
    for text in ("5 min", "Everybody", "/monitoring/machinery/"):
        assert text in html
    assert system.machinery().workers == 1


def test_without_a_worker_the_page_says_what_to_start(client, root):
    assert "manage.py serve" in page(client, root)


def test_the_page_is_for_those_who_logged_in(client):
    assert client.get("/monitoring/").status_code == 302


def test_the_number_of_statements_does_not_grow(
    client, root, alice, make_session, worker, django_assert_max_num_queries
):
    for i in range(9):
        make_session(alice, "running", worker="host:1")
        Worker.objects.create(name=f"w{i}", host="h", pid=i)
    client.force_login(root)
    with django_assert_max_num_queries(9):
        client.get("/monitoring/")


def test_events_are_counted_over_the_last_minute(alice, make_session):
    session = make_session(alice, "running")
    for seq in range(30):
        SessionEvent.objects.create(session=session, seq=seq, attempt=1, payload={})
    SessionEvent.objects.filter(seq=0).update(created=timezone.now() - timedelta(minutes=3))
    assert system.events_per_second() == pytest.approx(29 / 60)


def test_the_age_of_an_empty_queue_is_nothing():
    assert system.queue_age() == 0.0


def test_the_time_left_is_worked_out_only_where_it_can_be(alice, make_session):
    assert time_left(Session(status="running", progress=0.25, seconds_used=60)) == "3 min"
    assert time_left(Session(status="running", progress=0.0, seconds_used=60)) == "–"
    assert time_left(Session(status="queued", progress=0.5, seconds_used=60)) == "–"


def test_metrics_are_for_this_machine_when_there_is_no_token(client, alice, make_session, worker):
    make_session(alice, "queued", queued_at=timezone.now() - timedelta(seconds=90))
    response = client.get("/metrics")
    text = response.content.decode()
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")
    assert 'quant_sessions{state="queued"} 1.0' in text
    assert "quant_workers 1.0" in text
    assert "quant_sockets 0.0" in text
    assert "django_http_requests" in text
    age = float(next(line for line in text.splitlines() if line.startswith("quant_queue_age_seconds ")).split()[1])
    assert 90 <= age < 120


def test_a_process_that_has_just_come_counts_nothing_yet(tmp_path, monkeypatch):
    """Its file is there before it has a size; the scrape at that moment must not fail."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    count = 'from prometheus_client import Counter; Counter("clicks", "Clicks.").inc(3)'
    subprocess.run([sys.executable, "-c", count], env=os.environ, check=True)
    (tmp_path / "counter_999999.db").touch()
    assert b"clicks_total 3.0" in generate_latest(counted())


@pytest.mark.parametrize(
    "extra",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.7"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=192.0.2.7"},
    ],
)
def test_metrics_are_never_public(client, extra):
    response = client.get("/metrics", **extra)
    assert response.status_code == 401
    assert b"quant_sessions" not in response.content


def test_with_a_token_only_the_token_counts(client, settings):
    settings.METRICS_TOKEN = "s3cret"
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert (
        client.get("/metrics", headers={"Authorization": "Bearer s3cret"}, REMOTE_ADDR="192.0.2.7").status_code == 200
    )
    assert client.get("/metrics", headers={"Authorization": "Bearer é"}).status_code == 401


def test_health_answers_everybody_and_names_the_version(client, worker):
    document = client.get("/api/health").json()
    assert set(document) == {"status", "timestamp", "version"}
    assert document["status"] == "healthy"
    assert document["version"].count(".") == 2


def test_health_is_degraded_but_answers_without_a_worker(client):
    response = client.get("/api/health")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")


def test_ready_names_each_part(client, worker):
    response = client.get("/api/ready")
    assert response.status_code == 200
    assert [(c["name"], c["ok"]) for c in response.json()["checks"]] == [
        ("database", True),
        ("cluster", True),
        ("disk", True),
        ("feeds", True),
    ]


def test_ready_names_everybodys_feeds_and_nobody_elses(client, worker, alice):
    Feed.objects.create(name="hers", kind="qmt", owner=alice, wanted=True)
    feed = Feed.objects.create(name="live", kind="qmt", wanted=True)
    answer = client.get("/api/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"][-1] == {"name": "feeds", "ok": False, "detail": "live: waiting"}
    now = timezone.now()
    Feed.objects.filter(pk=feed.pk).update(
        state="running", lease_until=now + timedelta(seconds=9), last_quote_at=now, connected=True
    )
    assert client.get("/api/ready").json()["checks"][-1]["detail"] == "live: ok"


def test_metrics_tell_of_feeds_and_of_what_they_refused(client):
    Feed.objects.create(name="live", kind="qmt", wanted=True, quote_count=7, rejected={"bad_price": 3}, rate=1.5)
    text = client.get("/metrics").content.decode()
    for line in (
        'quant_feed_well{feed="live"} 0.0', 'quant_feed_quotes_total{feed="live"} 7.0', "quant_quotes_total ",
        'quant_feed_refused_total{feed="live",reason="bad_price"} 3.0', "quant_quote_reads_total ",
    ):  # fmt: skip
        assert line in text


def test_a_silent_cluster_is_not_ready(client, worker):
    Worker.objects.update(last_beat=timezone.now() - timedelta(minutes=2))
    response = client.get("/api/ready")
    assert response.status_code == 503
    assert response.json()["status"] == "not_ready"
    assert [c["ok"] for c in response.json()["checks"]] == [True, False, True, True]


def test_a_full_disk_and_a_broken_database_are_not_ready(client, worker, monkeypatch):
    monkeypatch.setattr(health.psutil, "disk_usage", lambda path: types.SimpleNamespace(free=1_000_000))

    def broken():
        raise OperationalError("password=hunter2")

    monkeypatch.setattr(connection, "cursor", lambda: broken())
    parts = health._database, health._disk
    assert parts[1]()[0] is False
    monkeypatch.setattr(health, "CHECKS", (("database", health._database), ("disk", health._disk)))
    found = health.parts()
    assert [(p.name, p.ok) for p in found] == [("database", False), ("disk", False)]
    assert "hunter2" not in str(found)


def test_a_reading_of_the_machine_is_kept_for_a_moment(tmp_path, monkeypatch):
    first = machine.resources(tmp_path)
    assert machine.resources(tmp_path) is first
    assert 0 < first.memory < 1
    assert 0 < first.disk <= 1
    assert first.busy_cores <= first.cores
    monkeypatch.setattr(machine, "KEEP_SECONDS", -1.0)
    assert machine.resources(tmp_path) is not first


def test_the_processor_is_read_alike_from_every_thread(tmp_path, monkeypatch):
    from threading import Thread

    clocks = iter([(10.0, 100.0), (15.0, 110.0), (25.0, 120.0)])
    monkeypatch.setattr(machine, "_clocks", lambda: next(clocks))
    monkeypatch.setattr(machine, "_before", machine._clocks())
    readings = []
    for _ in range(2):
        thread = Thread(target=lambda: readings.append(machine.read(tmp_path).cpu))
        thread.start()
        thread.join()
    assert readings == [0.5, 1.0]
