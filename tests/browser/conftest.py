"""A real browser on a real server: daphne on a migrated SQLite in a folder of its own.

``page`` is logged in as alice (an administrator) and fails its test at the end if the browser
reported an error, blocked something by policy or got an answer of 400 or above that the test
did not expect (``page.expected.add(404)``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.installation import PASSWORD, ROOT, Server, installation

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
#: Collected before the page's own scripts run.
WATCH = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (e) => {
  __violations.push(`${e.violatedDirective} ${e.blockedURI}`);
});
"""


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.fspath).parents:
            item.add_marker(pytest.mark.browser)


def chromium() -> str:
    """Return the browser, or skip with what to install."""
    found = shutil.which(CHROMIUM) or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium here: apt-get install chromium, or set CHROMIUM to its path")
    return found


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program with alice (administrator), bob (ordinary) and nothing else."""
    chromium()
    made = installation(tmp_path_factory.mktemp("browser-var"))
    made.manage(
        code=f"""
from apps.accounts.models import User
User.objects.create_user("alice", "alice@example.com", "{PASSWORD}", role="administrator", language="en")
User.objects.create_user("bob", "bob@example.com", "{PASSWORD}", language="en")
"""
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def browser(server: Server):
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)  # a busy machine is late, not wrong
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()


@dataclass
class Watch:
    """What the browser complained about, and which statuses the test expects."""

    errors: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)

    def attach(self, page) -> None:
        page.add_init_script(WATCH)
        page.on("console", lambda message: message.type in {"error", "warning"} and self._console(message.text))
        page.on("pageerror", lambda error: self.errors.append(f"error: {error}"))
        page.on("response", lambda response: response.status >= 400 and self._response(response))

    def _console(self, text: str) -> None:
        if not any(f"status of {status} " in text for status in self.expected):
            self.errors.append(f"console: {text}")

    def _response(self, response) -> None:
        if response.status not in self.expected:
            self.errors.append(f"{response.status}: {response.url}")


@pytest.fixture(scope="session")
def signed_in(browser, server: Server) -> Callable:
    """Return the cookies of a person who logged in once for all tests."""
    kept: dict[str, dict] = {}

    def cookies(user: str) -> dict:
        if user not in kept:
            context = browser.new_context(base_url=server.url)
            log_in(context.new_page(), user)
            kept[user] = context.storage_state()
            context.close()
        return kept[user]

    return cookies


@pytest.fixture
def make_page(browser, server: Server, signed_in) -> Iterator[Callable]:
    """Open a page in a context of its own: ``make_page(user="bob", phone=True, scheme="dark", scripts=False)``.

    ``user`` is logged in already; ``None`` opens the browser of a stranger.
    """
    opened = []

    def make(user="alice", *, phone=False, scheme="light", locale="en-GB", scripts=True):
        size = {"width": 390, "height": 844} if phone else {"width": 1440, "height": 900}
        context = browser.new_context(
            viewport=size, color_scheme=scheme, locale=locale, java_script_enabled=scripts, base_url=server.url,
            storage_state=signed_in(user) if user else None,
        )  # fmt: skip
        page = context.new_page()
        page.set_default_timeout(30_000)  # a busy machine is late, not wrong
        watch = Watch()
        watch.attach(page)
        page.watch, page.expected = watch, watch.expected
        opened.append((context, page, scripts))
        return page

    yield make
    complaints: list[str] = []
    for context, page, scripts in opened:
        violations = page.evaluate("window.__violations || []") if scripts and not page.is_closed() else []
        complaints += page.watch.errors + [f"policy: {one}" for one in violations]
        context.close()
    assert complaints == []


def log_in(page, user: str) -> None:
    page.goto("/accounts/login/")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", PASSWORD)
    page.locator("form:has(input[name=password]) button").last.click()
    page.wait_for_url("**/")


@pytest.fixture
def page(make_page):
    return make_page()


@pytest.fixture(scope="session")
def axe() -> Callable:
    """Return a function that gives axe-core's violations of a page: WCAG 2.2 A and AA, and best practice."""
    path = ROOT / "node_modules" / "axe-core" / "axe.min.js"
    if not path.is_file():
        pytest.skip("axe-core is absent: npm ci")
    source = path.read_text(encoding="utf-8")

    def run(page) -> list[str]:
        # axe adds style sheets of its own: what the policy says of them is not the page's fault.
        seen = page.evaluate("window.__violations.slice()")
        found = page.evaluate(
            source + "; axe.run().then(r => r.violations.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' | ')}`))"
        )
        page.evaluate("seen => { window.__violations = seen }", seen)
        return found

    return run


def overflow(page) -> int:
    """Return by how many px the page scrolls sideways."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
