"""The administrators' page of workers and connections, its API and its command."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.monitoring.selectors.workers import lost_rows, worker_rows
from apps.sessions.models import Worker
from apps.ui.engine.numbers import size

pytestmark = pytest.mark.django_db
URL = "/monitoring/machinery/"


@pytest.fixture
def worker(db):
    return Worker.objects.create(name="desk:7", host="desk", pid=7, slots=2)


@pytest.fixture
def running(alice, make_session, settings):
    lease = timezone.now() + timedelta(seconds=settings.QP_LEASE_SECONDS - 3)
    return make_session(
        alice, "running", title="Long one", worker="desk:7:99", usage={"rss_bytes": 300 * 2**20}, lease_until=lease
    )


def page(client, user, url=URL, **extra):
    client.force_login(user)
    return client.get(url, **extra)


def test_ordinary_people_may_not_look(client, alice, worker):
    assert page(client, alice).status_code == 403
    assert client.post(f"{URL}workers/{worker.pk}/drain/").status_code == 403
    assert client.post(f"{URL}connections/x/close/").status_code == 403
    worker.refresh_from_db()
    assert not worker.draining


def test_a_worker_is_shown_with_what_it_runs(client, root, worker, running):
    html = page(client, root).content.decode()
    for text in ("desk:7", "1 of 2", "answers", "Long one", size(300 * 2**20), "s ago", "alice, training"):
        assert text in html


def test_a_silent_worker_and_an_overdue_lease_are_called_so(client, root, worker, running):
    Worker.objects.update(last_beat=timezone.now() - timedelta(minutes=5))
    running.lease_until = timezone.now() - timedelta(seconds=9)
    running.save()
    html = page(client, root).content.decode()
    assert "silent" in html
    assert "overdue" in html


def test_sessions_of_a_forgotten_worker_are_not_hidden(client, root, running):
    assert [slot.session for slot in lost_rows([])] == [running]
    html = page(client, root).content.decode()
    assert "no longer heard of" in html
    assert "Long one" in html


def test_draining_by_button_and_back(client, root, worker, running):
    client.force_login(root)
    html = client.post(f"{URL}workers/{worker.pk}/drain/", headers={"HX-Request": "true"}).content.decode()
    assert "drains" in html
    assert "Take sessions again" in html
    assert "<html" not in html
    assert client.post(f"{URL}workers/{worker.pk}/undrain/").status_code == 302
    worker.refresh_from_db()
    assert not worker.draining
    assert AuditEntry.objects.filter(action__startswith="worker.").count() == 2


def test_a_worker_with_busy_processors_says_so(client, root, worker):
    Worker.objects.update(busy_since=timezone.now() - timedelta(minutes=5))
    assert "half of the slots" in page(client, root).content.decode()


def test_a_drained_worker_says_so(worker):
    worker.draining = True
    assert worker_rows([worker])[0].state == "drained"


def test_htmx_gets_the_part_that_changes(client, root, worker):
    html = page(client, root, f"{URL}?sort=-user", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in html
    assert 'hx-get="/monitoring/machinery/?sort=-user"' in html


def test_an_empty_house_says_what_to_start(client, root):
    html = page(client, root).content.decode()
    assert "manage.py serve" in html
    assert "Nobody has a page open" in html


def test_closing_what_has_ended_is_no_error(client, root):
    client.force_login(root)
    assert client.post(f"{URL}connections/gone/close/").status_code == 302
    assert "had ended already" in client.get(URL).content.decode()
    assert not AuditEntry.objects.filter(action="connection.close").exists()


def test_the_number_of_statements_does_not_grow(client, root, alice, make_session, django_assert_max_num_queries):
    client.force_login(root)
    for count in (1, 12):
        for i in range(count):
            Worker.objects.create(name=f"w{count}-{i}:1", host="h", pid=1)
            make_session(alice, "running", worker=f"w{count}-{i}:1:5")
        with django_assert_max_num_queries(13):
            assert client.get(URL).status_code == 200


def test_many_workers_come_in_pages(client, root):
    Worker.objects.bulk_create(Worker(name=f"w{i:02}:1", host=f"w{i:02}", pid=1) for i in range(25))
    html = page(client, root).content.decode()
    assert "page 1 of 2" in html
    assert page(client, root, f"{URL}?page=2").content.decode().count('id="drain-') == 5


def test_chinese_readers_read_chinese(client, root, worker):
    html = page(client, root, headers={"Accept-Language": "zh-hans"}).content.decode()
    assert "工作进程" in html


def test_the_api_lists_and_drains(client, root, alice, worker, running):
    client.force_login(root)
    document = client.get("/api/workers").json()
    assert document["total"] == 1
    row = document["items"][0]
    assert (row["state"], row["sessions"][0]["session_id"], row["sessions"][0]["rss_bytes"]) == (
        "answers", running.pk, 300 * 2**20,
    )  # fmt: skip
    assert client.post(f"/api/workers/{worker.pk}/drain").json()["state"] == "draining"
    assert client.post(f"/api/workers/{worker.pk}/undrain").json()["draining"] is False
    assert client.post("/api/workers/99999/drain").status_code == 404
    assert client.post(f"/api/workers/{2**70}/drain").status_code == 404
    client.force_login(alice)
    assert client.get("/api/workers").status_code == 403
    assert client.get("/api/connections").status_code == 403


def test_the_api_of_connections(client, root):
    client.force_login(root)
    document = client.get("/api/connections").json()
    assert (document["total"], document["statistics"]["connections"]) == (0, 0)
    assert client.delete("/api/connections/gone").status_code == 404


def command(*arguments):
    out = StringIO()
    call_command("workers", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_lists_drains_and_takes_back(root, worker, running):
    assert "desk:7" in command()
    assert "Long one" in command()
    assert json.loads(command("drain", "desk", "--json"))[0]["state"] == "draining"
    assert json.loads(command("undrain", "desk:7", "--json"))[0]["state"] == "answers"


def test_the_command_refuses_what_it_does_not_know(root):
    assert "No worker was heard of" in command()
    with pytest.raises(CommandError, match="no worker nobody"):
        command("drain", "nobody")
    with pytest.raises(CommandError, match="needs the name"):
        command("drain")
