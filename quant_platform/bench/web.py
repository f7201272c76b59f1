"""The web processes of a ``manage.py serve`` that is measured."""

from __future__ import annotations

import socket
import subprocess

import httpx
import psutil

from quant_platform import smoke


def web_processes(server: subprocess.Popen[bytes], port: int, seconds: float = 120.0) -> list[psutil.Process]:
    """Return the processes that answer among those of the supervisor, once every one of them says that it lives."""

    def all_alive() -> list[psutil.Process]:
        if server.poll() is not None:
            raise smoke.SmokeFailed(f"serve ended with {server.returncode}")
        alive = _alive(port)  # It waits until one answers; by then all are there to be seen.
        found = [one for one in psutil.Process(server.pid).children(recursive=True) if _is_web(one)]
        return found if alive and alive == len(found) else []

    alive: list[psutil.Process] = smoke.wait_for(all_alive, "the web processes being up", seconds)
    return alive


def _is_web(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return "quant_platform.asgi:application" in words and "daphne" in " ".join(words[:6])


def _alive(port: int) -> int:
    """Return how many web processes beat, as this machine may ask."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    except httpx.HTTPError:
        return 0
    rows = (line.split() for line in text.splitlines() if line.startswith("quant_web_processes "))
    return int(float(next(rows, ["", "0"])[1]))


def port_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cpu_used(web: list[psutil.Process]) -> float:
    """Return the CPU seconds that the web processes have used together."""
    return sum(sum(process.cpu_times()[:2]) for process in web)
