"""One run through the whole program as a person would: serve, log in, train, watch, backtest, stop."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from websockets.asyncio.client import connect
from websockets.typing import Origin, Subprotocol

DEADLINE_S = 240


class SmokeFailed(Exception):
    """A step did not do what it should; the message says which and what came back."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Any, what: str, seconds: float = 60.0) -> Any:
    """Return the first true value of ``condition()``, or fail naming ``what``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise SmokeFailed(f"{what} did not happen within {seconds:.0f} s")


class Client:
    """A browser without a screen: cookies, forms with their CSRF token, JSON."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.base, follow_redirects=True, timeout=20)

    def alive(self) -> bool:
        try:
            return self.http.get("/api/health").status_code == 200
        except httpx.HTTPError:
            return False

    def post(self, path: str, data: Mapping[str, Any]) -> httpx.Response:
        token = self.http.cookies.get("csrftoken") or ""
        return self.http.post(path, data={**data, "csrfmiddlewaretoken": token}, headers={"Referer": self.base + path})

    def api(self, method: str, path: str, **options: Any) -> Any:
        token = self.http.cookies.get("csrftoken") or ""
        answer = self.http.request(method, path, headers={"X-CSRFToken": token, "Referer": self.base}, **options)
        if answer.status_code >= 400:
            raise SmokeFailed(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    def log_in(self, username: str, password: str) -> None:
        self.http.get("/accounts/login/")
        answer = self.post("/accounts/login/", {"username": username, "password": password})
        if "sessionid" not in self.http.cookies:
            raise SmokeFailed(f"log-in failed with {answer.status_code}")


async def follow(port: int, cookies: httpx.Cookies, session_id: int, wanted: int) -> list[tuple[float, float]]:
    """Return (emitted, received) clock times of live points until ``wanted`` came or the run ended."""
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    uri = f"ws://127.0.0.1:{port}/ws/live/?session={session_id}&after=0"
    seen: list[tuple[float, float]] = []
    async with connect(
        uri,
        subprotocols=[Subprotocol("json")],
        origin=Origin(f"http://127.0.0.1:{port}"),
        additional_headers={"Cookie": header},
    ) as ws:
        async with asyncio.timeout(DEADLINE_S):
            async for text in ws:
                frame = json.loads(text)
                if frame["type"] == "session_metrics_update":
                    seen.append((float(frame.get("emitted", 0.0)), time.time()))
                if len(seen) >= wanted or frame["type"] in {"training_completed", "training_failed"}:
                    break
    return seen


def percentile95_ms(pairs: list[tuple[float, float]]) -> float | None:
    """Return the 95th percentile of the delay between writing and arrival, in ms."""
    delays = [max(0.0, received - emitted) * 1000 for emitted, received in pairs if emitted]
    # The frames that catch up with what happened before the socket opened tell nothing about pushing.
    live = delays[len(delays) // 4 :]
    return round(statistics.quantiles(live, n=20)[-1], 1) if len(live) >= 20 else None


def environment(var_dir: Path, database: str) -> dict[str, str]:
    """Return the environment of an installation in ``var_dir``, on ``database`` or SQLite."""
    return {**os.environ, "VAR_DIR": str(var_dir), "DATABASE_URL": database, "QP_ENV": "development"}


def run(var_dir: Path, database: str) -> dict[str, Any]:
    """Run the smoke in ``var_dir`` and return its document; raises ``SmokeFailed``."""
    port = free_port()
    env = environment(var_dir, database)
    manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
    with (var_dir / "smoke.log").open("wb") as log:
        prepared = subprocess.run(  # noqa: S603
            [*manage, "demo", "--port", str(port)], env=env, capture_output=True, text=True, check=False
        )
        if prepared.returncode:
            raise SmokeFailed(f"demo failed: {prepared.stderr[-800:]}")
        server = subprocess.Popen([*manage, "serve", "--port", str(port)], env=env, stdout=log, stderr=log)  # noqa: S603
        try:
            return walk(port, prepared.stdout)
        finally:
            stop(server)


def walk(port: int, printed: str) -> dict[str, Any]:
    """Log in, follow the training that runs, pause and resume it, backtest a rule."""
    started = time.monotonic()
    client = Client(port)
    wait_for(client.alive, "the site answering")
    login = re.search(r"Log in (\S+) / (\S+)", printed)
    if login is None:
        raise SmokeFailed("demo printed no log-in")
    client.log_in(login.group(1), login.group(2))
    training = client.api("GET", "/api/sessions/?kind=training")["items"][0]["id"]

    def points() -> int:
        return int(client.api("GET", f"/api/sessions/{training}/metrics?limit=1")["total"])

    wait_for(points, "the first point")
    start_s = round(time.monotonic() - started, 2)
    pairs = asyncio.run(follow(port, client.http.cookies, training, 60))
    if not pairs:
        raise SmokeFailed("the live socket sent no point")
    pause_and_resume(client, training)
    report = backtest(client)
    total = points()
    client.api("POST", f"/api/sessions/{training}/cancel")
    wait_for(lambda: status(client, training) in {"cancelled", "completed"}, "the cancelled training ending", 30)
    return {"ok": True, "start_s": start_s, "points": total, "push_p95_ms": percentile95_ms(pairs), "backtest": report}


def status(client: Client, session_id: int) -> str:
    return str(client.api("GET", f"/api/sessions/{session_id}/status")["status"])


def pause_and_resume(client: Client, session_id: int) -> None:
    if status(client, session_id) == "completed":
        return
    client.api("POST", f"/api/sessions/{session_id}/pause")
    wait_for(lambda: status(client, session_id) in {"paused", "completed"}, "the pause", 30)
    if status(client, session_id) == "paused":
        client.api("POST", f"/api/sessions/{session_id}/resume")
        wait_for(lambda: status(client, session_id) in {"running", "completed"}, "the resumed training running", 60)


def backtest(client: Client) -> dict[str, Any]:
    """Backtest the first rule of the demo and return its headline."""
    rule = client.api("GET", "/api/strategies/?type=rule")["items"][0]["id"]
    session_id = client.api(
        "POST", f"/api/strategies/{rule}/backtest", json={"start": "2005-01-03", "end": "2012-12-31"}
    )["id"]
    state = wait_for(
        lambda: (s := status(client, session_id)) in {"completed", "failed"} and s, "the backtest ending", 120
    )
    if state != "completed":
        raise SmokeFailed(f"the backtest ended {state}")
    page = client.http.get(f"/sessions/{session_id}/report/")
    if page.status_code != 200:
        raise SmokeFailed(f"the report page answered {page.status_code}")
    metrics = client.api("GET", f"/api/sessions/{session_id}/report")["metrics"]
    return {"session": session_id, **{name: metrics.get(name) for name in ("total_return", "sharpe", "max_drawdown")}}


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop the supervisor; kill it when it does not stop, and say so."""
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        raise SmokeFailed("serve did not stop within 30 s of SIGTERM") from None
