"""A real browser on a real server: daphne on a migrated SQLite in a folder of its own.

``page`` is logged in as alice (an administrator) and fails its test at the end if the browser
reported an error, blocked something by policy or got an answer of 400 or above that the test
did not expect (``page.expected.add(404)``).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PASSWORD = "correct horse 7"
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
            item.add_marker(pytest.mark.xdist_group("browser"))


def chromium() -> str:
    """Return the browser, or skip with what to install."""
    found = shutil.which(CHROMIUM) or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium here: apt-get install chromium, or set CHROMIUM to its path")
    return found


@dataclass
class Server:
    """A running installation: its address, its folder, and ``manage`` to work in it."""

    url: str
    var: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the web process and wait until it answers."""
        log = self.var / "daphne.log"
        call = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", self.environment["PORT"]]
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [*call, "quant_platform.asgi:application"], cwd=ROOT, env=self.environment, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        wait_until_up(self.url, self.process, log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, how)
            self.process.wait(10)
            self.process = None

    def restart(self) -> None:
        """Kill the web process as it stands and start another in its place."""
        self.stop(signal.SIGKILL)
        self.start()

    def manage(self, *arguments: str, code: str = "") -> str:
        """Run a command, or ``code`` in the shell, and return what it printed."""
        call = [sys.executable, "manage.py", *(arguments or ("shell", "-v0"))]
        done = subprocess.run(
            call, input=code, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/accounts/login/", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program with alice (administrator), bob (ordinary) and nothing else."""
    chromium()
    var = tmp_path_factory.mktemp("browser-var")
    port = free_port()
    environment = {
        **os.environ, "VAR_DIR": str(var), "PORT": str(port), "QP_ENV": "development", "DATABASE_URL": "",
        "REDIS_URL": "", "DJANGO_SETTINGS_MODULE": "quant_platform.settings", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    made = Server(f"http://127.0.0.1:{port}", var, environment)
    made.manage("migrate", "--verbosity", "0")
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
        page.set_default_timeout(15_000)
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
