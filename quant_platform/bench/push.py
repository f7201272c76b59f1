"""Push: how long a point takes from the process that says it to a hundred browsers, and whether any is lost.

The web of ``manage.py serve`` with as many processes as it has here, four writer processes with
the sink of a training (50 points a second each, flushed every ``QP_EVENT_FLUSH_MS``), and a hundred
sockets that each follow all four. Latency counts from the moment a point is said, so the flush is
part of it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from quant_platform import smoke
from quant_platform.bench import Row
from quant_platform.bench.databases import installation, kind_of, server_of
from quant_platform.bench.peers import say
from quant_platform.bench.web import cpu_used, web_processes

BASE = Path(__file__).resolve().parents[2]
JOBS, POINTS_A_SECOND, SECONDS, WARM_UP = 4, 50, 8.0, 1.0
#: Sockets → the p95 they are promised.
GOALS_MS = {100: 100.0, 200: 300.0}
RATE_GOAL = 5000
Frames = list[tuple[float, str]]


@dataclass(frozen=True)
class Figures:
    """Latencies in ms over all deliveries; ``lost`` and ``repeated`` count deliveries."""

    p50: float
    p95: float
    p99: float
    delivered: int
    lost: int
    repeated: int
    cpu: float
    processes: int = 1


def rows(database: str = "") -> Sequence[Row]:
    """Measure 100 and 200 sockets on the database in use, or on the one asked for."""
    server = server_of(database)
    found: list[Row] = []
    for sockets, goal in GOALS_MS.items():
        with installation(server, "push") as env:
            figures = measure(env, sockets=sockets)
        found += _rows(figures, sockets, goal, kind_of(server))
    return found


def _rows(figures: Figures, sockets: int, goal: float, kind: str) -> list[Row]:
    work = f"{sockets} sockets × {JOBS} jobs × {POINTS_A_SECOND} points/s, {kind}"
    note = f"p50 {figures.p50:.0f}, p99 {figures.p99:.0f} ms; {figures.processes} web, {figures.cpu:.0%} of a core; "
    note += f"{figures.delivered} deliveries"
    rate = round(figures.delivered / (SECONDS - WARM_UP))
    return [
        Row(f"p95 of {work}", round(figures.p95, 1), goal, "ms", clock="wall", note=note),
        Row(f"points delivered a second, {work}", rate, RATE_GOAL, "points/s", more_is_better=True, clock="wall"),
        Row(f"points lost, {work}", figures.lost, 0, "points", clock="wall"),
        Row(f"points repeated, {work}", figures.repeated, 0, "points", clock="wall"),
    ]


def measure(env: dict[str, str], seconds: float = SECONDS, sockets: int = 100) -> Figures:
    """Run the whole scene once and return its figures."""
    part = [sys.executable, "-m", "quant_platform.bench.push_parts"]
    order = [*part, "prepare", str(JOBS), str(sockets)]
    made = subprocess.run(order, env=env, cwd=BASE, capture_output=True, text=True, check=True)  # noqa: S603
    scene = json.loads(made.stdout.splitlines()[-1])
    port = smoke.free_port()
    order = [sys.executable, str(BASE / "manage.py"), "serve", "--web", "--port", str(port)]
    server = subprocess.Popen(order, env=env, cwd=BASE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    writers: list[subprocess.Popen[bytes]] = []
    try:
        web = web_processes(server, port)
        orders = [str(seconds), str(POINTS_A_SECOND)]
        writers = [_writer([*part, "write", str(pk), *orders], env) for pk in scene["sessions"]]
        say(f"push: {sockets} sockets, {len(writers)} writers, {seconds:.0f} s")
        received, start, cpu = asyncio.run(_listen(port, scene, writers, seconds, web))
    finally:
        for process in (*writers, server):
            process.terminate()
            process.wait(20)
    return _figures(received, scene["sessions"], start, seconds, cpu, len(web))


def _writer(order: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(order, env=env, cwd=BASE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603


async def _listen(
    port: int, scene: dict[str, Any], writers: list[subprocess.Popen[bytes]], seconds: float, web: list[psutil.Process]
) -> tuple[list[Frames], float, float]:
    """Open the sockets, let the writers begin together, and return the frames, the start and the web's CPU share."""
    query = "&".join(f"session={pk}&after=0" for pk in scene["sessions"])
    address = f"ws://127.0.0.1:{port}/ws/live/?{query}&view=detail"
    opened = [await _open(address, token) for token in scene["tokens"]]
    received: list[Frames] = [[] for _ in opened]
    readers = [asyncio.create_task(_read(ws, frames)) for ws, frames in zip(opened, received, strict=True)]
    for writer in writers:
        await asyncio.to_thread(writer.stdout.readline)  # type: ignore[union-attr]  # It says that it is ready.
    start = time.time() + 1.0
    for writer in writers:
        _tell(writer, start)
    await asyncio.sleep(start - time.time())
    before, clock = cpu_used(web), time.time()
    await asyncio.sleep(seconds)
    cpu = (cpu_used(web) - before) / (time.time() - clock)
    await asyncio.sleep(2.0)
    for ws in opened:
        await ws.close()
    await asyncio.gather(*readers)
    return received, start, cpu


async def _open(address: str, token: str) -> ClientConnection:
    return await connect(
        address,
        subprotocols=[Subprotocol("html")],
        additional_headers={"Authorization": f"Bearer {token}"},
        compression=None,
        max_queue=None,
        ping_interval=None,
    )


def _tell(writer: subprocess.Popen[bytes], start: float) -> None:
    if writer.stdin is not None:
        writer.stdin.write(f"{start}\n".encode())
        writer.stdin.close()


async def _read(ws: ClientConnection, frames: Frames) -> None:
    """Only note what came and when; reading it waits until the clock has stopped."""
    try:
        while True:
            text = await ws.recv()
            frames.append((time.time(), str(text)))
    except ConnectionClosed:
        return


def _figures(
    received: list[Frames], sessions: list[int], start: float, seconds: float, cpu: float, processes: int = 1
) -> Figures:
    wanted = int(seconds * POINTS_A_SECOND)
    delays: list[float] = []
    lost = repeated = 0
    for frames in received:
        seen: dict[int, list[int]] = {pk: [] for pk in sessions}
        for at, text in frames:
            if text.startswith("<"):
                continue
            message = json.loads(text)
            for frame in message.get("frames", [message]):
                for point in frame.get("points", ()):
                    seen[frame["session"]].append(point["step"])
                    if point["at"] > start + WARM_UP:
                        delays.append((at - point["at"]) * 1000)
        for steps in seen.values():
            lost += wanted - len(set(steps))
            repeated += len(steps) - len(set(steps))
    cuts = statistics.quantiles(delays, n=100)
    return Figures(cuts[49], cuts[94], cuts[98], len(delays), lost, repeated, cpu, processes)
