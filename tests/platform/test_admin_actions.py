"""Every page of the admin opens with its content, and every action there does what it says: to administrators, to nobody else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib import admin
from django.test import RequestFactory
from django.utils import timezone

from apps.accounts import tokens
from apps.accounts.models import AuditEntry, LoginLock
from apps.marketdata.models import Dataset, Feed, QualityCheck, Source, SyncRun
from apps.marketdata.services import load_builtin_catalogue
from apps.sessions.models import Session
from apps.strategies.models import Strategy
from tests.platform.test_access_matrix import Things, logged_in

pytestmark = pytest.mark.django_db
#: Of Django, and of the queue, which puts a failed task in line again: a session's is refused there when it is not its turn.
BUILT_IN = {"delete_selected", "resubmit_task"}


@dataclass
class Deed:
    """What an action changes: the object it is given, what is read before and after, the act in the trail."""

    thing: Any
    read: Any
    after: Any
    act: str
    start: dict[str, Any] = field(default_factory=dict)


def deeds(things: Things, owner) -> dict[str, Deed]:
    """Return one deed for each action of the admin; a new action without one fails the suite."""
    session = Session.objects.get(pk=things.numbers["/sessions/"])
    strategy = Strategy.objects.get(pk=things.numbers["/strategies/"])
    data = Dataset.objects.get(pk=things.numbers["/data/"])
    feed = Feed.objects.get(pk=things.numbers["/data/feeds/"])
    source = Source.objects.get(pk=things.numbers["/data/sources/"])
    sync = SyncRun.objects.create(source=source)
    token, _plain = tokens.token_create(owner, "of the admin")
    lock = LoginLock.objects.create(
        kind="name", username="somebody", failures=9, last_failure=timezone.now(), locked_until=timezone.now()
    )

    def status() -> str:
        return Session.objects.get(pk=session.pk).status

    return {
        "accounts.apitoken.revoke": Deed(token, lambda: type(token).objects.get(pk=token.pk).revoked_at is None, False, "token.revoke"),
        "accounts.loginlock.unlock": Deed(lock, lambda: LoginLock.objects.filter(pk=lock.pk).exists(), False, "login.unlock"),
        "marketdata.dataset.archive": Deed(data, lambda: Dataset.objects.get(pk=data.pk).archived_at is None, False, "dataset.archive"),
        "marketdata.dataset.check_again": Deed(data, lambda: QualityCheck.objects.filter(dataset=data).count() > 0, True, "dataset.check"),
        "marketdata.feed.start": Deed(feed, lambda: Feed.objects.get(pk=feed.pk).wanted, True, "feed.start"),
        "marketdata.feed.stop": Deed(feed, lambda: Feed.objects.get(pk=feed.pk).wanted, False, "feed.stop", {"wanted": True}),
        "marketdata.source.pause": Deed(source, lambda: Source.objects.get(pk=source.pk).paused_at is None, False, "source.pause"),
        "marketdata.source.resume": Deed(source, lambda: Source.objects.get(pk=source.pk).paused_at is None, True, "source.resume", {"paused_at": timezone.now()}),
        "marketdata.syncrun.stop": Deed(sync, lambda: SyncRun.objects.get(pk=sync.pk).state, "cancelled", "source.stop"),
        "quant_sessions.session.pause": Deed(session, status, "pausing", "session.pause", {"status": "running"}),
        "quant_sessions.session.resume": Deed(session, status, "queued", "session.resume", {"status": "paused"}),
        "quant_sessions.session.cancel": Deed(session, status, "cancelled", "session.cancel", {"status": "queued"}),
        "quant_sessions.session.retry": Deed(session, status, "queued", "session.retry", {"status": "failed"}),
        "strategies.strategy.archive": Deed(strategy, lambda: Strategy.objects.get(pk=strategy.pk).archived_at is None, False, "strategy.archive"),
    }  # fmt: skip


def actions_of(person) -> list[str]:
    request = RequestFactory().get("/admin/")
    request.user = person
    return sorted(
        f"{model._meta.label_lower}.{action}"
        for model, site in admin.site._registry.items()
        for action in site.get_actions(request)
        if action not in BUILT_IN
    )


def give(client, name: str, deed: Deed):
    label, _dot, action = name.rpartition(".")
    return client.post(
        f"/admin/{label.replace('.', '/')}/", {"action": action, "_selected_action": str(deed.thing.pk)}, follow=True
    )


@pytest.fixture
def things(alice):
    return Things(alice)


def test_every_action_has_a_deed(things, alice, root):
    assert actions_of(root) == sorted(deeds(things, alice)), "say in deeds() what the new action does"


ACTIONS = ["accounts.apitoken.revoke", "accounts.loginlock.unlock", "marketdata.dataset.archive",
           "marketdata.dataset.check_again", "marketdata.feed.start", "marketdata.feed.stop", "marketdata.source.pause", "marketdata.source.resume", "marketdata.syncrun.stop", "quant_sessions.session.pause", "quant_sessions.session.resume",
           "quant_sessions.session.cancel", "quant_sessions.session.retry", "strategies.strategy.archive"]  # fmt: skip


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_does_what_it_says_and_is_in_the_trail(things, alice, root, name, settings, tmp_path):
    deed = deeds(things, alice)[name]
    if name.endswith("check_again"):  # wants bars to look at
        settings.VAR_DIR = tmp_path
        load_builtin_catalogue()
        deed.thing = Dataset.objects.get(name="us-daily-raw", version=1)
        looked_at = QualityCheck.objects.filter(dataset=deed.thing)
        deed.read, deed.after = looked_at.count, looked_at.count() + 1
    if deed.start:
        type(deed.thing).objects.filter(pk=deed.thing.pk).update(**deed.start)
    assert deed.read() != deed.after
    answer = give(logged_in(root), name, deed)
    assert answer.status_code == 200
    assert deed.read() == deed.after
    assert AuditEntry.objects.filter(action=deed.act, actor=root).exists()


@pytest.mark.parametrize("name", ACTIONS)
def test_nobody_else_does_it(things, alice, bob, name):
    deed = deeds(things, alice)[name]
    if deed.start:
        type(deed.thing).objects.filter(pk=deed.thing.pk).update(**deed.start)
    before = deed.read()
    for person in (alice, bob):
        give(logged_in(person), name, deed)
    assert deed.read() == before
    assert (
        not AuditEntry.objects.filter(action=deed.act, actor__in=[alice, bob]).exclude(action="token.create").exists()
    )


def test_every_list_and_object_of_the_admin_opens(things, root):
    """Also with a search, which no field of the list may break, and with rubbish in the address."""
    client, opened = logged_in(root), 0
    for model, site in admin.site._registry.items():
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert client.get(path).status_code == 200, path
        if site.search_fields:
            assert client.get(path, {"q": "a'\\%_9"}).status_code == 200, f"{path} with a search"
        assert client.get(f"{path}nothing-such/change/").status_code == 302, f"{path} with rubbish"
        first = model._default_manager.first()
        if first is not None:
            page = client.get(f"{path}{first.pk}/change/")
            assert page.status_code == 200, f"{path}{first.pk}"
            opened += 1
    assert opened >= 8, "hardly an object was there to open"
