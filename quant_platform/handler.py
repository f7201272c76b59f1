"""How a request runs in a web process: every step of ours in one thread, and threads that are used again.

Django's own handler starts a thread for each request, in which a database connection is opened anew, and goes to that
thread and back for its signals, for the end of the answer, and wherever middleware that knows only one way of calling
meets the other. All views here are plain functions, so the whole request is one visit (ADR 88).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
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


class Visit:
    """A request's time in its thread. A whole answer ends there: what it holds, its connection above all, is free for
    the next request while it travels. One that is read as it goes ends after its last piece.
    """

    def __init__(self, handler: RequestHandler, scope: Scope, request: HttpRequest | None, refused: Any) -> None:
        self.handler, self.scope, self.request, self.refused = handler, scope, request, refused
        self.response: HttpResponseBase | None = None
        self.left = False

    def run(self) -> HttpResponseBase:
        kind = type(self.handler)
        signals.request_started.send(sender=kind, scope=self.scope)
        response: Any = self.refused if self.request is None else self.handler.get_response(self.request)
        response._handler_class = kind
        if isinstance(response, FileResponse):
            response.block_size = self.handler.chunk_size
        made: HttpResponseBase = response
        self.response = made
        if not made.streaming or self.left:
            made.close()
        return made

    async def end(self) -> None:
        """Close what was not read to its end; an answer that is still made closes itself."""
        self.left = True
        if self.response is not None and not self.response.closed:
            await sync_to_async(self.response.close)()


class RequestHandler(ASGIHandler):
    """Django's handler with the signals, the chain and the end of a request in one visit to its thread."""

    # An answer of 40 MB in pieces of 64 KB, Django's own, is 600 messages: twice the work of making it.
    chunk_size = 2**20

    def __init__(self) -> None:
        super().__init__()
        self.threads = Threads()

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.threads.lent():
            await self.handle(scope, receive, send)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; one whose reader goes away in the meantime is done and not sent."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with closing(body):
            set_script_prefix(get_script_prefix(scope))
            visit = Visit(self, scope, *self.create_request(scope, body))
            gone = asyncio.create_task(self.listen_for_disconnect(receive))
            answer = asyncio.create_task(self._answer(visit, send))
            await asyncio.wait((gone, answer), return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            answer.cancel()
            for task in (gone, answer):
                # A reader who went away, and one who had the answer and is waited for no longer, are nothing to tell.
                with suppress(asyncio.CancelledError, RequestAborted):
                    await task
            await visit.end()

    async def _answer(self, visit: Visit, send: Send) -> None:
        await self.send_response(await sync_to_async(visit.run)(), send)
