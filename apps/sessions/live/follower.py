"""One connection's end of the tail: its cursors, its bounded queue and its own sender."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from apps.sessions.live import frames
from apps.sessions.live.frames import Batch
from apps.sessions.live.traffic import traffic

#: Frames a reader may lag behind before it is dropped back to its cursor.
QUEUE = 512


@dataclass(frozen=True)
class Look:
    """How partials look to a reader: which part of the page, in which language and time zone."""

    view: str = "detail"
    language: str = "en"
    time_zone: str = "UTC"


@dataclass(eq=False)
class Follower:
    """Frames wait in ``queue`` for the sender; when it overflows they are dropped, and the
    sender reads the log again from what it last sent."""

    protocol: str
    look: Look = field(default_factory=Look)
    user_id: int = 0
    #: Since when it is there.
    since: datetime = field(default_factory=timezone.now)
    #: Whether to tell this reader that quotes came.
    quotes: bool = False
    limit: int = QUEUE
    #: Newest sequence number queued, and newest sent, by session.
    cursors: dict[int, int] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    queue: deque[tuple[int, int, str]] = field(default_factory=deque)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    lost: bool = False
    overflows: int = 0
    messages: int = 0

    def accept(self, part: Batch) -> None:
        """Queue the frames of a batch, less what was queued before."""
        cursor = self.cursors.get(part.session, part.after)
        if part.seq <= cursor or self.lost:
            return
        if cursor > part.after:
            part = part.behind(cursor)
        self.cursors[part.session] = part.seq
        *before, last = part.frames(self.protocol)
        for text in before:
            self.put(text)
        # The events count as sent with their last frame: an overflow between two must not lose the rest.
        self.put(last, part.session, part.seq)

    def reset(self, session: int, seq: int) -> None:
        """Tell the reader that its cursor is void."""
        self.cursors[session] = seq
        self.sent[session] = seq
        self.put(frames.reset(self.protocol, session, seq), session, seq)

    def put(self, text: str, session: int = 0, seq: int = 0) -> None:
        if len(self.queue) >= self.limit:
            self.queue.clear()
            self.lost = True
            self.overflows += 1
        if not self.lost:
            self.queue.append((session, seq, text))
        self.ready.set()

    async def pump(self, send: Callable[[str], Awaitable[None]], again: Callable[[], Awaitable[None]]) -> None:
        """Send what is queued until cancelled; after an overflow call ``again`` to catch up."""
        while True:
            await self.ready.wait()
            self.ready.clear()
            while self.queue:
                taken = self._take()
                await send(frames.together([text for _, _, text in taken]))
                self.messages += 1
                traffic.sent()
                self.sent.update({session: seq for session, seq, _ in taken if session})
            if self.lost:
                self.lost = False
                await again()

    def _take(self) -> list[tuple[int, int, str]]:
        """Return the next message: one frame, or for a page all frames of a kind that wait in a row.

        Numbers of several sessions then cost one message, and the more a reader lags the fewer.
        """
        taken = [self.queue.popleft()]
        kind = taken[0][2][0]
        while self.protocol == "html" and self.queue and self.queue[0][2][0] == kind:
            taken.append(self.queue.popleft())
        return taken
