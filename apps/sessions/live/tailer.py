"""The tail of the live log: one per web process, on its loop, for the sessions being watched.

A wake-up is a hint that may be lost; the poll covers it. The database is read in one thread,
partials are rendered in another, so that a page being drawn never delays a point.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from django.conf import settings

from apps.sessions.adapters.wakeup import Waiter
from apps.sessions.live import notices, source
from apps.sessions.live.follower import Follower
from apps.sessions.live.frames import Batch, dump
from apps.sessions.live.painter import Painter

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
#: Seconds after which a tail that nobody needs is put away.
IDLE_SECONDS = 5.0
QUOTES_SECONDS = 0.5


class Tailer:
    """Reads what watched sessions say and hands each follower the frames of its protocol."""

    def __init__(self) -> None:
        self.followers: set[Follower] = set()
        self.watchers: dict[int, set[Follower]] = defaultdict(set)
        self.heads: dict[int, int] = {}
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="live-read")
        self.painter = Painter(self.watchers)
        self.task: asyncio.Task[None] | None = None
        self.ticks = 0
        self.notices_at = 0.0
        self.quotes_at = 0.0
        self.quotes_head: int | None = None
        self.announced: deque[int] = deque(maxlen=500)

    async def read(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.reader, lambda: function(*args, **kwargs))

    def join(self, follower: Follower) -> None:
        self.followers.add(follower)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._run(), name="live-tail")

    def leave(self, follower: Follower) -> None:
        self.followers.discard(follower)
        for session in list(follower.cursors):
            self.unwatch(follower, session)

    def unwatch(self, follower: Follower, session: int) -> None:
        follower.cursors.pop(session, None)
        watchers = self.watchers.get(session)
        if watchers is None:
            return
        watchers.discard(follower)
        if not watchers:
            del self.watchers[session]
            self.heads.pop(session, None)
            self.painter.forget(session)

    async def watch(self, follower: Follower, session: int, after: int) -> int | None:
        """Send what ``follower`` missed behind ``after``, then keep it at the head.

        Returns the sequence number reached, None when there is no such session. A cursor that
        is beyond the log, or whose successors are no longer there, starts anew.
        """
        part = await self.read(source.catch_up, session, after)
        if part is None:
            return None
        if part.has_gap or after > part.head.last_seq:
            part = await self._anew(follower, part)
        missed: list[Batch] = []
        while part.events:
            missed.append(part)
            follower.accept(part)
            if part.seq >= self.heads.get(session, part.seq):
                break
            part = await self.read(source.catch_up, session, part.seq) or Batch(session, part.seq, (), part.head)
        follower.cursors[session] = part.seq
        follower.sent.setdefault(session, after)
        self.heads.setdefault(session, part.seq)
        self.watchers[session].add(follower)
        for part in missed:
            self.painter.soil(part)
        return follower.cursors[session]

    async def _anew(self, follower: Follower, part: Batch) -> Batch:
        """Void the reader's cursor: a page fetches its curves again, a program gets the whole log."""
        session, head = part.session, part.head
        if follower.protocol == "html":
            follower.reset(session, head.last_seq)
            return Batch(session, head.last_seq, (), head)
        follower.reset(session, 0)
        first = part.events[0][0] - 1 if part.events else 0
        return await self.read(source.catch_up, session, first) or Batch(session, 0, (), head)

    async def _run(self) -> None:
        waiter = await Waiter().open()
        try:
            await self._loop(waiter)
        finally:
            tailers.pop(asyncio.get_running_loop(), None)
            await waiter.close()
            await self.read(source.close)
            self.reader.shutdown(wait=False)
            self.painter.close()

    async def _loop(self, waiter: Waiter) -> None:
        loop, spacing, poll = asyncio.get_running_loop(), settings.QP_PUSH_MS / 1000, settings.QP_TAIL_POLL_MS / 1000
        idle_since = loop.time()
        # Asked anew after each wait: who joins during the last one is not left with a tail that has ended.
        while self.followers or loop.time() - idle_since < IDLE_SECONDS:
            started = loop.time()
            try:
                await self.tick()
            except Exception:
                # A database that restarts is a pause of the tail, never its end.
                logger.exception("The live log could not be read; trying again.")
                await asyncio.sleep(poll)
            if self.followers:
                idle_since = loop.time()
            await asyncio.sleep(max(0.0, spacing - (loop.time() - started)))
            await waiter.wait(poll)

    async def tick(self) -> None:
        """Read once and deliver."""
        self.ticks += 1
        cursors = {session: self.heads[session] for session in self.watchers if session in self.heads}
        parts = await self.read(source.news, cursors) if cursors else []
        for part in parts:
            self._deliver(part)
        await self._notices(at_once=any("status" in part.payload for part in parts))
        await self._quotes()

    async def _quotes(self) -> None:
        """Tell those who look at quotes, at most twice a second, that some came: what they may see they ask for."""
        now = asyncio.get_running_loop().time()
        readers = [follower for follower in self.followers if follower.quotes]
        if not readers or now < self.quotes_at:
            return
        self.quotes_at = now + QUOTES_SECONDS
        head = await self.read(source.quotes_head)
        if self.quotes_head is not None and head != self.quotes_head:
            for follower in readers:
                follower.put(dump({"type": "quotes", "seq": head}))
        self.quotes_head = head

    async def _notices(self, *, at_once: bool) -> None:
        """Send new notices to their users' sockets, looking once a second or when a session moved."""
        now, users = asyncio.get_running_loop().time(), {follower.user_id for follower in self.followers}
        if not users or not (at_once or now >= self.notices_at):
            return
        self.notices_at = now + 1.0
        found = await self.read(notices.fresh, users, tuple(self.announced))
        if found:
            self.announced.extend(notice.pk for notice, _unread in found)
            notices.tell(found, tuple(self.followers))
            await self.read(notices.mark_told, found)

    def _deliver(self, part: Batch) -> None:
        if part.session not in self.watchers:
            return
        self.heads[part.session] = max(part.seq, self.heads.get(part.session, 0))
        for follower in tuple(self.watchers[part.session]):
            follower.accept(part)
        self.painter.soil(part)


tailers: WeakKeyDictionary[asyncio.AbstractEventLoop, Tailer] = WeakKeyDictionary()


def tailer() -> Tailer:
    """Return the tail of the running loop, made when the first socket needs it."""
    loop = asyncio.get_running_loop()
    if loop not in tailers:
        tailers[loop] = Tailer()
    return tailers[loop]
