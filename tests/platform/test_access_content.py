"""Who is let in gets the page itself, and no page offers what would be refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from apps.accounts import shares
from apps.marketdata.models import Dataset, Source
from apps.sessions.live.partials import fragments
from apps.sessions.models import Session
from apps.sessions.pages import session_of
from apps.strategies.models import Strategy
from tests.platform.test_access_matrix import ADMIN, ROUTES, Things, ask, logged_in

pytestmark = pytest.mark.django_db
#: The frame around every page, asked once by the matrix.
FRAME = {"/accounts/logout/", "/accounts/language/", "/accounts/theme/", "/accounts/notices/read/"}
#: Operations that read what this session does not have: it never ended, kept no capsule, its data no bars; or more must be said.
NOTHING_YET = {
    ("/api/data/sources/{source_id}/symbols", 404),
    ("/api/ready", 503), ("/api/sessions/compare", 422), ("/api/sessions/reports/compare", 422),
    ("/api/sessions/{session_id}/tables", 404), ("/api/sessions/{session_id}/tables/{name}", 404),
    ("/api/sessions/{session_id}/report", 404), ("/api/sessions/{session_id}/trades", 404),
    ("/api/sessions/{session_id}/capsule", 404), ("/api/datasets/{dataset_id}/diff", 422),
    ("/api/datasets/{dataset_id}/export", 409), ("/api/data/historical/{symbol}", 409), ("/api/data/features", 422),
    ("/api/data/features/analysis", 422), ("/api/data/cache/{symbol}", 404), ("/api/data/historical", 422),
    ("/api/datasets/{dataset_id}/book", 409), ("/api/datasets/{dataset_id}/spread", 409), ("/api/sessions/metric", 422),
}  # fmt: skip


@pytest.fixture
def things(alice):
    return Things(alice)


@dataclass
class Offers(HTMLParser):
    """What a page offers: links, and forms with their hidden fields; each as method, address and what is sent."""

    found: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    form: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.form = {}
            self.found.append(((given.get("method") or "get").upper(), given.get("action") or "", self.form))
        elif tag == "input" and given.get("type") == "hidden" and given.get("name"):
            self.form[given["name"]] = given.get("value") or ""
        for name, method in (("href", "GET"), ("hx-get", "GET"), ("hx-post", "POST"), ("formaction", "POST")):
            if given.get(name) and tag in {"a", "button"}:
                self.found.append((method, given[name], {}))


def offers(answer, address: str) -> Iterator[tuple[str, str, str]]:
    """Yield the method, address and body of everything ``answer`` offers to do on this site."""
    parser = Offers()
    parser.feed(answer.content.decode())
    for method, target, values in parser.found:
        full = urlsplit(urljoin(f"http://testserver{address}", target))
        if full.netloc == "testserver" and full.path not in FRAME:
            query = full.query or (urlencode(values) if method == "GET" else "")
            yield method, f"{full.path}?{query}", urlencode(values)


def refused_offers(person, addresses) -> list[str]:
    """Return what the pages at ``addresses`` offer to ``person`` and then refuse."""
    client, seen, found = logged_in(person), set(), []
    for address in addresses:
        page = ask(client, "GET", address, is_api=False)
        if page.status_code != 200 or page.streaming or b"<h1" not in page.content:
            continue
        for offer in offers(page, address):
            if offer in seen:
                continue
            seen.add(offer)
            method, target, body = offer
            kept = client.cookies.copy()  # a log-out forgets them
            more = {"data": body, "content_type": "application/x-www-form-urlencoded"} if method == "POST" else {}
            got = ask(client, method, target, is_api=False, **more)
            client.cookies = kept
            if got.status_code in {403, 404} or got.status_code >= 500:
                found.append(f"{address} offers {method} {target}: {got.status_code}")
    assert len(seen) > 20, "the pages offer next to nothing: were they read?"
    return found


@pytest.mark.parametrize("status", ["running", "paused", "interrupted", "failed", "queued"])
@pytest.mark.parametrize("can_edit", [False, True], ids=["reader", "editor"])
def test_nobody_is_offered_what_is_refused(things, alice, bob, can_edit, status):
    """With what is shared read-only, or to edit, every button, link and form on every page works."""
    Session.objects.filter(pk=things.numbers["/sessions/"]).update(status=status)
    for obj in (
        Session.objects.get(pk=things.numbers["/sessions/"]),
        Strategy.objects.get(pk=things.numbers["/strategies/"]),
        Dataset.objects.get(pk=things.numbers["/data/"]),
        Source.objects.get(pk=things.numbers["/data/sources/"]),
    ):
        shares.share_create(actor=alice, obj=obj, receiver="bob", can_edit=can_edit)
    addresses = [things.fill(route.path) for route in ROUTES if not route.is_api]
    only = [one for one in addresses if status == "running" or one.startswith("/sessions/")]
    assert refused_offers(bob, only) == []


@pytest.mark.parametrize("who", ["alice", "root"])
def test_owners_and_administrators_are_offered_what_works(things, request, who):
    addresses = [things.fill(route.path) for route in ROUTES if not route.is_api]
    assert refused_offers(request.getfixturevalue(who), addresses) == []


def test_a_push_offers_a_watcher_no_command(things):
    """What the live socket and the polling page swap in follows who looks, too."""
    session = session_of(things.numbers["/sessions/"])
    assert "act-pause" in "".join(fragments(session, "detail", ["actions"]))
    assert "act-pause" not in "".join(fragments(session, "detail-watch", ["actions"]))


def test_a_reader_polls_without_commands(things, alice, bob):
    pk = things.numbers["/sessions/"]
    shares.share_create(actor=alice, obj=Session.objects.get(pk=pk), receiver="bob")
    for name in ("all", "actions"):
        path = f"/sessions/{pk}/fragments/{name}/"
        assert "act-pause" not in logged_in(bob).get(path).content.decode()
        assert "act-pause" in logged_in(alice).get(path).content.decode()


#: What stands on the page itself: a landmark that no refusal, log-in page or empty shell has.
LANDMARKS = {
    "/": "h-attention", "/search/": "search", "/monitoring/": "<h1>Monitoring", "/strategies/": "AAPL daily",
    "/strategies/gallery/": "/strategies/gallery/rsi-ibm/use/", "/strategies/<int:pk>/": "AAPL daily",
    "/strategies/<int:pk>/edit/": "/edit/changes/", "/sessions/": "session-row-", "/sessions/<int:pk>/": "session-labels",
    "/sessions/<int:pk>/log/": "AAPL daily", "/sessions/<int:pk>/delete/": "AAPL daily", "/data/": "alices-own",
    "/data/<int:pk>/": "alices-own", "/data/import/": 'type="file"', "/data/imports/": "alices-own", "/data/imports/<int:pk>/": "alices-own", "/accounts/profile/": 'name="time_zone"',
    "/accounts/security/": "/accounts/security/end-all/", "/accounts/tokens/": 'name="days"',
    "/accounts/secrets/": 'name="secret"', "/accounts/notices/": "<h1>", "/accounts/password/": 'name="old_password"',
    "/accounts/share/<slug:word>/<int:pk>/": 'name="receiver"', "/accounts/2fa/totp/activate/": "totp-secret",
    "/accounts/2fa/webauthn/": "/accounts/2fa/webauthn/add/", "/accounts/2fa/webauthn/add/": "passkey_go",
}  # fmt: skip
ADMINS_LANDMARKS = {
    "/accounts/people/": "/accounts/people/", "/accounts/people/<int:pk>/": 'name="risk_level"',
    "/accounts/people/<int:pk>/leave/": 'name="heir"', "/accounts/groups/": "/accounts/groups/new/",
    "/accounts/groups/new/": 'name="members"', "/accounts/audit/": 'name="object_type"',
}  # fmt: skip


@pytest.mark.parametrize("path", LANDMARKS)
def test_the_owner_gets_the_page_itself(things, alice, path):
    answer = logged_in(alice).get(things.fill(path))
    assert (answer.status_code, LANDMARKS[path] in answer.content.decode()) == (200, True)


@pytest.mark.parametrize("path", [*LANDMARKS, *ADMINS_LANDMARKS])
def test_an_administrator_gets_the_page_itself(things, root, path):
    if path == "/accounts/secrets/":
        pytest.skip("secrets are their owner's alone")
    answer = logged_in(root).get(things.fill(path))
    assert (answer.status_code, (LANDMARKS | ADMINS_LANDMARKS)[path] in answer.content.decode()) == (200, True)


def test_every_operation_that_reads_answers_its_owner(things, alice):
    """A GET of the API without further fields gives the owner 200, unless there is nothing yet to give."""
    client, found = logged_in(alice), []
    for route in ROUTES:
        if not route.is_api or "GET" not in route.methods or route.rule == ADMIN:
            continue
        answer = ask(client, "GET", things.fill(route.path), is_api=True)
        if answer.status_code != 200 and (route.path, answer.status_code) not in NOTHING_YET:
            found.append(f"{route.path}: {answer.status_code}")
    assert not found, "\n".join(found)
