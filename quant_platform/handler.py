"""How a request runs in a web process: every step of ours in one thread, and threads that are used again.

Django's own handler starts a thread for each request, in which a database connection is opened anew, and goes to that
thread and back wherever middleware that knows only one way of calling meets the other. All views here are plain
functions, so the whole chain runs in one visit (ADR 88).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

#: Threads that wait for the next request; more are started when more is asked at once, and end with it.
KEPT = 8


class Threads:
    """Threads lent to requests, one each, the last returned first: its connection and caches are the warmest."""

    def __init__(self, kept: int = KEPT) -> None:
        self.kept = kept
        self._idle: list[ThreadPoolExecutor] = []

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, thread_name_prefix="request")
        try:
            async with ThreadSensitiveContext(executor=thread):
                yield
        finally:
            if len(self._idle) < self.kept:
                self._idle.append(thread)
            else:
                thread.shutdown(wait=False)


class RequestHandler(ASGIHandler):
    """Django's handler with the chain of middleware in one thread."""

    # An answer of 40 MB in pieces of 64 KB, Django's own, is 600 messages: twice the work of making it.
    chunk_size = 2**20

    def __init__(self) -> None:
        super().__init__()
        self.threads = Threads()

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        async with self.threads.lent():
            await self.handle(scope, receive, send)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response)(request)
