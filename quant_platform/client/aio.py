"""The client for asyncio: the same calls, awaited. It belongs to the event loop that uses it first."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import httpx

from . import login
from .benchmark import measure_async
from .cache import DiskCache, Kept
from .calls import Answer, Call
from .errors import ClientError, NotCached, TooSlow, Unavailable, Unreachable
from .models import Benchmark
from .retry import Retry
from .rooms import AsyncData, AsyncMarketRoom, AsyncSessions, AsyncStrategies, AsyncSystem
from .secret import Secret
from .wire import LIMITS, PER_HOST, TIMEOUT, Wire, from_environment, log, make_wire, unreachable

T = TypeVar("T")


class AsyncPool:
    """Connections shared by clients: 100 in all, 25 per host, kept for 60 s. ``timeout`` in seconds for each step."""

    def __init__(self, timeout: float = TIMEOUT, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.timeout = timeout
        self.http = httpx.AsyncClient(limits=LIMITS, timeout=timeout, transport=transport)
        self._hosts: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(PER_HOST))

    @asynccontextmanager
    async def place(self, host: str) -> AsyncIterator[None]:
        """Hold one of the host's places; raises ``TooSlow`` where none gets free in time."""
        places = self._hosts[host]
        try:
            await asyncio.wait_for(places.acquire(), self.timeout)
        except TimeoutError as error:
            raise TooSlow(f"no connection to {host} got free within {self.timeout:g} s") from error
        try:
            yield
        finally:
            places.release()

    async def close(self) -> None:
        await self.http.aclose()


class AsyncClient:
    """One site, as one person::

        async with AsyncClient("https://quant.example", token=os.environ["QUANT_PLATFORM_TOKEN"]) as client:
            print((await client.system.ready()).status)

    Arguments as of ``Client``.
    """

    def __init__(
        self,
        url: str,
        token: str | Secret | None = None,
        *,
        timeout: float = TIMEOUT,
        retry: Retry | None = None,
        cache: DiskCache | None = None,
        offline: bool = False,
        language: str = "",
        pool: AsyncPool | None = None,
    ) -> None:
        self._wire: Wire = make_wire(url, token, retry=retry, cache=cache, offline=offline, language=language)
        self._own_pool = pool is None
        self._pool = pool or AsyncPool(timeout)
        self._renewing = asyncio.Lock()
        self._sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self.system, self.market = AsyncSystem(self), AsyncMarketRoom(self)
        self.strategies, self.sessions, self.data = AsyncStrategies(self), AsyncSessions(self), AsyncData(self)

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """Return the client of ``QUANT_PLATFORM_URL`` and ``QUANT_PLATFORM_TOKEN``."""
        url, token = from_environment()
        return cls(url, token, **options)

    @classmethod
    async def log_in(
        cls, url: str, username: str, password: str, code: str = "", scopes: Sequence[str] = ("*",), **options: Any
    ) -> Self:
        """Return a client with a JWT, which renews itself; ``code`` is that of the second factor. Keeps no password."""
        client = cls(url, **options)
        client._wire.keys = await client.run(login.token(username, password, code, scopes))
        return client

    async def log_out(self) -> None:
        """End the JWT and its kin on the server; an API token is only forgotten."""
        keys, self._wire.keys = self._wire.keys, None
        if keys is not None and keys.refresh is not None:
            await self.run(login.revoke(keys))

    async def run(self, call: Call[T]) -> T:
        """Send a call of ``endpoints`` and return what it reads."""
        return call.read(await self._answer(call))

    async def run_all(self, calls: Iterable[Call[T]]) -> list[T]:
        """Send calls in parallel and return their answers in order; the first error ends the others."""
        tasks: list[asyncio.Task[T]] = []
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.run(call)) for call in calls]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _answer(self, call: Call[Any]) -> Answer:
        wire = self._wire
        kept = await asyncio.to_thread(wire.kept, call) if wire.cache is not None else None
        if kept is not None and (wire.offline or kept.is_fresh):
            return kept.answer
        if wire.offline:
            raise NotCached(f"working offline, and {call.path} is not on the disk")
        try:
            answer = await self._tried(call, kept)
            return await asyncio.to_thread(wire.keep, call, kept, answer) if wire.cache is not None else answer
        except (Unreachable, Unavailable) as error:
            if kept is None:
                raise
            log.warning("%s; what was kept at %s is used", error, kept.entry.kept_at)
            return kept.answer

    async def _tried(self, call: Call[Any], kept: Kept | None) -> Answer:
        told: set[str] = set()
        attempt = 0
        if self._wire.keys is not None and self._wire.keys.is_old and not call.public:
            await self._renew()
        while True:
            held = self._wire.keys
            try:
                return await self._once(call, kept)
            except ClientError as error:
                if self._wire.adjusted(error, told):
                    continue
                if self._wire.may_renew(call, error, told):
                    if self._wire.keys is held:
                        await self._renew()
                    continue
                pause = self._wire.retry.wait(attempt, error) if call.may_repeat else None
                if pause is None:
                    raise
                log.info("%s %s: %s; again in %.1f s", call.method, call.path, error, pause)
            await self._sleep(pause)
            attempt += 1

    async def _once(self, call: Call[Any], kept: Kept | None) -> Answer:
        http, start = self._pool.http, time.perf_counter()
        request = http.build_request(**self._wire.request(call, kept))
        try:
            async with self._pool.place(request.url.netloc.decode("ascii")):
                response = await http.send(request, stream=True)
                try:
                    raw = b"".join([part async for part in response.aiter_raw()])
                finally:
                    await response.aclose()
        except httpx.HTTPError as error:
            raise unreachable(error, self._wire.base) from error
        log.debug(
            "%s %s: %d, %.0f ms", call.method, call.path, response.status_code, (time.perf_counter() - start) * 1e3
        )
        return self._wire.answer(call, response, raw)

    async def _renew(self) -> None:
        """Exchange the refresh token, which is good for one use: one task does it for all."""
        held = self._wire.keys
        async with self._renewing:
            if held is not None and held.refresh is not None and self._wire.keys is held:
                self._wire.keys = login.read_keys(await self._once(login.refresh(held), None))

    async def benchmark(self) -> Benchmark:
        """Return how long a new connection and one small answer over it take; a failure is told, not raised."""
        return await measure_async(self._wire, self._pool.timeout)

    async def close(self) -> None:
        if self._own_pool:
            await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._wire.base)!r})"
