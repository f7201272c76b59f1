"""Sessions in the admin: history is read-only, commands go through the service."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.accounts.models import AuditEntry
from apps.sessions.models import Attempt, Checkpoint, Session, Worker
from tests.sessions.live_fixtures import make_session, points, say

pytestmark = pytest.mark.django_db
MODELS = ["session", "sessionevent", "attempt", "checkpoint", "worker"]


@pytest.fixture
def admin(client, root):
    client.force_login(root)
    return client


@pytest.fixture
def rows(alice):
    session = say(make_session(alice), points(1))
    Attempt.objects.create(session=session, number=1)
    Checkpoint.objects.create(session=session, attempt=1, step=1, path="x", sha256="0" * 64, size_bytes=1)
    Worker.objects.create(name="w1", host="h", pid=1)
    return session


def address(model, *args, view="changelist"):
    return reverse(f"admin:quant_sessions_{model}_{view}", args=args)


@pytest.mark.parametrize("model", MODELS)
def test_lists_open_and_search(admin, rows, model):
    assert admin.get(address(model)).status_code == 200
    assert admin.get(address(model), {"q": "1"}).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_added_changed_or_deleted_by_hand(admin, rows, model):
    from django.apps import apps

    pk = apps.get_model("quant_sessions", model).objects.first().pk
    assert admin.get(address(model, view="add")).status_code == 403
    assert admin.get(address(model, pk, view="change")).status_code == 200
    assert admin.post(address(model, pk, view="change"), {}).status_code == 403
    assert admin.post(address(model, pk, view="delete"), {"post": "yes"}).status_code == 403


def act(admin, action, *sessions):
    data = {"action": action, "_selected_action": [session.pk for session in sessions]}
    return admin.post(address("session"), data, follow=True).content.decode()


def test_an_action_goes_through_the_service(admin, alice):
    session = make_session(alice)
    assert "took the command" in act(admin, "pause", session)
    session.refresh_from_db()
    assert session.status == "pausing"
    assert AuditEntry.objects.filter(action="session.pause").exists()


def test_rows_that_cannot_are_named_and_the_others_move(admin, alice):
    done, running = make_session(alice, status="completed"), make_session(alice)
    text = act(admin, "cancel", done, running)
    assert "cannot" in text
    assert "1 session took the command" in text
    assert set(Session.objects.values_list("status", flat=True)) == {"completed", "cancelling"}


@pytest.mark.parametrize(("action", "status"), [("resume", "paused"), ("retry", "failed")])
def test_sessions_are_queued_again(admin, alice, action, status):
    session = make_session(alice, status=status)
    act(admin, action, session)
    session.refresh_from_db()
    assert session.status == "queued"


def test_people_without_the_role_do_not_enter(client, alice):
    client.force_login(alice)
    assert client.get(address("session")).status_code == 302
