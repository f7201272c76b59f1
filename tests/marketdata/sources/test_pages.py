"""Pages of sources: who sees what, the form from the configuration, what can be done, in how many queries."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts import shares
from apps.accounts.credentials import credential_set
from apps.marketdata.adapters import source_probe
from apps.marketdata.engine.sources.probe import answer
from apps.marketdata.models import Dataset, Source, SyncRun
from apps.marketdata.services.sources import source_create
from apps.marketdata.services.syncing import claim, sync_execute, sync_request
from tests.marketdata.conftest import csv_lines
from tests.marketdata.sources.conftest import put

pytestmark = pytest.mark.django_db
ACTS = ("source_sync", "source_stop", "source_schedule", "source_test", "source_delete")
LOOKS = ("source", "source_symbols", "source_status")


@pytest.fixture(autouse=True)
def no_children(monkeypatch):
    monkeypatch.setattr(source_probe, "run_child", answer)


def logged_in(person) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def synced(folder_source, import_root):
    put(import_root / "daily", "AAA.csv", csv_lines(30))
    run = sync_request(folder_source, actor=folder_source.owner)
    assert claim(run)
    sync_execute(run)
    return Source.objects.get(pk=folder_source.pk)


def page(client, name, *args, **query):
    return client.get(reverse(f"marketdata:{name}", args=args), query)


def text(response) -> str:
    assert response.status_code == 200, response.content[:500]
    return response.content.decode()


def test_a_stranger_finds_nothing(synced, bob):
    client = logged_in(bob)
    assert "daily" not in text(page(client, "sources")).replace('value="daily"', "")
    for name in LOOKS:
        assert page(client, name, synced.pk).status_code == 404
    for name in (*ACTS, "source_edit"):
        assert client.post(reverse(f"marketdata:{name}", args=[synced.pk])).status_code == 404
    assert Source.objects.filter(pk=synced.pk).exists()


@pytest.mark.parametrize("can_edit", [False, True], ids=["reader", "editor"])
def test_who_it_is_shared_with_sees_it_and_an_editor_may_run_it(synced, alice, bob, can_edit):
    shares.share_create(actor=alice, obj=synced, receiver="bob", can_edit=can_edit)
    client = logged_in(bob)
    shown = text(page(client, "source", synced.pk))
    assert ("Sync now" in shown) == can_edit
    assert "Delete the source" not in shown
    assert page(client, "source_edit", synced.pk).status_code == 404
    assert client.post(reverse("marketdata:source_sync", args=[synced.pk])).status_code == (302 if can_edit else 404)
    assert client.post(reverse("marketdata:source_delete", args=[synced.pk])).status_code == 404


def test_the_list_says_when_each_was_asked_and_is_next(synced, alice):
    source_create(owner=alice, name="tick", kind="folder", values={"when": "interval", "minutes": 30})
    shown = text(page(logged_in(alice), "sources"))
    assert "New version" not in shown
    for words in ("daily", "Completed", "by hand", "tick", "never", "Folder on the server"):
        assert words in shown
    assert "tick" not in text(page(logged_in(alice), "sources", search="dai"))
    assert "No source matches" in text(page(logged_in(alice), "sources", kind="sql"))


def test_the_lists_take_the_same_number_of_queries_however_long(synced, alice, django_assert_num_queries, import_root):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = logged_in(alice)
    counts = []
    for number in range(2):
        seen = []
        for name, args in (("sources", []), ("source", [synced.pk]), ("detail", [Dataset.objects.first().pk])):
            page(client, name, *args)
            with CaptureQueriesContext(
                connection,
            ) as caught:
                text(page(client, name, *args))
            seen.append(len(caught))
        counts.append(seen)
        for extra in range(6):
            one = source_create(owner=alice, name=f"more-{number}-{extra}", kind="folder", values={"dataset": "daily"})
            SyncRun.objects.create(source=one, state="failed")
            SyncRun.objects.create(
                source=synced, state="completed", dataset=Dataset.objects.first(), requested_by=alice
            )
    assert counts[0] == counts[1]


def test_the_history_tells_where_each_version_came_from(synced, alice):
    shown = text(page(logged_in(alice), "source", synced.pk))
    run = SyncRun.objects.get()
    for words in ("Completed", "daily/AAA.csv", run.pieces[0]["sha256"][:12], run.content_hash[:8], "@1", "by hand"):
        assert words in shown


def test_the_history_is_in_pages(synced, alice):
    SyncRun.objects.bulk_create([SyncRun(source=synced, state="unchanged") for _ in range(30)])
    shown = text(page(logged_in(alice), "source", synced.pk))
    assert "page 1 of 2" in shown
    assert text(page(logged_in(alice), "source", synced.pk, page=2)).count("Nothing new") < 10


def test_a_failure_is_told_in_the_readers_language(folder_source, import_root, alice):
    put(import_root / "daily", "AAA.csv", "date,open,high,low,close\n2024-01-02,1,2,rubbish,1\n")
    run = sync_request(folder_source, actor=alice)
    assert claim(run)
    sync_execute(run)
    client = logged_in(alice)
    assert "rubbish" in text(page(client, "source", folder_source.pk))
    chinese = text(
        client.get(reverse("marketdata:source", args=[folder_source.pk]), headers={"Accept-Language": "zh-hans"})
    )
    assert "失败" in chinese
    assert "rubbish" in chinese


def test_the_dataset_says_what_syncs_it(synced, alice):
    shown = text(page(logged_in(alice), "detail", Dataset.objects.get().pk))
    assert reverse("marketdata:source", args=[synced.pk]) in shown
    assert "30 bars added" in shown


def test_kinds_are_offered_and_what_is_not_installed_says_so(alice):
    shown = text(page(logged_in(alice), "source_new"))
    assert "?kind=http" in shown
    assert "pip install akshare" in shown
    assert "?kind=akshare" not in shown


@pytest.mark.parametrize("kind", ["folder", "http", "sql", "akshare", "tushare", "yfinance", "ccxt", "xtquant"])
def test_every_kind_has_a_form_with_its_own_fields_first(alice, kind):
    credential_set(owner=alice, name="vendor-key", kind="source", secret="k3y-of-alice")  # pragma: allowlist secret
    shown = text(page(logged_in(alice), "source_new", kind=kind))
    assert shown.index(">Source<") < shown.index(">Dataset and bars<") < shown.index(">Schedule<")
    assert ("vendor-key" in shown) == (kind in ("http", "sql", "tushare", "ccxt"))
    assert "k3y-of-alice" not in shown


def test_a_kind_nobody_knows_is_not_there(alice):
    assert page(logged_in(alice), "source_new", kind="pigeon").status_code == 404


def fill(client, **values):
    return client.post(reverse("marketdata:source_new"), {"kind": "folder", "name": "mine", "folder": ".", **values})


def test_a_source_is_written_down(alice, import_root):
    answer_ = fill(logged_in(alice), when="cron", cron="30 18 * * 1-5", time_zone="Asia/Shanghai")
    made = Source.objects.get()
    assert answer_["Location"] == reverse("marketdata:source", args=[made.pk])
    assert (made.owner, made.dataset_name, made.config["cron"]) == (alice, "mine", "30 18 * * 1-5")
    assert made.next_at is not None


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "No Name"}, "e-name"), ({"folder": "../x"}, "e-folder"), ({"when": "cron", "cron": "x"}, "e-cron"), ({"when": "interval", "minutes": "1"}, "e-minutes"),
        ({"when": "close"}, "e-calendar"), ({"when": "close", "calendar": "XXXX"}, "e-calendar"), ({"time_zone": "Mars"}, "e-time_zone"),
        ({"dataset": "Bad Name"}, "e-dataset"), ({"settle": "soon"}, "e-settle"), ({"prices": "free"}, "e-prices"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_at_its_field_and_nothing_is_written(alice, import_root, values, field):
    answer_ = fill(logged_in(alice), **values)
    assert answer_.status_code == 422
    assert f'id="{field}"' in answer_.content.decode()
    assert not Source.objects.exists()


def test_a_name_in_use_is_told(folder_source, alice, import_root):
    answer_ = fill(logged_in(alice), name="daily")
    assert (answer_.status_code, "already" in answer_.content.decode()) == (409, True)


def test_a_dataset_of_somebody_else_is_not_written_into(synced, bob, import_root):
    answer_ = fill(logged_in(bob), name="other", dataset="daily")
    assert answer_.status_code == 422
    assert "belongs to somebody else" in answer_.content.decode()


def test_a_secret_of_somebody_else_cannot_be_chosen(alice, bob):
    credential_set(owner=alice, name="vendor", kind="source", secret="k3y-of-alice")  # pragma: allowlist secret
    values = {"kind": "http", "name": "web", "url": "https://x.example/a.csv", "credential": "vendor"}
    answer_ = logged_in(bob).post(reverse("marketdata:source_new"), values)
    assert answer_.status_code == 422
    assert "no secret called vendor" in answer_.content.decode()


def test_nobody_but_its_owner_says_where_a_secret_is_sent(alice, root):
    credential_set(owner=alice, name="vendor", kind="source", secret="k3y-of-alice")  # pragma: allowlist secret
    source = source_create(
        owner=alice, name="web", kind="http", values={"url": "https://x.example/a.csv", "credential": "vendor"}
    )
    values = {"url": "https://evil.example/a.csv", "credential": "vendor"}
    address = reverse("marketdata:source_edit", args=[source.pk])
    assert logged_in(root).post(address, values).status_code == 403
    assert logged_in(root).post(address, {"url": "https://evil.example/a.csv"}).status_code == 403
    source.refresh_from_db()
    assert source.config["url"] == "https://x.example/a.csv"
    assert logged_in(alice).post(address, values).status_code == 302


def test_a_change_forgets_what_was_remembered(synced, alice):
    assert synced.marks
    logged_in(alice).post(reverse("marketdata:source_edit", args=[synced.pk]), {"folder": ".", "when": "manual"})
    synced.refresh_from_db()
    assert (synced.config["folder"], synced.marks) == (".", {})


def test_run_now_shows_its_progress_and_can_be_stopped(synced, alice):
    client = logged_in(alice)
    client.post(reverse("marketdata:source_sync", args=[synced.pk]))
    shown = text(page(client, "source", synced.pk))
    assert "hx-get" in shown.split('id="sync-status"')[1][:200]
    status = page(client, "source_status", synced.pk)
    assert "Waiting" in text(status)
    assert "HX-Refresh" not in status
    assert "waiting or running already" in text(
        client.post(reverse("marketdata:source_sync", args=[synced.pk]), follow=True)
    )
    client.post(reverse("marketdata:source_stop", args=[synced.pk]))
    assert SyncRun.objects.first().state == "cancelled"
    assert page(client, "source_status", synced.pk)["HX-Refresh"] == "true"
    assert "No sync is running" in text(client.post(reverse("marketdata:source_stop", args=[synced.pk]), follow=True))


def test_the_schedule_is_paused_and_resumed(alice, import_root):
    source = source_create(owner=alice, name="tick", kind="folder", values={"when": "interval", "minutes": 30})
    client = logged_in(alice)
    assert "Paused" in text(
        client.post(reverse("marketdata:source_schedule", args=[source.pk]), {"paused": "1"}, follow=True)
    )
    assert "Pause the schedule" in text(
        client.post(reverse("marketdata:source_schedule", args=[source.pk]), {"paused": "0"}, follow=True)
    )


def test_test_and_symbols_say_what_is_there(synced, alice):
    client = logged_in(alice)
    assert "1 files of bars" in text(client.post(reverse("marketdata:source_test", args=[synced.pk]), follow=True))
    assert "AAA" in text(page(client, "source_symbols", synced.pk))


def test_deleting_wants_the_name_and_leaves_the_data(synced, alice):
    client = logged_in(alice)
    address = reverse("marketdata:source_delete", args=[synced.pk])
    client.post(address, {"name": "no"})
    assert Source.objects.exists()
    run = sync_request(synced, actor=alice)
    assert "Stop it first" in text(client.post(address, {"name": "daily"}, follow=True))
    run.delete()
    client.post(address, {"name": "daily"})
    assert (Source.objects.count(), SyncRun.objects.count(), Dataset.objects.count()) == (0, 0, 1)


def test_a_source_whose_kind_is_gone_can_be_looked_at_and_deleted(synced, alice):
    Source.objects.filter(pk=synced.pk).update(kind="gone")
    client = logged_in(alice)
    assert "no kind of source gone" in text(page(client, "source", synced.pk))
    assert page(client, "source_edit", synced.pk).status_code == 404
    client.post(reverse("marketdata:source_delete", args=[synced.pk]), {"name": "daily"})
    assert not Source.objects.exists()


def test_the_admin_pauses_resumes_and_stops(synced, alice, root):
    tick = source_create(owner=alice, name="tick", kind="folder", values={"when": "interval", "minutes": 30})
    run = sync_request(synced, actor=alice)
    client = logged_in(root)
    for action, paused in (("pause", True), ("resume", False)):
        client.post("/admin/marketdata/source/", {"action": action, "_selected_action": str(tick.pk)})
        tick.refresh_from_db()
        assert (tick.paused_at is not None) == paused
    client.post("/admin/marketdata/syncrun/", {"action": "stop", "_selected_action": str(run.pk)})
    run.refresh_from_db()
    assert run.state == "cancelled"
