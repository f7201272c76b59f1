"""A socket from its opening to its close: who, what it follows, what it is told."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.sessions.live import access, frames
from apps.sessions.live.follower import Follower
from apps.sessions.live.presence import Seat, clear_dead, presence
from apps.sessions.live.tailer import tailer
from apps.sessions.live.traffic import traffic

#: A log-out, a changed role or an expired log-in ends the socket within a minute.
RECHECK = 30.0
#: What a database's number holds; a cursor beyond it is no cursor.
LARGEST = 2**63
#: Close codes: 44xx are final for a client, 4012 asks it to come back.
UNAUTHENTICATED, FORBIDDEN, BAD_REQUEST, TOO_MANY, COME_BACK = 4401, 4403, 4400, 4429, 4012
CLOSED_BY_ADMINISTRATOR = 4410

#: How long a socket waits for a seat where all are taken: a page that was left still holds its own for a moment.
SEAT_SECONDS = 0.5
#: Open sockets of this process.
connections: dict[str, Connection] = {}

Send = Callable[[str], Awaitable[None]]
Close = Callable[[int], Awaitable[None]]


class Connection:
    """Everything a consumer does, apart from Channels."""

    def __init__(self, scope: Mapping[str, Any], send: Send, close: Close) -> None:
        self.scope, self.send, self.close_socket = scope, send, close
        self.id = uuid.uuid4().hex
        self.user: User | None = None
        self.follower = Follower("json")
        self.wanted: dict[int, int] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.seated = False
        self.opened, self.last_activity = timezone.now(), timezone.now()
        self.address = access.address_of(scope)
        self.agent = access.header(scope, b"user-agent")[:200]

    async def refusal(self) -> int:
        """Return the close code for this connection, 0 when it may stay."""
        try:
            where = access.parse_address(self.scope.get("query_string", b""))
        except access.BadAddress as error:
            await self.say_error(error.code)
            return UNAUTHENTICATED if error.code == "token_in_query" else BAD_REQUEST
        user = await access.authenticate(self.scope)
        if user is None:
            return UNAUTHENTICATED
        if len(where.cursors) > settings.QP_SESSIONS_PER_SOCKET:
            return BAD_REQUEST
        if not await access.may_watch(user, where.cursors):
            return FORBIDDEN
        self.user, self.wanted = user, where.cursors
        self.follower.protocol = access.protocol_of(self.scope)[0]
        self.follower.look = access.look_of(self.scope, user, where)
        self.follower.user_id = user.pk
        self.follower.quotes = where.quotes
        if not await self._take_seat():
            self.user = None
            return TOO_MANY
        return 0

    async def _take_seat(self) -> bool:
        """Take one of the user's seats; where all are taken forget the dead, wait a moment, and try once more."""
        admit, most = database_sync_to_async(presence.admit), settings.QP_SOCKETS_PER_USER
        self.seated = await admit(self.seat(), most)
        if not self.seated:
            await database_sync_to_async(clear_dead)()
            await asyncio.sleep(SEAT_SECONDS)
            self.seated = await admit(self.seat(), most)
        return self.seated

    def seat(self) -> Seat:
        """Return what others see of this connection."""
        assert self.user is not None  # noqa: S101 (only those who are known have a seat)
        follower = self.follower
        return Seat(
            self.id, self.user.pk, self.address[:64], self.agent, follower.protocol, tuple(sorted(follower.cursors)),
            self.opened, self.last_activity, follower.messages, len(follower.queue), follower.overflows,
        )  # fmt: skip

    async def open(self) -> None:
        """Join the tail, send what was missed, and start the sender and the heartbeat."""
        assert self.user is not None  # noqa: S101 (refusal() has set it)
        self.loop = asyncio.get_running_loop()
        connections[self.id] = self
        traffic.opened += 1
        tailer().join(self.follower)
        self.say(
            type="connection_established",
            connection_id=self.id,
            heartbeat_s=settings.QP_HEARTBEAT_SECONDS,
            time=timezone.now().isoformat(),
        )
        self.tasks = [asyncio.create_task(work) for work in (self._pump(), self._beat(), self._recheck())]
        for session, after in self.wanted.items():
            await self._follow(session, after)

    async def close(self) -> None:
        """Leave no trace; safe to call at any time and more than once."""
        for task in self.tasks:
            task.cancel()
        self.tasks = []
        if connections.pop(self.id, None) is not None:
            tailer().leave(self.follower)
        if self.seated:
            self.seated = False
            with suppress(DatabaseError):  # The keeper makes up for it.
                await database_sync_to_async(presence.leave)(self.id)

    async def end(self, code: int) -> None:
        """Close the socket with ``code``; its consumer then leaves."""
        await self.close_socket(code)

    def say(self, **message: Any) -> None:
        self.follower.put(frames.dump(message))

    async def say_error(self, code: str) -> None:
        with translation.override(self.follower.look.language):
            await self.send(frames.error(code, ERRORS[code]()))

    # What the other end says

    async def hear(self, text: str | None) -> None:
        """Answer one message; a message that is none is answered too, and the socket lives."""
        self.last_activity = timezone.now()
        try:
            message = json.loads(text or "")
        except (ValueError, RecursionError):
            return await self.say_error("not_json")
        kind = message.get("type") if isinstance(message, dict) else None
        handler = HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is None:
            return await self.say_error("unknown_type")
        return await handler(self, message)

    async def _hear_subscribe(self, message: dict[str, Any]) -> None:
        session, after = message.get("session_id"), message.get("after", 0)
        if type(session) is not int or type(after) is not int or not 0 <= after < LARGEST:
            return await self.say_error("bad_message")
        if session not in self.follower.cursors and len(self.follower.cursors) >= settings.QP_SESSIONS_PER_SOCKET:
            return await self.say_error("too_many_sessions")
        if self.user is None or not await access.may_watch(self.user, [session]):
            return await self.say_error("session_not_found")
        tailer().unwatch(self.follower, session)
        self.follower.sent.pop(session, None)
        self.say(type="session_subscribed", session_id=session, after=after)
        await self._follow(session, after)

    async def _hear_unsubscribe(self, message: dict[str, Any]) -> None:
        session = message.get("session_id")
        if type(session) is not int:
            return await self.say_error("bad_message")
        tailer().unwatch(self.follower, session)
        self.say(type="session_unsubscribed", session_id=session)

    async def _hear_ping(self, message: dict[str, Any]) -> None:
        self.say(type="pong", time=timezone.now().isoformat())

    async def _hear_pong(self, message: dict[str, Any]) -> None:
        """An answer to the heartbeat: ``last_activity`` has been noted."""

    # What goes on meanwhile

    async def _follow(self, session: int, after: int) -> None:
        await tailer().watch(self.follower, session, after)

    async def _pump(self) -> None:
        await self.follower.pump(self.send, self._again)

    async def _again(self) -> None:
        """After an overflow: read again from what was really sent."""
        for session in list(self.follower.cursors):
            after = self.follower.sent.get(session, 0)
            tailer().unwatch(self.follower, session)
            await self._follow(session, after)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(settings.QP_HEARTBEAT_SECONDS)
            self.say(type="ping")

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(RECHECK)
            if code := await self.lost_access():
                await self.close_socket(code)

    async def lost_access(self) -> int:
        """Return the close code when the log-in ended or a watched session is no longer theirs."""
        if self.user is None or not await access.still_welcome(self.scope, self.user):
            return UNAUTHENTICATED
        if not await access.same_rights(self.user):
            return COME_BACK
        return 0 if await access.may_watch(self.user, list(self.follower.cursors)) else FORBIDDEN


ERRORS: dict[str, Callable[[], str]] = {
    "not_json": lambda: _("The message is not JSON."),
    "unknown_type": lambda: _("There is no message of this type."),
    "bad_message": lambda: _("The message lacks a field or has a wrong value."),
    "session_not_found": lambda: _("There is no such session, or it is not yours."),
    "too_many_sessions": lambda: _("This connection follows as many sessions as it may."),
    "token_in_query": lambda: _("Send the token in the Authorization header, never in the address."),
    "bad_query": lambda: _("The address does not have the expected form."),
}
HANDLERS: dict[str, Callable[[Connection, dict[str, Any]], Awaitable[None]]] = {
    "subscribe_session": Connection._hear_subscribe,
    "unsubscribe_session": Connection._hear_unsubscribe,
    "ping": Connection._hear_ping,
    "pong": Connection._hear_pong,
}
