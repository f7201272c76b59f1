"""Following a log by its cursor, apart from how the messages come: none is lost, none comes twice."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import CLOSE_REASONS, ClientError, NotAllowed, NotAuthenticated, NotFound, SocketClosed, UnexpectedAnswer
from .models import FINAL
from .retry import BackOff
from .wire import log

#: Events asked for at a time where no live connection is possible, and the pause between two questions, in seconds.
EVENTS, PAUSE = 500, 2.0
#: The server says something every 30 s; after this much silence the connection is dead.
SILENCE = 75.0
#: In the order in which messages about the same events come.
KINDS = (
    "session_metrics_update", "session_log", "session_resources", "session_flags", "session_status_update",
    "training_completed", "training_failed",
)  # fmt: skip
#: Close codes after which coming back is of no use.
FINAL_CODES = frozenset(CLOSE_REASONS)
#: What ends a follow: everything else may pass.
HOPELESS = (NotAuthenticated, NotAllowed, NotFound, SocketClosed)
#: The library of sockets logs the headers of its handshake, of which one is a ticket.
quiet = logging.getLogger("quant_platform.client.socket")
quiet.setLevel(logging.WARNING)


@dataclass(frozen=True)
class Point:
    """Values of metrics at a step; ``seed`` where several runs make the curve, ``at`` in seconds since 1970."""

    step: int
    values: Mapping[str, float | None]
    epoch: int | None = None
    seed: int | None = None
    at: float | None = None


@dataclass(frozen=True)
class Update:
    """What happened in a session up to event number ``seq``; pass that as ``after`` to go on from here.

    ``rewind``: the run goes on from a checkpoint, drop the points behind that step. ``resync``: drop
    all you have, the log follows anew. ``status`` is empty where it did not change.
    """

    session_id: int
    seq: int
    points: tuple[Point, ...] = ()
    rewind: int | None = None
    status: str = ""
    message: str = ""
    progress: float | None = None
    logs: tuple[Mapping[str, Any], ...] = ()
    resources: tuple[Mapping[str, Any], ...] = ()
    flags: tuple[Mapping[str, Any], ...] = ()
    result: Mapping[str, Any] | None = None
    resync: bool = False


@dataclass
class Cursor:
    """How far one session was read. Messages about the same events are held until the last of them is here."""

    session_id: int
    seq: int = 0
    status: str = ""
    held: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return self.status in FINAL

    def hear(self, message: Mapping[str, Any]) -> Update | None:
        """Take one message of the socket; returns what has become complete by it."""
        kind, seq = message.get("type"), message.get("seq")
        if kind == "session_resync":
            self.seq, self.held = int(seq or 0), []
            return Update(self.session_id, self.seq, resync=True)
        if kind not in KINDS or not isinstance(seq, int):
            return None
        if self.held and (self.held[-1]["seq"] != seq or KINDS.index(self.held[-1]["type"]) >= KINDS.index(kind)):
            self.held = []  # The server began these events anew.
        self.held.append(message)
        if message.get("more"):
            return None
        group, self.held = self.held, []
        says_only_how_it_is = kind == "session_status_update" and len(group) == 1
        if seq < self.seq or (seq == self.seq and not says_only_how_it_is):
            return None
        return self._advance(_of_messages(self.session_id, seq, group))

    def read(self, event: Mapping[str, Any]) -> Update | None:
        """Take one event of ``GET /api/sessions/{id}/events``."""
        seq = int(event["seq"])
        if seq <= self.seq:
            return None
        return self._advance(_of_payload(self.session_id, seq, event["payload"]))

    def restart(self) -> Update:
        """Begin anew: the log is shorter than what was read, as after a restored backup."""
        self.seq, self.held = 0, []
        return Update(self.session_id, 0, resync=True)

    def reconnect(self) -> None:
        """Forget what was not complete: it comes again."""
        self.held = []

    def _advance(self, update: Update) -> Update:
        self.seq = update.seq
        self.status = update.status or self.status
        return update


class Journey:
    """Sessions followed together, each by its own cursor."""

    def __init__(self, sessions: int | Iterable[int], after: int | Mapping[int, int] = 0) -> None:
        names = [sessions] if isinstance(sessions, int) else list(dict.fromkeys(sessions))
        if not names:
            raise ValueError("name at least one session")
        starts = after if isinstance(after, Mapping) else dict.fromkeys(names, after)
        self.cursors = {name: Cursor(name, starts.get(name, 0)) for name in names}

    @property
    def done(self) -> bool:
        return all(cursor.done for cursor in self.cursors.values())

    def query(self) -> str:
        """Return the socket's query for what is still wanted."""
        open_ones = [cursor for cursor in self.cursors.values() if not cursor.done]
        for cursor in open_ones:
            cursor.reconnect()
        return "&".join(f"session={cursor.session_id}&after={cursor.seq}" for cursor in open_ones)

    def hear(self, text: str | bytes) -> tuple[Update | None, str]:
        """Take a frame; returns what it completes, and what to answer (empty: nothing)."""
        try:
            message = json.loads(text)
        except ValueError as error:
            raise UnexpectedAnswer("the live connection sent something that is not JSON") from error
        if not isinstance(message, Mapping):
            raise UnexpectedAnswer("the live connection sent something that is no message")
        if message.get("type") == "ping":
            return None, '{"type":"pong"}'
        cursor = self.cursors.get(message.get("session_id", 0))
        return (cursor.hear(message) if cursor is not None else None), ""


class Pace:
    """When to try the live connection again, and how long to wait until something is to be done."""

    def __init__(self, back_off: BackOff) -> None:
        self.back_off = back_off
        self.failures, self.socket_at, self.asked = 0, 0.0, False

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self.socket_at

    def works(self) -> None:
        """Note that the live connection brought something."""
        self.failures = 0

    def broke(self, error: ClientError) -> None:
        """Note that it broke or did not open; raises what no patience helps against."""
        if isinstance(error, HOPELESS):
            raise error
        log.info("live connection: %s", error)
        self.failures += 1
        self.socket_at = time.monotonic() + self.back_off.wait(self.failures, random.random())

    def asking(self, error: ClientError | None) -> None:
        """Note whether asking instead went well."""
        if isinstance(error, HOPELESS):
            raise error
        if error is not None:
            log.info("asking instead: %s", error)
        self.asked = error is None

    def pause(self) -> float:
        left = max(0.0, self.socket_at - time.monotonic())
        return min(left, PAUSE) if self.asked else left


def closed(code: int | None, reason: str = "") -> SocketClosed | None:
    """Return the error of a close code that is final; None where coming back makes sense."""
    return SocketClosed(code, reason) if code in FINAL_CODES and code is not None else None


def _of_messages(session: int, seq: int, group: Sequence[Mapping[str, Any]]) -> Update:
    by_kind = {message["type"]: message for message in group}
    metrics = by_kind.get("session_metrics_update", {})
    status = by_kind.get("session_status_update", {})
    progress = [message["progress"] for message in (metrics, status) if message.get("progress") is not None]
    return Update(
        session, seq, _points(metrics.get("points", ())), metrics.get("rewind"), status.get("status", ""),
        status.get("message", ""), progress[-1] if progress else None,
        tuple(by_kind.get("session_log", {}).get("lines", ())),
        tuple(by_kind.get("session_resources", {}).get("samples", ())),
        tuple(by_kind.get("session_flags", {}).get("flags", ())), by_kind.get("training_completed", {}).get("result"),
    )  # fmt: skip


def _of_payload(session: int, seq: int, payload: Mapping[str, Any]) -> Update:
    return Update(
        session, seq, _points(payload.get("points", ())), payload.get("rewind"), payload.get("status", ""), "", None,
        tuple(payload.get("logs", ())), tuple(payload.get("resources", ())), tuple(payload.get("flags", ())),
        payload.get("result"),
    )  # fmt: skip


def _points(points: Iterable[Mapping[str, Any]]) -> tuple[Point, ...]:
    return tuple(
        Point(int(one["step"]), one["values"], one.get("epoch"), one.get("seed"), one.get("at")) for one in points
    )
