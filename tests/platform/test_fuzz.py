"""Rubbish at every door: generated requests at the whole API, generated values in every form.

The cases of the API come from its OpenAPI document (schemathesis), half of them in its form and half
not. ``QP_FUZZ_EXAMPLES`` sets how many each operation and form gets; ``make fuzz`` sends more than
20,000. Whatever comes in: no server error, no traceback, no secret, nothing of somebody else's goes out.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.db import transaction
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from quant_platform.api import api
from tests.platform.test_access_matrix import ADMIN, PERSON, ROUTES, Things, logged_in

pytestmark = pytest.mark.django_db
EXAMPLES = int(os.environ.get("QP_FUZZ_EXAMPLES", "3"))
FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
DOCUMENT = schemathesis.openapi.from_dict(json.loads(json.dumps(api.get_openapi_schema(), default=str)))
OPERATIONS = {
    f"{one.method.upper()} {one.path}": one for one in (found.ok() for found in DOCUMENT.get_all_operations())
}
OWNED = {route.path for route in ROUTES if route.owned}
PAGES = sorted(route.path for route in ROUTES if not route.is_api and route.rule in {PERSON, ADMIN})
#: Forms of the frame around every page, filled in once.
SHELL = {"/accounts/logout/", "/accounts/language/", "/accounts/theme/"}
#: What must never stand in an answer: how the program failed, where it lies, what it keeps.
LEAKS = re.compile(r"Traceback \(most recent|argon2\$|site-packages|DJANGO_SETTINGS|OperationalError|DataError")
#: Headers of the generated case that the test client sets itself.
OWN_HEADERS = {"connection", "accept-encoding", "user-agent", "authorization", "content-length", "cookie", "host"}


ANSWERS: Counter[int] = Counter()


@pytest.fixture(scope="module", autouse=True)
def told():
    """Say what was answered how often; ``make fuzz`` shows it."""
    yield
    print(f"\n{ANSWERS.total():,} requests, by status: {dict(sorted(ANSWERS.items()))}")


def send(client, method, path, **more):
    """Send one request, undo what it did, and return the answer."""
    client.raise_request_exception = True  # the exception itself says more than a page with 500
    kept = client.cookies.copy()
    with transaction.atomic():
        answer = client.generic(method, path, **more)
        transaction.set_rollback(True)
    client.cookies = kept
    ANSWERS[answer.status_code] += 1
    return answer


def complaint(answer, secrets=()):
    """Return what is wrong with an answer, "" when nothing is."""
    if answer.status_code >= 500 and answer.request["PATH_INFO"] != "/api/ready":  # which tells of a missing worker
        return f"answered {answer.status_code}"
    if answer.streaming:
        return ""
    text = answer.content.decode("utf-8", "replace")
    leak = LEAKS.search(text) or next((one for one in secrets if one and one in text), None)
    return f"leaks {leak}" if leak else ""


def secrets_of(*people):
    return [django_settings.SECRET_KEY, *(person.password for person in people)]


# The API


def sent(case, path):
    """Return the generated case as arguments of the test client."""
    given_ = case.as_transport_kwargs(base_url="http://testserver")
    headers = {name: value for name, value in given_["headers"].items() if name.lower() not in OWN_HEADERS}
    kind = headers.pop("Content-Type", "application/json")
    data = json.dumps(given_["json"]) if "json" in given_ else given_.get("data", b"")
    if isinstance(data, dict):
        data = json.dumps(data, default=str)
    query = {name: value for name, value in (given_.get("params") or {}).items() if value is not None}
    return {"path": path, "data": data or b"", "content_type": kind, "query_params": query, "headers": plain(headers)}


def plain(headers):
    """Leave out headers that no server would let through: names and values outside of printable ASCII."""
    return {
        name: str(value)
        for name, value in headers.items()
        if re.fullmatch(r"[A-Za-z0-9-]+", name) and re.fullmatch(r"[\x20-\x7e]*", str(value))
    }


def hammer(operation, mode, check):
    """Call ``check`` with generated cases of an operation; one that takes nothing has no malformed ones."""

    @FUZZ
    @given(case=operation.as_strategy(generation_mode=mode))
    def every(case):
        check(case)

    with contextlib.suppress(Unsatisfiable):
        every()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["formed", "malformed"])
def test_no_request_breaks_an_operation_or_makes_it_talk(name, mode, alice, root):
    """As the owner of what the address names, and as an administrator who finds nothing there."""
    operation = OPERATIONS[name]
    clients = [(logged_in(alice), Things(alice).fill(operation.path)), (logged_in(root), "")]
    secrets = secrets_of(alice, root)

    def check(case):
        for client, address in clients:
            request = sent(case, address or case.formatted_path)
            assert complaint(send(client, operation.method.upper(), **request), secrets) == "", request

    hammer(operation, mode, check)


@pytest.mark.parametrize("name", [name for name, one in OPERATIONS.items() if one.path in OWNED])
def test_a_stranger_learns_nothing_of_what_is_anothers(name, alice, bob):
    operation, client = OPERATIONS[name], logged_in(bob)
    address = Things(alice).fill(operation.path)

    def check(case):
        answer = send(client, operation.method.upper(), **sent(case, address))
        assert complaint(answer, ["alices-own"]) == ""
        assert answer.status_code not in {200, 201, 202, 204}

    hammer(operation, GenerationMode.POSITIVE, check)


# Forms


@dataclass
class Forms(HTMLParser):
    """The forms of a page: where they go and what they ask for."""

    found: list[tuple[str, list[str]]] = field(default_factory=list)
    inside: bool = False

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        given_ = dict(attrs)
        if tag == "form":
            self.inside = (given_.get("method") or "get").lower() == "post"
            if self.inside:
                self.found.append((given_.get("action") or "", []))
        elif self.inside and tag in {"input", "select", "textarea", "button"} and given_.get("name"):
            self.found[-1][1].append(given_["name"])

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "form"


VALUES = st.one_of(
    st.text(max_size=40), st.just(""), st.just("\x00"), st.just("9" * 40), st.just("-1"), st.just("NaN"), st.just("1e309"),
    st.just("2026-02-30"), st.just("<script>alert(1)</script>"), st.just("' OR 1=1 --"), st.just("\ud7ff￿"), st.just("é" * 5000),
)  # fmt: skip


def fill_in(client, target, names, secrets):
    @FUZZ
    @given(values=st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES)))
    def every(values):
        data, kind = encode_multipart(BOUNDARY, values), MULTIPART_CONTENT
        assert complaint(send(client, "POST", target, data=data, content_type=kind), secrets) == "", (target, values)

    every()


@pytest.mark.parametrize("path", PAGES)
def test_no_value_in_a_form_breaks_its_page(path, alice, root):
    address = Things(alice).fill(path)
    for person in (alice, root):
        client = logged_in(person)
        page = send(client, "GET", address)
        assert complaint(page) == ""
        if page.status_code != 200 or "text/html" not in page["Content-Type"]:
            continue
        forms = Forms()
        forms.feed(page.content.decode())
        for action, names in forms.found:
            target = urljoin(f"http://testserver{address}", action).removeprefix("http://testserver")
            if path != "/" and target in SHELL:
                continue
            fill_in(client, target, names, secrets_of(alice, root))
