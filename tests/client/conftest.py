"""A real server with real people and bars, and a relay in front of it that can be told to misbehave."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from quant_platform.client import Client, Retry
from tests.installation import ROOT, Server, installation

SYMBOLS = [f"S{n:03d}" for n in range(70)]
SETUP = """
import json, sys
from django.core.management import call_command
from apps.accounts.models import User
from apps.accounts.tokens import token_create
names = ("alice", "bob")
people = {name: User.objects.create_user(name, f"{name}@example.com", "correct horse 7", language="en") for name in names}
for kind in ("bars", "more"):
    call_command("import_bars", f"FOLDER/{kind}.csv", dataset=kind, calendar="XNYS", verbosity=0)
print(json.dumps({name: token_create(user, "client")[1] for name, user in people.items()}))
"""


def bars_csv(symbols, days=("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08")) -> str:
    rows = ["symbol,date,open,high,low,close,volume"]
    for number, symbol in enumerate(symbols):
        for at, day in enumerate(days):
            price = 10.0 + number + at / 4
            rows.append(f"{symbol},{day},{price},{price + 1},{price - 1},{price + 0.5},{1000 + at}")
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """The program with alice, bob and two datasets that everybody sees: bars (70 symbols) and more (3)."""
    made = installation(tmp_path_factory.mktemp("client-var"), QP_API_RATE="0")
    (made.var / "bars.csv").write_text(bars_csv(SYMBOLS), encoding="utf-8")
    (made.var / "more.csv").write_text(bars_csv(["M1", "M2", "M3"]), encoding="utf-8")
    made.tokens = json.loads(made.manage(code=SETUP.replace("FOLDER", str(made.var))).splitlines()[-1])
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Shell:
    """Runs code in the server's installation, in one process that stays."""

    def __init__(self, server: Server) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.client.shell"], cwd=ROOT, env=server.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, code: str) -> str:
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["out"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(20)


@pytest.fixture(scope="session")
def shell(server) -> Iterator[Shell]:
    made = Shell(server)
    yield made
    made.close()


@pytest.fixture
def token(server) -> str:
    return server.tokens["alice"]


@pytest.fixture
def client(server, token) -> Iterator[Client]:
    with Client(server.url, token, retry=Retry(base=0.0)) as opened:
        yield opened


class Relay:
    """Passes requests on to the server; ``script`` says what to do with the next ones instead.

    ``seen`` are the requests as (method, path, headers, body).
    """

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.script: list[object] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.released = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"relay": self}))
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def asked(self, path: str) -> int:
        return sum(seen.partition("?")[0] == path for _, seen, _, _ in self.seen)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    relay: Relay

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.relay.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        step = self.relay.script.pop(0) if self.relay.script else "pass"
        if self.path.startswith("/ws/"):  # as a proxy does that knows no sockets
            step = (404, {"Content-Type": "text/html"}, b"<html>not here")
        if callable(step):
            step(self)
        elif step == "hang":
            self.close_connection = True
            self.relay.released.wait(30)
        elif step == "hang up":
            self.close_connection = True
        elif isinstance(step, tuple):
            self.reply(*step)
        else:
            status, headers, content = self.forwarded(body)
            if step == "flip":
                content = content[: len(content) // 2] + b"\0\0\0\0" + content[len(content) // 2 + 4 :]
            if step == "cut":
                self.close_connection = True
                headers["Content-Length"] = str(len(content))
                content = content[: len(content) // 2]
            self.reply(status, headers, content)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        behind = http.client.HTTPConnection(self.relay.target.hostname, self.relay.target.port, timeout=20)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        behind.request(self.command, self.path, body, {**headers, "Host": self.relay.target.netloc})
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        return answer.status, dict(answer.getheaders()), content

    def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            if name.lower() not in ("transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def relay(server) -> Iterator[Relay]:
    made = Relay(server.url)
    yield made
    made.stop()
