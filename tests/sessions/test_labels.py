"""Tags and notes: kept, found by, shown, and only by those who may."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import AuditEntry
from apps.accounts.shares import share_create
from apps.accounts.tokens import token_create
from apps.sessions.models import Session
from apps.sessions.selectors import session_list, tags_seen
from apps.sessions.services.labels import clean_tags, session_label, split_tags
from apps.ui.engine.refusal import Refusal
from tests.sessions.live_fixtures import make_session

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(alice):
    return make_session(alice, status="completed")


def label(session, tags=None, notes=None):
    return session_label(session=session, actor=session.owner, tags=tags, notes=notes)


def names(session):
    return list(session.tags.values_list("name", flat=True))


def test_tags_are_trimmed_and_each_is_there_once():
    assert clean_tags([" a  b ", "a b", "", "C", "\x00"]) == ["a b", "C"]
    assert split_tags("a, b，c,,") == ["a", " b", "c"]


@pytest.mark.parametrize("tags", [["x" * 33], [str(n) for n in range(21)], ["a,b"]])
def test_too_much_is_refused(session, tags):
    with pytest.raises(Refusal) as caught:
        label(session, tags)
    assert (caught.value.code, caught.value.field) == ("invalid_tags", "tags")
    with pytest.raises(Refusal) as caught:
        label(session, notes="x" * 10_001)
    assert caught.value.code == "notes_too_long"


def test_what_is_not_given_stays(session):
    label(session, ["b", "a"], "first look")
    label(session, ["a", "c"])
    session.refresh_from_db()
    assert (names(session), session.notes) == (["a", "c"], "first look")
    label(session, notes="")
    assert names(session) == ["a", "c"]
    assert Session.objects.get(pk=session.pk).notes == ""
    entry = AuditEntry.objects.filter(action="session.label").order_by("id")[0]
    assert entry.details == {"tags": ["b", "a"], "notes": 10}


def test_the_list_is_filtered_by_tag(client, alice, bob, session):
    label(session, ["keep", "dj30"])
    label(make_session(alice, status="failed", name="Another"), ["dj30"])
    label(make_session(bob, name="Bob's"), ["keep", "secret"])
    assert [one.pk for one in session_list(alice, tag="keep")] == [session.pk]
    assert tags_seen(alice) == ["dj30", "keep"]
    client.force_login(alice)
    text = client.get("/sessions/?tag=keep").content.decode()
    assert f'id="session-row-{session.pk}"' in text
    assert "Another" not in text.split("session-table")[1]
    assert "<option selected>keep</option>" in text
    assert "secret" not in text


def test_the_list_asks_as_many_questions_for_ten_as_for_one(client, alice, session):
    label(session, ["a", "b"])
    client.force_login(alice)
    client.get("/sessions/")
    with CaptureQueriesContext(connection) as one:
        client.get("/sessions/")
    for number in range(9):
        label(make_session(alice, status="completed", name=f"s{number}"), ["a", str(number)])
    with CaptureQueriesContext(connection) as ten:
        client.get("/sessions/")
    assert len(ten) == len(one)


def test_the_page_shows_and_edits_them(client, alice, session):
    client.force_login(alice)
    client.post(f"/sessions/{session.pk}/labels/", {"tags": "dj30, <b>", "notes": "look & see\nagain"})
    assert names(session) == ["<b>", "dj30"]
    text = client.get(f"/sessions/{session.pk}/").content.decode()
    assert "look &amp; see<br>again" in text
    assert "?tag=%3Cb%3E" in text
    assert "<b></a>" not in text


def test_only_who_may_edit_changes_them(client, bob, alice, session):
    client.force_login(bob)
    address = f"/sessions/{session.pk}/labels/"
    assert client.post(address, {"tags": "x"}).status_code == 404
    share_create(actor=alice, obj=session, receiver="bob")
    assert client.post(address, {"tags": "x"}).status_code == 404
    assert "f-tags" not in client.get(f"/sessions/{session.pk}/").content.decode()
    share_create(actor=alice, obj=session, receiver="bob", can_edit=True)
    assert client.post(address, {"tags": "x"}).status_code == 302
    assert names(session) == ["x"]


def test_the_api_sets_and_filters(alice, bob, session):
    def client_of(user):
        _row, plain = token_create(user, "x", scopes=["sessions:write"])
        return Client(headers={"authorization": f"Bearer {plain}"})

    def put(user, body):
        return client_of(user).put(f"/api/sessions/{session.pk}/labels", body, content_type="application/json")

    assert put(bob, {"tags": ["x"]}).status_code == 404
    assert put(alice, {"tags": ["y", "x"], "notes": "n"}).json() == {
        "session_id": session.pk,
        "tags": ["x", "y"],
        "notes": "n",
    }
    assert put(alice, {"tags": ["x" * 40]}).status_code == 422
    found = client_of(alice).get("/api/sessions/?tag=x").json()["items"]
    assert [(one["id"], one["tags"]) for one in found] == [(session.pk, ["x", "y"])]
    assert client_of(alice).get("/api/sessions/?tag=z").json()["total"] == 0
    assert client_of(alice).get(f"/api/sessions/{session.pk}").json()["notes"] == "n"


def test_the_command_labels_and_lists(session, alice, capsys):
    call_command("sessions", "label", str(session.pk), "--tags", "a, b", "--notes", "hm", "--user", "alice")
    assert names(session) == ["a", "b"]
    capsys.readouterr()
    call_command("sessions", "list", "--tag", "a", "--user", "alice")
    assert f"{session.pk}  completed" in capsys.readouterr().out
    call_command("sessions", "list", "--tag", "z", "--user", "alice")
    assert "No session." in capsys.readouterr().out
    with pytest.raises(CommandError):
        call_command("sessions", "label", str(session.pk), "--tags", "x" * 40, "--user", "alice")
