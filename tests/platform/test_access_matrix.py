"""Every page, API operation, socket and admin action × who asks.

The routes come from the URL configuration and OpenAPI. A new one inherits the class of its
prefix in ``RULES`` (the longest match wins); where no prefix fits, or an address has a parameter
that ``Things.fill`` cannot fill, the suite fails and says which line to add.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.accounts import credentials, tokens
from apps.accounts.engine.scopes import AREAS
from apps.accounts.models import User
from apps.accounts.notices import notify
from apps.marketdata.models import Dataset, Feed, ImportJob
from apps.marketdata.services.sources import source_create
from apps.sessions.routing import websocket_urlpatterns
from quant_platform.api import api
from tests.sessions.live_fixtures import make_dataset, make_session

pytestmark = pytest.mark.django_db
PUBLIC, PERSON, ADMIN = "public", "person", "administrator"
#: Prefix → who may come in. With a parameter in the address, PERSON also means: strangers get 404.
RULES = {
    "/": PERSON,
    "/metrics": PUBLIC,
    "/accounts/login/": PUBLIC,
    "/accounts/logout/": PUBLIC,
    "/accounts/reset/": PUBLIC,
    "/accounts/join/": PUBLIC,
    "/accounts/language/": PUBLIC,
    "/accounts/theme/": PUBLIC,
    "/accounts/notices/poll/": PUBLIC,
    "/accounts/2fa/authenticate/": PUBLIC,
    "/accounts/2fa/webauthn/login/": PUBLIC,
    "/accounts/people/": ADMIN,
    "/accounts/groups/": ADMIN,
    "/accounts/audit/": ADMIN,
    "/accounts/invitations/": ADMIN,
    "/api/": PERSON,
    "/api/health": PUBLIC,
    "/api/ready": PUBLIC,
    "/api/token": PUBLIC,
    "/api/tokens": PERSON,
    "/api/people": ADMIN,
    "/api/groups": ADMIN,
    "/api/audit": ADMIN,
    "/monitoring/machinery/": ADMIN,
    "/api/workers": ADMIN,
    "/api/connections": ADMIN,
    "/data/calendars/": ADMIN,
    "/api/data/calendars": ADMIN,
}
#: Addresses with a parameter that name no object of somebody: a gallery's key, a symbol everybody may ask for.
OPEN_PARAMETERS = (
    "/strategies/gallery/", "/api/data/historical/", "/api/data/cache/", "/api/data/minutes/", "/api/strategies/types",
    "/api/strategies/schema",
)  # fmt: skip
#: What wants a proof not older than 15 minutes: method and address.
FRESH_FORMS = (
    "/accounts/secrets/", "/accounts/secrets/<int:pk>/delete/", "/accounts/groups/new/", "/accounts/groups/<int:pk>/",
    "/accounts/groups/<int:pk>/delete/", "/accounts/people/<int:pk>/leave/", "/accounts/people/<int:pk>/end-all/",
    "/accounts/2fa/totp/activate/", "/accounts/2fa/webauthn/add/", "/accounts/2fa/recovery-codes/generate/",
    "/accounts/2fa/webauthn/keys/<int:pk>/edit/", "/accounts/2fa/webauthn/keys/<int:pk>/remove/",
)  # fmt: skip
FRESH = {
    *(f"{method} {path}" for path in FRESH_FORMS for method in ("GET", "POST")),
    "POST /accounts/tokens/", "POST /accounts/people/", "POST /accounts/people/<int:pk>/",
    "POST /api/tokens", "POST /api/credentials", "DELETE /api/credentials/{credential_id}",
    "PATCH /api/people/{person_id}", "POST /api/people/{person_id}/log-out", "POST /api/people/{person_id}/leave",
    "POST /api/groups", "PUT /api/groups/{group_id}", "DELETE /api/groups/{group_id}",
}  # fmt: skip
#: What an operation must be told before it comes to the proof.
BODIES = {
    "/api/tokens": {"name": "a"}, "/api/credentials": {"name": "a", "secret": "b"}, "/api/groups": {"name": "a"},
    "/api/groups/{group_id}": {"name": "a"}, "/api/people/{person_id}/leave": {"heir": "root"},
}  # fmt: skip
SOCKETS = {"ws/live/"}
#: Refusals that tell a stranger nothing: not there, not that method, not that form.
NOTHING = {404, 405, 415, 422, 400}
HINT = "add a line to RULES, OPEN_PARAMETERS or Things.fill in tests/platform/test_access_matrix.py"


@dataclass(frozen=True)
class Route:
    """One address: as it is configured, the methods to try, whether it is the API's."""

    path: str
    methods: tuple[str, ...]
    is_api: bool

    @property
    def rule(self) -> str:
        fits = [prefix for prefix in RULES if self.path.startswith(prefix)]
        return RULES[max(fits, key=len)]

    @property
    def owned(self) -> bool:
        named = "<" in self.path or "{" in self.path
        return self.rule == PERSON and named and not self.path.startswith(OPEN_PARAMETERS)


def pages(resolver: URLResolver, prefix: str = "/") -> list[Route]:
    found: list[Route] = []
    for item in resolver.url_patterns:
        path = prefix + str(item.pattern)
        if path.startswith(("/admin/", "/api/")):
            continue
        found += [Route(path, ("GET", "POST"), False)] if isinstance(item, URLPattern) else pages(item, path)
    return found


def operations() -> list[Route]:
    schema = api.get_openapi_schema()["paths"]
    return [Route(path, tuple(method.upper() for method in methods), True) for path, methods in schema.items()]


ROUTES = [*{route.path: route for route in pages(get_resolver())}.values(), *operations()]


class Things:
    """What alice owns, one of each kind."""

    def __init__(self, alice: User) -> None:
        dataset = make_dataset(name="alices-own")
        Dataset.objects.filter(pk=dataset.pk).update(owner=alice)
        session = make_session(alice)
        token, _plain = tokens.token_create(alice, "x")
        secret = credentials.credential_set(owner=alice, name="x", kind="broker", secret="secret-1")
        notice = notify(alice, "session.failed", "error", title="x", id=1)
        strategy = session.version.strategy_id
        job = ImportJob.objects.create(owner=alice, name="alices-own", path="a.csv", origin="page")
        group = Group.objects.create(name="alices-desk")
        feed = Feed.objects.create(name="alices-replay", kind="replay", owner=alice, dataset=dataset)
        source = source_create(owner=alice, name="alices-own", kind="folder", values={"folder": "alices"})
        self.numbers = {
            "/data/feeds/": feed.pk, "/api/feeds": feed.pk,
            "/data/imports/": job.pk, "/api/data/imports": job.pk,
            "/data/": dataset.pk, "/api/datasets": dataset.pk, "/sessions/": session.pk, "/api/sessions": session.pk,
            "/strategies/": strategy, "/api/strategies": strategy, "/accounts/share/": strategy,
            "/api/shares": strategy, "/accounts/tokens/": token.pk, "/api/tokens": token.pk,
            "/accounts/secrets/": secret.pk, "/api/credentials": secret.pk, "/accounts/notices/": notice.pk,
            "/api/notices": notice.pk, "/accounts/people/": alice.pk, "/api/people": alice.pk,
            "/accounts/groups/": group.pk, "/api/groups": group.pk,
            "/data/sources/": source.pk, "/api/data/sources": source.pk,
        }  # fmt: skip
        self.words = {"word": "strategy", "command": "pause", "name": "status", "form": "csv", "key": "x", "symbol": "AAPL",
                      "secret": "x", "uidb64": "x", "token": "x", "number": "1", "version": "1", "order": "cancel"}  # fmt: skip

    def fill(self, path: str) -> str:
        """Return ``path`` with alice's objects in it; a number of no known kind names nothing that exists."""
        fits = [prefix for prefix in self.numbers if path.startswith(prefix)]
        number = self.numbers[max(fits, key=len)] if fits else 987654

        def value(match: re.Match[str]) -> str:
            kind, _, name = match.group(1).rpartition(":")
            if kind == "int" or name.endswith("_id") or name in {"pk", "id"}:
                return "1" if name in {"share", "share_id"} else str(number)
            assert name in self.words, f"{path} has the parameter {name}: {HINT}"
            return self.words[name]

        return re.sub(r"[<{]([^>}]+)[>}]", value, path)


@pytest.fixture
def things(alice):
    return Things(alice)


def ask(client: Client, method: str, path: str, *, is_api: bool, **more):
    """Send one request and undo what it did."""
    client.raise_request_exception = False
    body = {"data": "{}", "content_type": "application/json"} if is_api and method != "GET" else {}
    with transaction.atomic():
        answer = client.generic(method, path, **(body | more))
        transaction.set_rollback(True)
    return answer


def sweep(client, things, wanted, complaint):
    """Ask every route that ``wanted`` picks and return what ``complaint`` says about the answers."""
    found = []
    for route in filter(wanted, ROUTES):
        for method in route.methods:
            kept = client.cookies.copy()  # a log-out forgets them, which the next question needs
            answer = ask(client, method, things.fill(route.path), is_api=route.is_api)
            client.cookies = kept
            trouble = "a server error" if answer.status_code >= 500 else complaint(route, answer)
            if trouble:
                found.append(f"{method} {route.path} answered {answer.status_code}: {trouble}")
    return found


def logged_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_every_route_can_be_asked(things):
    for route in ROUTES:
        assert "<" not in things.fill(route.path), f"{route.path}: {HINT}"


def test_every_area_of_the_api_has_a_scope():
    unknown = {route.path for route in operations() if route.path.split("/")[2] not in AREAS}
    assert not unknown, f"name the first part of {unknown} in AREAS of apps/accounts/engine/scopes.py"


def test_strangers_without_a_log_in_come_nowhere(things):
    def complaint(route, answer):
        if route.is_api:
            return "" if answer.status_code in {401, 405} else "wanted 401"
        away = answer.status_code == 302 and "/accounts/login/" in answer["Location"]
        return "" if away or answer.status_code == 405 else "wanted the log-in page"

    assert sweep(Client(), things, lambda route: route.rule != PUBLIC, complaint) == []


def test_what_is_somebody_elses_is_not_there(things, bob):
    found = sweep(
        logged_in(bob), things, lambda route: route.owned,
        lambda route, answer: "" if answer.status_code in NOTHING or "/reauth" in answer.get("Location", "") else "wanted 404",
    )  # fmt: skip
    assert found == []


@pytest.mark.parametrize("role", ["ordinary", "advanced"])
def test_what_is_administrators_is_closed_to_others(things, bob, role):
    User.objects.filter(pk=bob.pk).update(role=role)
    found = sweep(
        logged_in(User.objects.get(pk=bob.pk)), things, lambda route: route.rule == ADMIN,
        lambda route, answer: "" if answer.status_code in {403, 405, 422, 400} else "wanted 403",
    )  # fmt: skip
    assert found == []


@pytest.mark.parametrize("who", ["alice", "root"])
def test_who_may_come_in_is_let_in(things, request, who):
    person = request.getfixturevalue(who)
    found = sweep(
        logged_in(person), things, lambda route: route.rule == PERSON or (route.rule == ADMIN and who == "root"),
        lambda route, answer: "shut out" if answer.status_code in {401} else "",
    )  # fmt: skip
    assert found == []


def asks_again(answer) -> bool:
    away = answer.status_code == 302 and "reauthenticate" in answer["Location"]
    return away or (answer.status_code == 403 and b"reauthentication_required" in answer.content)


def aged(client: Client) -> Client:
    """Make the proof of the client's person an hour old."""
    session = client.session
    session["account_authentication_methods"] = [
        {**one, "at": time.time() - 3600} for one in session["account_authentication_methods"]
    ]
    session.save()
    return client


@pytest.mark.parametrize("proof", ["old", "password alone", "old second factor"])
def test_what_is_sensitive_wants_a_fresh_and_whole_proof(things, alice, root, proof):
    """FRESH is exact: nothing in it opens, and whatever else asks again must be named in it."""
    known = {f"{method} {route.path}" for route in ROUTES for method in route.methods}
    assert known >= FRESH, FRESH - known
    asked: set[str] = set()
    for person in (alice, root):
        if proof != "old":
            TOTP.activate(person, generate_totp_secret())
        client = logged_in(person)
        if proof != "password alone":
            aged(client)
        for route in ROUTES:
            for method in route.methods:
                kept = client.cookies.copy()
                more = {"data": json.dumps(BODIES[route.path])} if route.path in BODIES else {}
                answer = ask(client, method, things.fill(route.path), is_api=route.is_api, **more)
                client.cookies = kept
                if asks_again(answer):
                    asked.add(f"{method} {route.path}")
    own = {one for one in asked if "/reauthenticate/" in one}
    factors = {one for one in asked if "/2fa/" in one}
    assert asked - own - factors == {one for one in FRESH if "/2fa/" not in one}
    if proof == "old":  # with a factor allauth offers other pages, each behind the same guard
        assert factors - own == {one for one in FRESH if "/2fa/" in one}


def test_a_token_of_another_scope_reaches_no_operation(things, alice):
    _row, plain = tokens.token_create(alice, "narrow", scopes=["monitoring:read"])
    for route in operations():
        if route.rule == PUBLIC or AREAS[route.path.split("/")[2]] == "monitoring":
            continue
        for method in route.methods:
            answer = ask(
                Client(), method, things.fill(route.path), is_api=True, headers={"Authorization": f"Bearer {plain}"}
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), f"{method} {route.path}"


def test_every_socket_is_known():
    found = {str(pattern.pattern) for pattern in websocket_urlpatterns}
    assert found == SOCKETS, "prove in tests/sessions/test_consumer.py who may open it, and name it in SOCKETS"


def test_every_admin_page_and_action_is_for_administrators(client, alice, bob, root, rf):
    request = rf.get("/admin/")
    request.user = root
    for model, site in admin.site._registry.items():
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for action in site.get_actions(request):
            for person in (None, bob):
                answer = (logged_in(person) if person else Client()).post(
                    path, {"action": action, "_selected_action": "1"}
                )
                assert answer.status_code in {302, 403}, f"{path} {action}"
        assert logged_in(root).get(path).status_code == 200, path
        assert Client().get(path).status_code == 302, path
