"""Several web processes on one port: how they are started, and what one leaves when it is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil
import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from quant_platform import handler
from quant_platform.handler import Threads
from quant_platform.management.commands import demo, serve
from quant_platform.settings.env import SettingError
from quant_platform.settings.storage import pool_size, web_processes
from quant_platform.supervisor.supervisor import services
from quant_platform.supervisor.web import Web, can_share, listen
from tests.installation import ROOT, installation

posix = pytest.mark.skipif(not can_share(), reason="no descriptors are inherited here")


def test_the_number_follows_the_cores_unless_it_is_declared(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    assert (web_processes(0), web_processes(7)) == (4, 7)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert web_processes(0) == 1
    with pytest.raises(SettingError, match="QP_WEB_PROCESSES"):
        web_processes(-1)


def test_all_together_keep_no_more_connections_than_the_server_has():
    assert [pool_size(count) for count in (1, 2, 4, 16)] == [20, 20, 10, 5]


@posix
def test_each_process_has_a_place_and_the_same_socket(tmp_path):
    with listen("127.0.0.1", 0) as listener:
        web = Web("127.0.0.1", 0, 2, listener, tmp_path)
        found = services(ROOT, drain_file=tmp_path / "drain", web=web)
    assert [one.name for one in found] == ["web 1", "web 2"]
    assert [one.environment["QP_WEB_SLOT"] for one in found] == ["1", "2"]
    assert {one.environment["PROMETHEUS_MULTIPROC_DIR"] for one in found} == {str(tmp_path)}
    assert "systemd:domain=INET:index=0" in found[0].command


@posix
def test_one_process_counts_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with listen("127.0.0.1", 0) as listener:
        (one,) = services(ROOT, drain_file=tmp_path / "drain", web=Web("127.0.0.1", 0, 1, listener, tmp_path))
    assert one.name == "web"
    assert "PROMETHEUS_MULTIPROC_DIR" not in one.environment


def test_where_nothing_is_inherited_one_process_opens_the_port(tmp_path, monkeypatch, settings):
    monkeypatch.setattr(serve, "can_share", lambda: False)
    settings.WEB_PROCESSES = 4
    said = []
    command = serve.Command(stderr=SimpleNamespace(write=said.append, isatty=lambda: False))
    web = command._web("127.0.0.1", 8123, None)
    assert (web.count, web.listener) == (1, None)
    assert "one web process" in said[0]
    (one,) = services(ROOT, drain_file=tmp_path / "drain", web=web)
    assert one.command[-6:-1] == ["127.0.0.1", "-p", "8123", "--application-close-timeout", "3"]


@posix
def test_a_port_that_is_taken_is_said_at_once():
    with listen("127.0.0.1", 0) as taken, pytest.raises(CommandError, match="cannot be opened"):
        call_command("serve", "--web", "--port", str(taken.getsockname()[1]))


@posix
def test_a_try_out_on_a_taken_port_is_refused_before_anything_is_prepared(monkeypatch):
    monkeypatch.setattr(demo, "prepare", lambda **given: pytest.fail("prepared although the port is taken"))
    with listen("127.0.0.1", 0) as taken, pytest.raises(CommandError, match=r"make demo PORT=\d+"):
        call_command("demo", "--serve", "--port", str(taken.getsockname()[1]))


@posix
@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_address_of_the_new_kind_is_listened_to():
    try:
        listener = listen("[::1]", 0)
    except OSError:
        pytest.skip("this machine has no ::1")
    with listener:
        assert "systemd:domain=INET6:index=0" in Web("::1", 0, 1, listener).command()


async def test_a_thread_is_lent_again_and_no_more_wait_than_are_kept():
    threads, seen = Threads(kept=1), []

    async def ask(inner=None):
        async with threads.lent():
            if inner is not None:
                await inner
            seen.append(await sync_to_async(lambda: __import__("threading").get_ident())())

    await ask()
    await ask()
    assert seen[0] == seen[1], "the next request has the thread of the one before"
    await asyncio.gather(ask(asyncio.sleep(0.01)), ask(asyncio.sleep(0.01)))
    assert seen[2] != seen[3], "two at once have one each"
    assert len(threads._idle) == 1


def test_the_chain_of_middleware_is_one_visit_to_a_thread():
    assert not asyncio.iscoroutinefunction(handler.RequestHandler()._middleware_chain)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """An installation with two web processes, an administrator's token and one of a person."""
    var = tmp_path_factory.mktemp("web") / "var"
    made = installation(var, QP_WEB_PROCESSES="2", QP_SOCKETS_PER_USER="2", METRICS_TOKEN="", LOG_LEVEL="WARNING")
    code = """
import json, secrets
from apps.accounts.api_auth import token_digest
from apps.accounts.models import ApiToken, User
found = {}
for name, role in (("root", "administrator"), ("alice", "researcher")):
    user, token = User.objects.create(username=name, email=f"{name}@example.com", role=role), secrets.token_urlsafe(24)
    ApiToken.objects.create(user=user, name="test", prefix=token[:8], token_hash=token_digest(token))
    found[name] = token
print(json.dumps(found))
"""
    tokens = json.loads(made.manage(code=code).splitlines()[-1])
    log = (var / "serve.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "serve", "--web"], env=made.environment, cwd=ROOT, stdout=log,
        stderr=log,
    )  # fmt: skip
    found = SimpleNamespace(url=made.url, tokens=tokens, process=process, log=var / "serve.log")
    wait_for(lambda: len(answering(found)) == 2, found)
    yield found
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    log.close()
    assert "Traceback" not in found.log.read_text()


def web_pids(site) -> list[int]:
    return [one.pid for one in psutil.Process(site.process.pid).children() if "daphne" in " ".join(one.cmdline())]


def answering(site) -> set[int]:
    """Return the processes that say they live."""
    try:
        answer = httpx.get(f"{site.url}/metrics", timeout=30)
    except httpx.HTTPError:
        return set()
    count = float(next(line.split()[1] for line in answer.text.splitlines() if line.startswith("quant_web_processes ")))
    return set(web_pids(site)[: int(count)])


def wait_for(condition, site, seconds=90):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, Path(site.log).read_text()[-3000:]
        assert site.process.poll() is None, Path(site.log).read_text()[-3000:]
        time.sleep(0.1)
    return found


def bearer(site, name):
    return {"Authorization": f"Bearer {site.tokens[name]}"}


async def socket_of(site, name):
    """Open a live connection and wait until it is established, or say with which code it was closed."""
    ws = await connect(
        site.url.replace("http", "ws") + "/ws/live/", subprotocols=[Subprotocol("json")],
        additional_headers=bearer(site, name), open_timeout=30,
    )  # fmt: skip
    try:
        assert json.loads(await asyncio.wait_for(ws.recv(), 30))["type"] == "connection_established"
    except ConnectionClosed as closed:
        return closed.rcvd.code
    return ws


def listed(site):
    return httpx.get(f"{site.url}/api/connections", headers=bearer(site, "root"), timeout=30).json()


def holder(site, ws) -> int:
    """Return the process at the other end of a socket."""
    port = ws.local_address[1]
    for pid in web_pids(site):
        if any(one.raddr and one.raddr.port == port for one in psutil.Process(pid).net_connections("tcp")):
            return pid
    raise AssertionError("nobody holds this socket")


@posix
def test_what_is_counted_is_counted_over_all_processes(site):
    def counted():
        text = httpx.get(f"{site.url}/metrics", timeout=30).text
        lines = [line for line in text.splitlines() if line.startswith("django_http_responses_total_by_status_total{")]
        return sum(float(line.split()[-1]) for line in lines if 'status="200"' in line)

    before = counted()
    with ThreadPoolExecutor(8) as many:
        answers = list(many.map(lambda _n: httpx.get(f"{site.url}/api/health", timeout=60).status_code, range(24)))
    assert answers == [200] * 24
    assert counted() - before >= 24


@posix
async def test_one_process_is_killed_and_the_other_serves_on(site):
    """Seats are counted over both; those of the killed one are free at once, the place is taken again."""
    alice = [await socket_of(site, "alice") for _ in range(2)]
    assert await socket_of(site, "alice") == 4429
    others = [await socket_of(site, "root")]
    assert listed(site)["statistics"]["connections"] == 3
    victim = holder(site, alice[0])
    before = set(web_pids(site))
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(alice[0].recv(), 10)
    lost = sum(one.close_code is not None for one in (*alice, *others)) or 1
    assert httpx.get(f"{site.url}/api/health", timeout=30).status_code == 200, "the other one answers meanwhile"
    again = await socket_of(site, "alice")
    assert not isinstance(again, int), "the killed process holds no seat"
    assert listed(site)["statistics"]["connections"] <= 3 - lost + 1
    wait_for(lambda: len(web_pids(site)) == 2 and set(web_pids(site)) != before, site)
    wait_for(lambda: len(answering(site)) == 2, site)
    assert victim not in web_pids(site)
    for ws in (*alice, *others, again):
        await ws.close()


@posix
async def test_a_connection_is_closed_whichever_process_is_asked(site):
    ws = await socket_of(site, "alice")
    rows = wait_for(lambda: [row for row in listed(site)["items"] if row["user"] == "alice"], site)
    for row in rows:
        gone = httpx.delete(f"{site.url}/api/connections/{row['id']}", headers=bearer(site, "root"), timeout=30)
        assert gone.status_code == 204
    await asyncio.wait_for(ws.wait_closed(), 10)
    assert ws.close_code == 4410
