"""The client for ordinary programs: every call waits for its answer. Safe to share between threads."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import httpx

from . import login
from .benchmark import measure
from .cache import DiskCache, Kept
from .calls import Answer, Call
from .errors import ClientError, NotCached, TooSlow, Unavailable, Unreachable
from .models import Benchmark
from .retry import Retry
from .rooms import Data, MarketRoom, Sessions, Strategies, System
from .secret import Secret
from .wire import LIMITS, PER_HOST, TIMEOUT, Wire, from_environment, log, make_wire, unreachable

T = TypeVar("T")


class Pool:
    """Connections shared by clients: 100 in all, 25 per host, kept for 60 s. ``timeout`` in seconds for each step."""

    def __init__(self, timeout: float = TIMEOUT, *, transport: httpx.BaseTransport | None = None) -> None:
        self.timeout = timeout
        self.http = httpx.Client(limits=LIMITS, timeout=timeout, transport=transport)
        self._hosts: dict[str, threading.BoundedSemaphore] = defaultdict(lambda: threading.BoundedSemaphore(PER_HOST))
        self._lock = threading.Lock()

    @contextmanager
    def place(self, host: str) -> Iterator[None]:
        """Hold one of the host's places; raises ``TooSlow`` where none gets free in time."""
        with self._lock:
            places = self._hosts[host]
        if not places.acquire(timeout=self.timeout):
            raise TooSlow(f"no connection to {host} got free within {self.timeout:g} s")
        try:
            yield
        finally:
            places.release()

    def close(self) -> None:
        self.http.close()


class Client:
    """One site, as one person::

        with Client("https://quant.example", token=os.environ["QUANT_PLATFORM_TOKEN"]) as client:
            print(client.system.ready().status)

    ``cache`` keeps bars and features on the disk, ``offline`` reads them from there alone; ``language``
    (``en``, ``zh-hans``) is that of error sentences. Raises ``ValueError`` for an address that is none.
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
        pool: Pool | None = None,
    ) -> None:
        self._wire: Wire = make_wire(url, token, retry=retry, cache=cache, offline=offline, language=language)
        self._own_pool = pool is None
        self._pool = pool or Pool(timeout)
        self._renewing = threading.Lock()
        self._sleep: Callable[[float], None] = time.sleep
        self.system, self.market = System(self), MarketRoom(self)
        self.strategies, self.sessions, self.data = Strategies(self), Sessions(self), Data(self)

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """Return the client of ``QUANT_PLATFORM_URL`` and ``QUANT_PLATFORM_TOKEN``."""
        url, token = from_environment()
        return cls(url, token, **options)

    @classmethod
    def log_in(
        cls, url: str, username: str, password: str, code: str = "", scopes: Sequence[str] = ("*",), **options: Any
    ) -> Self:
        """Return a client with a JWT, which renews itself; ``code`` is that of the second factor. Keeps no password."""
        client = cls(url, **options)
        client._wire.keys = client.run(login.token(username, password, code, scopes))
        return client

    def log_out(self) -> None:
        """End the JWT and its kin on the server; an API token is only forgotten."""
        keys, self._wire.keys = self._wire.keys, None
        if keys is not None and keys.refresh is not None:
            self.run(login.revoke(keys))

    def run(self, call: Call[T]) -> T:
        """Send a call of ``endpoints`` and return what it reads."""
        return call.read(self._answer(call))

    def run_all(self, calls: Iterable[Call[T]]) -> list[T]:
        """Send calls in parallel and return their answers in order; the first error is raised."""
        wanted = list(calls)
        if len(wanted) == 1:
            return [self.run(wanted[0])]
        with ThreadPoolExecutor(min(PER_HOST, len(wanted))) as threads:
            return list(threads.map(self.run, wanted))

    def _answer(self, call: Call[Any]) -> Answer:
        wire = self._wire
        kept = wire.kept(call)
        if kept is not None and (wire.offline or kept.is_fresh):
            return kept.answer
        if wire.offline:
            raise NotCached(f"working offline, and {call.path} is not on the disk")
        try:
            return wire.keep(call, kept, self._tried(call, kept))
        except (Unreachable, Unavailable) as error:
            if kept is None:
                raise
            log.warning("%s; what was kept at %s is used", error, kept.entry.kept_at)
            return kept.answer

    def _tried(self, call: Call[Any], kept: Kept | None) -> Answer:
        told: set[str] = set()
        attempt = 0
        if self._wire.keys is not None and self._wire.keys.is_old and not call.public:
            self._renew()
        while True:
            held = self._wire.keys
            try:
                return self._once(call, kept)
            except ClientError as error:
                if self._wire.adjusted(error, told):
                    continue
                if self._wire.may_renew(call, error, told):
                    if self._wire.keys is held:
                        self._renew()
                    continue
                pause = self._wire.retry.wait(attempt, error) if call.may_repeat else None
                if pause is None:
                    raise
                log.info("%s %s: %s; again in %.1f s", call.method, call.path, error, pause)
            self._sleep(pause)
            attempt += 1

    def _once(self, call: Call[Any], kept: Kept | None) -> Answer:
        http, start = self._pool.http, time.perf_counter()
        request = http.build_request(**self._wire.request(call, kept))
        try:
            with self._pool.place(request.url.netloc.decode("ascii")):
                response = http.send(request, stream=True)
                try:
                    raw = b"".join(response.iter_raw())
                finally:
                    response.close()
        except httpx.HTTPError as error:
            raise unreachable(error, self._wire.base) from error
        log.debug(
            "%s %s: %d, %.0f ms", call.method, call.path, response.status_code, (time.perf_counter() - start) * 1e3
        )
        return self._wire.answer(call, response, raw)

    def _renew(self) -> None:
        """Exchange the refresh token, which is good for one use: one thread does it for all."""
        held = self._wire.keys
        with self._renewing:
            if held is not None and held.refresh is not None and self._wire.keys is held:
                self._wire.keys = login.read_keys(self._once(login.refresh(held), None))

    def benchmark(self) -> Benchmark:
        """Return how long a new connection and one small answer over it take; a failure is told, not raised."""
        return measure(self._wire, self._pool.timeout)

    def close(self) -> None:
        if self._own_pool:
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._wire.base)!r})"
