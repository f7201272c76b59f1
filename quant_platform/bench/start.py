"""Start: from the click on Train to the first point anybody can read, on an installation of its own.

*Cold* is the first training ever, in a fresh interpreter (the warm process switched off), as on
systems that cannot fork; *warm* is one forked by the warm process. Both are wall-clock time.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from quant_platform import smoke
from quant_platform.bench import Row
from quant_platform.bench.databases import kind_of, server_of
from quant_platform.bench.peers import BASE, say
from quant_platform.scratch import scratch_database

COLD_GOAL_S, WARM_GOAL_S, ROUNDS = 2.0, 1.0, 5
SETTLE_SECONDS = 120.0


def rows(database: str = "") -> Sequence[Row]:
    """Measure on the database in use, or on the one asked for."""
    server = server_of(database)
    kind = kind_of(server)
    found = []
    for word, goal, rounds in (("cold", COLD_GOAL_S, 1), ("warm", WARM_GOAL_S, ROUNDS)):
        taken = [seconds for _ in range(1 if word == "warm" else 3) for seconds in _once(server, word, rounds)]
        note = f"{len(taken)} starts, slowest {max(taken):.2f} s"
        work = f"{word} start: click to first point, {kind}"
        found.append(Row(work, round(median(taken), 3), goal, "s", clock="wall", note=note))
    return found


def _once(server: str, word: str, rounds: int) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="quant-start-") as folder, scratch_database(server, "bench") as database:
        env = smoke.environment(Path(folder), database) | {"QP_WARM_START": str(int(word == "warm"))}
        return [seconds for client in _site(env) for seconds in _measure(client, word, rounds)]


def _site(env: dict[str, str]) -> Iterator[smoke.Client]:
    """Serve an installation with the demo's data and nothing running; yield a client that is logged in."""
    with _served(env) as client:
        yield client


@contextmanager
def _served(env: dict[str, str]) -> Iterator[smoke.Client]:
    port = smoke.free_port()
    manage = [sys.executable, str(BASE / "manage.py")]
    # As set up: without this each process compiles what it imports where the environment forbids to keep it.
    subprocess.run([sys.executable, "-m", "compileall", "-q", "apps", "quant_platform"], cwd=BASE, check=True)
    order = [*manage, "demo", "--no-training", "--port", str(port)]
    made = subprocess.run(order, env=env, capture_output=True, text=True, check=True)  # noqa: S603
    server = subprocess.Popen(  # noqa: S603
        [*manage, "serve", "--port", str(port)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        client = smoke.Client(port)
        smoke.wait_for(client.alive, "the site answering")
        login = re.search(r"Log in (\S+) / (\S+)", made.stdout)
        if login is None:
            raise smoke.SmokeFailed("demo printed no log-in")
        client.log_in(login.group(1), login.group(2))
        yield client
    finally:
        smoke.stop(server)


def _measure(client: smoke.Client, word: str, rounds: int) -> list[float]:
    """Return the seconds from the request that starts a training to its first point in the API."""
    strategy = client.api("GET", "/api/strategies/?type=algorithmic_trading")["items"][0]["id"]
    smoke.wait_for(lambda: client.api("GET", "/api/ready"), "the workers being ready")
    time.sleep(6.0 if word == "warm" else 3.0)  # Nobody clicks while the program itself still starts.
    taken = []
    for _ in range(rounds):
        start = time.monotonic()
        session = client.api("POST", f"/api/strategies/{strategy}/train", json={})["id"]
        while not client.api("GET", f"/api/sessions/{session}/metrics?limit=1")["total"]:
            if time.monotonic() - start > SETTLE_SECONDS:
                raise smoke.SmokeFailed("no point came")
            time.sleep(0.02)
        taken.append(time.monotonic() - start)
        say(f"start: {word} {taken[-1]:.2f} s")
        client.api("POST", f"/api/sessions/{session}/cancel")
        smoke.wait_for(lambda s=session: smoke.status(client, s) in {"cancelled", "completed"}, "the end of it", 60)
    return taken
