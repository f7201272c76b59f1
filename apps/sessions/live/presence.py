"""This web process and its connections, in the table where all web processes see each other.

The row of a process is its lease: one that was silent for ``DEAD_SECONDS`` counts as dead, and its connections with
it. Who takes the place of a dead process clears its rows at once.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psutil
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.sessions.live.traffic import traffic
from apps.sessions.models import LiveConnection, WebProcess

DEAD_SECONDS = 10.0
UPDATE = """UPDATE quant_sessions_liveconnection
SET sessions = %s, following = %s, activity = %s, sent = %s, waiting = %s, overflows = %s WHERE id = %s"""


@dataclass(frozen=True)
class Seat:
    """A connection as others see it. ``waiting`` messages are on their way to it, ``overflows`` counts how often it
    was too slow."""

    id: str
    user_id: int
    address: str
    agent: str
    protocol: str
    sessions: tuple[int, ...]
    opened: datetime
    activity: datetime
    sent: int = 0
    waiting: int = 0
    overflows: int = 0

    def row(self, process: int) -> LiveConnection:
        values = {**vars(self), "sessions": list(self.sessions), "following": len(self.sessions)}
        return LiveConnection(process_id=process, **values)


def process_name() -> str:
    """Return this process's place; without a supervisor nobody comes after it there."""
    supervisor, slot = os.environ.get("QP_SUPERVISOR_PID", "0"), os.environ.get("QP_WEB_SLOT", "")
    return f"{socket.gethostname()}:{supervisor}:{slot or os.getpid()}"[:120]


def living() -> QuerySet[WebProcess]:
    return WebProcess.objects.filter(last_beat__gt=timezone.now() - timedelta(seconds=DEAD_SECONDS))


def seated() -> QuerySet[LiveConnection]:
    """Return the connections of living processes, less those that are being closed."""
    since = timezone.now() - timedelta(seconds=DEAD_SECONDS)
    return LiveConnection.objects.filter(closing=False, process__last_beat__gt=since)


def clear_dead() -> None:
    """Forget processes that are silent, and those of this host that are gone, with their connections."""
    WebProcess.objects.filter(last_beat__lte=timezone.now() - timedelta(seconds=DEAD_SECONDS)).delete()
    mine = WebProcess.objects.filter(host=socket.gethostname()[:120]).values_list("pk", "pid", "born")
    gone = [pk for pk, pid, born in mine if not _runs(pid, born)]
    if gone:
        WebProcess.objects.filter(pk__in=gone).delete()


def _runs(pid: int, born: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - born) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


class Presence:
    """What this process has written, and how it is kept true."""

    def __init__(self) -> None:
        self.process: int | None = None
        #: Connections with a seat, or about to have one.
        self.seats: set[str] = set()
        self._written: dict[str, Seat] = {}
        self._registering = threading.Lock()

    def register(self) -> int:
        """Return the number of this process's row, made in place of its predecessor's when first asked for."""
        with self._registering:
            if self.process is None:
                name, host, now = process_name(), socket.gethostname()[:120], timezone.now()
                born = psutil.Process().create_time()
                with transaction.atomic():
                    WebProcess.objects.filter(name=name).delete()
                    made = WebProcess.objects.create(
                        name=name, host=host, pid=os.getpid(), born=born, started_at=now, last_beat=now
                    )
                self.process = made.pk
            return self.process

    def admit(self, seat: Seat, most: int) -> bool:
        """Give ``seat`` to its user unless ``most`` connections are theirs already, in whatever process."""
        try:
            return self._admit(seat, most)
        except IntegrityError:  # somebody took us for dead
            self.process = None
            return self._admit(seat, most)

    def _admit(self, seat: Seat, most: int) -> bool:
        process = self.register()
        self.seats.add(seat.id)
        with transaction.atomic():
            # Held until the commit: of two processes only one gives the last seat.
            list(User.objects.select_for_update(no_key=True).filter(pk=seat.user_id).values_list("pk"))
            if seated().filter(user_id=seat.user_id).count() >= most:
                self.seats.discard(seat.id)
                return False
            seat.row(process).save(force_insert=True)
        self._written[seat.id] = seat
        return True

    def leave(self, connection_id: str) -> None:
        self.seats.discard(connection_id)
        self._written.pop(connection_id, None)
        LiveConnection.objects.filter(pk=connection_id).delete()

    def look(self, seats: Mapping[str, Seat]) -> Collection[str]:
        """Compare the rows with ``seats``, the open connections: add what is missing, remove what is too much.
        Return those that are to be closed."""
        if not seats and not self._written:
            return ()
        process = self.register()
        rows = dict(LiveConnection.objects.filter(process_id=process).values_list("pk", "closing"))
        if left := [pk for pk in rows if pk not in self.seats]:
            LiveConnection.objects.filter(pk__in=left).delete()
        if missing := [seat for seat in seats.values() if seat.id in self.seats and seat.id not in rows]:
            LiveConnection.objects.bulk_create(seat.row(process) for seat in missing)
        return [pk for pk, closing in rows.items() if closing]

    def beat(self, seats: Mapping[str, Seat]) -> None:
        """Say that this process lives and what it has sent; bring the rows of ``seats`` up to date."""
        now = timezone.now()
        said = {"messages": traffic.messages, "opened": traffic.opened, "per_second": traffic.per_second()}
        process = self.register()
        if not WebProcess.objects.filter(pk=process).update(last_beat=now, **said):
            self.process = None  # Others took us for dead; the next look writes all connections anew.
            self.register()
            return
        self._update(seat for seat in seats.values() if self._written.get(seat.id, seat) != seat)
        WebProcess.objects.filter(last_beat__lte=now - timedelta(seconds=DEAD_SECONDS)).delete()

    def _update(self, seats: Iterable[Seat]) -> None:
        changed = list(seats)
        if not changed:
            return
        moment = connection.ops.adapt_datetimefield_value
        rows: list[tuple[Any, ...]] = [
            (json.dumps(one.sessions), len(one.sessions), moment(one.activity), one.sent, one.waiting,
             one.overflows, one.id)
            for one in changed
        ]  # fmt: skip
        with connection.cursor() as cursor:
            cursor.executemany(UPDATE, rows)
        self._written.update((one.id, one) for one in changed)

    def end(self) -> None:
        """Take this process and its connections out."""
        process, self.process = self.process, None
        self.seats.clear()
        self._written.clear()
        if process is not None:
            WebProcess.objects.filter(pk=process).delete()


presence = Presence()
