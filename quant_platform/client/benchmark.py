"""How long the way to a server is: a connection of its own, and one small answer over it."""

from __future__ import annotations

import time
from typing import Any

import httpx

from .calls import Call
from .endpoints import health
from .errors import ClientError
from .models import Benchmark
from .wire import Wire, unreachable


class _Clock:
    """Notes when the connection was opened (name, TCP, TLS) and when the answer was whole."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.connected: float | None = None

    def hear(self, name: str, info: Any) -> None:
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self.connected = time.perf_counter()

    async def hear_async(self, name: str, info: Any) -> None:
        self.hear(name, info)

    def figures(self, error: str | None) -> Benchmark:
        connection = None if self.connected is None else (self.connected - self.start) * 1e3
        whole = None if error or self.connected is None else (time.perf_counter() - self.connected) * 1e3
        return Benchmark(_rounded(connection), _rounded(whole), error is None, error)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def measure(wire: Wire, timeout: float) -> Benchmark:
    """Ask for ``/api/health`` over a new connection; a failure is a figure too, not an error."""
    call, clock = health(), _Clock()
    try:
        with httpx.Client(timeout=timeout) as http:
            response = http.request(**wire.request(call), extensions={"trace": clock.hear})
    except httpx.HTTPError as error:
        return clock.figures(str(unreachable(error, wire.base)))
    return clock.figures(_fault(call, wire, response))


async def measure_async(wire: Wire, timeout: float) -> Benchmark:
    """As ``measure``."""
    call, clock = health(), _Clock()
    try:
        async with httpx.AsyncClient(timeout=timeout) as http:
            response = await http.request(**wire.request(call), extensions={"trace": clock.hear_async})
    except httpx.HTTPError as error:
        return clock.figures(str(unreachable(error, wire.base)))
    return clock.figures(_fault(call, wire, response))


def _fault(call: Call[Any], wire: Wire, response: httpx.Response) -> str | None:
    """Return why the answer is none of this program's; None where it is."""
    try:
        response.headers.pop("content-encoding", None)  # httpx has unpacked it.
        call.read(wire.answer(call, response, response.content))
    except ClientError as error:
        return str(error)
    return None
