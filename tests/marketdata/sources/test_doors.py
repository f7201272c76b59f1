"""The same by API and by command."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.marketdata.adapters import source_probe
from apps.marketdata.engine.sources.probe import answer
from apps.marketdata.models import Dataset, Source, SyncRun
from apps.marketdata.tasks import run_syncs
from tests.marketdata.conftest import csv_lines
from tests.marketdata.sources.conftest import put

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_children(monkeypatch):
    monkeypatch.setattr(source_probe, "run_child", answer)


def logged_in(person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def send(client, method, path, body=None):
    return client.generic(method, f"/api/data/sources{path}", json.dumps(body or {}), content_type="application/json")


# API


def test_a_source_from_writing_it_down_to_its_history(alice, import_root):
    client = logged_in(alice)
    put(import_root, "AAA.csv", csv_lines(30))
    made = send(client, "POST", "", {"name": "mine", "kind": "folder", "config": {"folder": "."}}).json()
    assert (made["name"], made["dataset"], made["owner"], made["paused"]) == ("mine", "mine", "alice", False)
    one = f"/{made['id']}"
    assert send(client, "POST", f"{one}/test").json() == {"said": "1 files of bars, 0 of them still being written."}
    assert send(client, "GET", f"{one}/symbols").json() == {"symbols": ["AAA"], "total": 1}
    assert send(client, "POST", f"{one}/sync").json()["state"] == "queued"
    assert send(client, "POST", f"{one}/sync").status_code == 409
    assert send(client, "GET", one).json()["active"]["state"] == "queued"
    run_syncs()
    found = send(client, "GET", f"{one}/runs").json()
    run = found["runs"][0]
    assert (found["total"], run["state"], run["added"], run["dataset"], run["requested_by"]) == (
        1,
        "completed",
        30,
        "mine@1",
        "alice",
    )
    assert (run["received"][0]["what"], len(run["received_hash"]), run["hash"]) == (
        "./AAA.csv",
        64,
        Dataset.objects.get().content_hash,
    )
    listed = send(client, "GET", "").json()
    assert (listed["total"], listed["sources"][0]["last_state"]) == (1, "completed")
    assert send(client, "PUT", one, {"config": {"when": "interval", "minutes": 10}}).json()["next_at"]
    assert send(client, "POST", f"{one}/pause").json()["paused"] is True
    assert send(client, "POST", f"{one}/resume").json()["paused"] is False
    assert send(client, "POST", f"{one}/stop").json() == {"stopping": False}
    assert send(client, "DELETE", one).json() == {"deleted": made["id"]}
    assert not Source.objects.exists()


def test_kinds_bring_their_schema(alice):
    found = {kind["kind"]: kind for kind in send(logged_in(alice), "GET", "/kinds").json()["kinds"]}
    assert found["http"]["usable"] is True
    assert found["http"]["schema"]["properties"]["url"]["title"] == "Address"
    assert (found["ccxt"]["usable"], found["ccxt"]["missing"]) == (False, "ccxt")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "mine", "kind": "pigeon"}, 404, "unknown_source_kind"), ({"name": "No", "kind": "folder"}, 422, "bad_source_name"),
        ({"name": "mine", "kind": "http", "config": {"url": "ftp://x"}}, 422, "invalid_config"), ({"name": "mine", "kind": "http"}, 422, "invalid_config"),
        ({"name": "mine", "kind": "folder", "config": {"nonsense": 1}}, 422, "invalid_config"), ({"kind": "folder"}, 422, "invalid_request"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(alice, body, status, code):
    answer_ = send(logged_in(alice), "POST", "", body)
    assert (answer_.status_code, answer_.json()["code"]) == (status, code)
    assert not Source.objects.exists()


def test_a_stranger_finds_nothing(folder_source, bob):
    client = logged_in(bob)
    assert send(client, "GET", "").json() == {"sources": [], "total": 0}
    one = f"/{folder_source.pk}"
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/sync"), ("POST", "/stop"), ("POST", "/pause"), ("POST", "/resume"),
                         ("POST", "/test"), ("GET", "/symbols"), ("GET", "/runs")):  # fmt: skip
        assert send(client, method, one + path, {"config": {}}).status_code == 404, (method, path)


# Commands


def run(*arguments) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_commands_do_what_pages_do(alice, import_root):
    put(import_root, "AAA.csv", csv_lines(30))
    assert "There is no source yet" in run("sources", "list")
    assert "akshare" in run("sources", "kinds")
    assert "mine: folder into mine, next sync: by hand" in run(
        "sources", "create", "mine", "folder", "--owner", "alice", "--set", "folder=.", "--set", "settle=0"
    )
    assert "1 files of bars" in run("sources", "test", "mine")
    assert run("sources", "symbols", "mine").strip() == "AAA"
    first = json.loads(run("sync_data", "mine", "--json"))
    assert (first["state"], first["trigger"], first["added"]) == ("completed", "command", 30)
    assert "unchanged" in run("sync_data", "mine")
    assert json.loads(run("sync_data", "mine", "--whole", "--json"))["same"] == 30
    changed = json.loads(run("sources", "change", "mine", "--set", "when=interval", "--set", "minutes=30", "--json"))
    assert (changed["config"]["minutes"], changed["next_at"] is not None) == (30, True)
    assert "paused" in run("sources", "pause", "mine")
    assert json.loads(run("sources", "list", "--json"))[0]["paused"] is True
    run("sources", "resume", "mine")
    assert len(json.loads(run("sources", "show", "mine", "--json"))["runs"]) == 3
    run("sources", "delete", "mine")
    assert (Source.objects.count(), Dataset.objects.count()) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sync_data", "absent"], "There is no source absent"), (["sources", "show", "absent"], "There is no source absent"),
        (["sources", "create", "mine", "folder", "--owner", "nobody"], "no user nobody"), (["sources", "create", "mine", "pigeon", "--owner", "alice"], "no kind"),
        (["sources", "create", "mine", "http", "--owner", "alice", "--set", "url=x"], "url: “x” is not an address"),
        (["sources", "create", "mine", "http", "--owner", "alice", "--set", "url"], "FIELD=VALUE"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(alice, arguments, words):
    with pytest.raises(CommandError, match=words):
        run(*arguments)


def test_a_failed_sync_fails_the_command(folder_source, import_root):
    put(import_root / "daily", "AAA.csv", "a,b\n1,2\n")
    with pytest.raises(CommandError, match="daily:"):
        run("sync_data", "daily")
    assert SyncRun.objects.get().state == "failed"


def test_a_command_on_behalf_of_a_stranger_finds_nothing(folder_source, bob):
    with pytest.raises(CommandError, match="There is no source daily"):
        run("sync_data", "daily", "--user", "bob")


def test_ctrl_c_ends_the_sync(folder_source, import_root, monkeypatch):
    from apps.marketdata.services import syncing

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(syncing, "carry_out", interrupt)
    with pytest.raises(CommandError, match="nothing was stored"):
        run("sync_data", "daily")
    assert SyncRun.objects.get().state == "interrupted"
