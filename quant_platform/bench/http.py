"""HTTP: a hundred people at work on one installation, ten of whom start a training at the same moment.

A real ``manage.py serve`` (web, workers, warm process), a hundred logged-in people who each open a page or ask the
API, read for some seconds, and go on. Times count from the request to the last byte of the answer, as the person's
browser would see them; statements and weights are counted apart, in a quiet moment.
"""

from __future__ import annotations

import asyncio
import gzip
import html
import json
import random
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from quant_platform import smoke
from quant_platform.bench import Row
from quant_platform.bench.databases import installation, kind_of, server_of
from quant_platform.bench.peers import BASE, say
from quant_platform.bench.web import cpu_used, web_processes

PEOPLE, TRAININGS, SECONDS, WARM_UP = 100, 10, 45.0, 5.0
#: Seconds a person reads before the next request, evenly between the two.
THINKS = (2.0, 6.0)
PAGE_GOAL_MS, API_GOAL_MS = 150.0, 50.0
FIRST_PAGE_GOAL_KB, CANDLES_GOAL_KB = 150.0, 220.0
#: What people open, by how often; ``{}`` names what is theirs.
PAGES: Mapping[str, int] = {
    "/": 6, "/sessions/": 6, "/sessions/{training}/": 6, "/sessions/{backtest}/": 2, "/sessions/{backtest}/report/": 3,
    "/sessions/metric/": 2, "/sessions/compare/?s={training}&s={other}": 2, "/strategies/": 4,
    "/strategies/{strategy}/": 4, "/strategies/{strategy}/edit/": 2, "/data/": 3, "/data/{dataset}/": 3,
    "/monitoring/": 1, "/accounts/notices/": 1, "/search/?q=apple": 2,
}  # fmt: skip
ASKED: Mapping[str, int] = {
    "/api/sessions/": 4, "/api/sessions/{training}": 3, "/api/sessions/{training}/status": 6,
    "/api/sessions/{training}/metrics?resolution=200": 3, "/api/sessions/metric?name=loss&limit=100": 2,
    "/api/strategies/": 3, "/api/datasets": 2, "/api/notices": 2, "/api/health": 2,
    "/api/data/historical/AAPL?start=2012-01-01&end=2012-12-31": 2,
}  # fmt: skip
FIRST_PAGE, CANDLES_PAGE = "/", "/data/{dataset}/"


@dataclass
class Seen:
    """What came of the requests: ms by address, and those that failed."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: list[str] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    cpu: float = 0.0
    processes: int = 1

    def of(self, addresses: Mapping[str, int]) -> list[float]:
        return [value for address in addresses for value in self.times.get(address, ())]


def rows(database: str = "") -> Sequence[Row]:
    """Measure on the database in use, or on the one asked for."""
    server = server_of(database)
    with installation(server, "http") as env:
        scene = part(env, "prepare", str(PEOPLE))
        seen, lost, counted = _measure(env, scene)
    return [*heads(seen, lost, counted, kind_of(server)), *each(seen, counted)]


def part(env: dict[str, str], *order: str) -> Any:
    """Run a part of ``http_parts`` in the installation and return its document."""
    command = [sys.executable, "-m", "quant_platform.bench.http_parts", *order]
    made = subprocess.run(command, env=env, cwd=BASE, capture_output=True, text=True, check=False)  # noqa: S603
    if made.returncode:
        raise smoke.SmokeFailed(f"{order[0]} failed: {made.stderr[-2000:]}")
    return json.loads(made.stdout.splitlines()[-1])


def _measure(env: dict[str, str], scene: list[dict[str, Any]]) -> tuple[Seen, int, dict[str, Any]]:
    port = smoke.free_port()
    order = [sys.executable, str(BASE / "manage.py"), "serve", "--port", str(port)]
    server = subprocess.Popen(order, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    base = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=base, timeout=60, headers=_key(scene[0])) as first:
            smoke.wait_for(lambda: _ready(first), "the site being ready", 120)
            report = first.post(f"/api/strategies/{scene[0]['rule']}/backtest", json={}).json()["id"]
        # Asked as a browser asks, which may do so more often: the first person needs the key's minute later.
        with httpx.Client(base_url=base, timeout=60, cookies={"sessionid": scene[0]["cookie"]}) as waiting:
            smoke.wait_for(lambda: _state(waiting, report) == "completed", "a backtest with its report", 180)
        for person, backtest in zip(scene, part(env, "share", str(report)), strict=True):
            person["backtest"] = backtest
        counted = part(env, "count", json.dumps(scene[0]), json.dumps([*PAGES, *ASKED]))
        counted |= _weights(base, scene[0])
        say(f"http: {len(scene)} people for {SECONDS:.0f} s")
        seen = asyncio.run(_work(base, scene, web_processes(server, port)))
        lost = _lost(base, scene, seen)
    finally:
        smoke.stop(server)
    return seen, lost, counted


def _key(person: Mapping[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {person['token']}"}


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/api/ready").status_code == 200
    except httpx.HTTPError:
        return False


def _state(client: httpx.Client, session: int) -> str:
    return str(client.get(f"/api/sessions/{session}/status").json().get("status", ""))


async def _work(base: str, scene: list[dict[str, Any]], web: list[psutil.Process]) -> Seen:
    seen, limits = Seen(), httpx.Limits(max_connections=len(scene) + TRAININGS)
    async with httpx.AsyncClient(base_url=base, timeout=60, limits=limits) as client:
        start = time.monotonic() + 1.0
        before = cpu_used(web)
        people = [_person(client, person, number, start, seen) for number, person in enumerate(scene)]
        together = [_train(client, person, start + SECONDS / 3, seen) for person in scene[:TRAININGS]]
        await asyncio.gather(*people, *together)
        seen.processes = len(web)
        seen.cpu = (cpu_used(web) - before) / (time.monotonic() - start)
    return seen


async def _person(client: httpx.AsyncClient, person: dict[str, Any], number: int, start: float, seen: Seen) -> None:
    """Open pages and ask the API by turns that chance decides, until the time is over."""
    chance = random.Random(number)
    addresses, weights = [*PAGES, *ASKED], [*PAGES.values(), *ASKED.values()]
    await asyncio.sleep(max(0.0, start - time.monotonic()) + chance.uniform(0.0, THINKS[1]))
    while (now := time.monotonic()) < start + SECONDS:
        (address,) = chance.choices(addresses, weights)
        asked = address in ASKED
        headers = _key(person) if asked else {"Cookie": f"sessionid={person['cookie']}", "Accept-Encoding": "gzip"}
        taken = await _ask(client, "GET", address.format(**person), headers, seen)
        if taken is not None and now > start + WARM_UP:
            seen.times[address].append(taken)
        await asyncio.sleep(chance.uniform(*THINKS))


async def _ask(
    client: httpx.AsyncClient, method: str, address: str, headers: dict[str, str], seen: Seen, **more: Any
) -> float | None:
    """Return the ms of one answer; one that is none, or not 200 or 201, is noted as failed."""
    began = time.perf_counter()
    try:
        answer = await client.request(method, address, headers=headers, **more)
    except httpx.HTTPError as error:
        seen.failed.append(f"{method} {address}: {type(error).__name__}")
        return None
    taken = (time.perf_counter() - began) * 1000
    if answer.status_code not in {200, 201}:
        seen.failed.append(f"{method} {address}: {answer.status_code} {answer.text[:200]}")
        return None
    if method == "POST":
        seen.started.append(int(answer.json()["id"]))
    return taken


async def _train(client: httpx.AsyncClient, person: dict[str, Any], at: float, seen: Seen) -> None:
    await asyncio.sleep(at - time.monotonic())
    address = f"/api/strategies/{person['strategy']}/train"
    taken = await _ask(client, "POST", address, _key(person), seen, json={"overrides": {"episodes": 2}})
    if taken is not None:
        seen.times["POST train"].append(taken)


def _lost(base: str, scene: list[dict[str, Any]], seen: Seen) -> int:
    """Return how many of the trainings submitted together do not come to their end."""
    done = 0
    for person in scene[:TRAININGS]:
        with httpx.Client(base_url=base, timeout=60, headers=_key(person)) as client:
            mine = client.get("/api/sessions/?kind=training&page_size=1").json()["items"][0]["id"]
            if mine not in seen.started:
                continue
            smoke.wait_for(lambda c=client, m=mine: _state(c, m) in {"completed", "failed"}, "a training's end", 600)
            done += _state(client, mine) == "completed"
    return TRAININGS - done


def _weights(base: str, person: dict[str, Any]) -> dict[str, float]:
    """Return the KB of the first page and of the candles page with all they load, each file through gzip."""
    found = {}
    with httpx.Client(base_url=base, timeout=60, cookies={"sessionid": person["cookie"]}) as client:
        for word, address in (("first", FIRST_PAGE), ("candles", CANDLES_PAGE)):
            text = client.get(address.format(**person)).text
            files = sorted(set(re.findall(r'(?:src|href|data-[a-z-]+)="(/static/[^"]+)"', text)))
            files += [html.unescape(url) for url in re.findall(r'data-candles="([^"]+)"', text)]
            bodies = [text.encode(), *(client.get(name).content for name in files)]
            found[word] = sum(len(gzip.compress(body, 6)) for body in bodies) / 1024
    return found


def heads(seen: Seen, lost: int, counted: dict[str, Any], kind: str) -> list[Row]:
    """Return the rows of what is promised as a whole."""
    pages, asked = seen.of(PAGES), seen.of(ASKED)
    people = f"{PEOPLE} people, {kind}"
    note = (
        f"p50 {statistics.median(pages):.0f} ms of {len(pages)} answers; {seen.processes} web, {seen.cpu:.0%} of a core"
    )
    trainings = seen.times.get("POST train", [])
    return [
        Row(f"p95 of pages, {people}", _p95(pages), PAGE_GOAL_MS, "ms", clock="wall", note=note),
        Row(f"p95 of the API, {people}", _p95(asked), API_GOAL_MS, "ms", clock="wall",
            note=f"p50 {statistics.median(asked):.0f} ms of {len(asked)} answers"),
        Row(f"requests not answered, {people}", len(seen.failed), 0, "requests", note="; ".join(seen.failed[:3])),
        Row(f"trainings lost of {TRAININGS} started at the same moment, {kind}", lost, 0, "trainings",
            note=f"slowest answer {max(trainings, default=0):.0f} ms"),
        Row("weight of the first page with all it loads", round(counted["first"], 1), FIRST_PAGE_GOAL_KB, "KB gzip"),
        Row("weight of the candles page with all it loads", round(counted["candles"], 1), CANDLES_GOAL_KB, "KB gzip"),
    ]  # fmt: skip


def each(seen: Seen, counted: dict[str, Any]) -> list[Row]:
    """Return a row for each page and question, in the order of ``PAGES`` and ``ASKED``."""
    found = []
    for address in (*PAGES, *ASKED):
        times, goal = seen.times.get(address, []), API_GOAL_MS if address in ASKED else PAGE_GOAL_MS
        if times:
            facts = counted[address]
            note = f"p50 {statistics.median(times):.0f} ms of {len(times)}; {facts['statements']} SQL, "
            note += f"{facts['cpu_ms']:.0f} ms of CPU, {facts['kb']:.1f} KB gzip"
            found.append(Row(f"p95 of {address}", _p95(times), goal, "ms", clock="wall", note=note))
    return found


def _p95(values: Sequence[float]) -> float:
    return round(statistics.quantiles(values, n=20)[18] if len(values) > 1 else values[0], 1)
