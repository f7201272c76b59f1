"""Starts the child process of a claimed session, waits for it and says how it ended if it could not.

The launcher runs inside a thin worker that never imports torch. It polls the session five times
a second to pass on a pause or a cancel, and ends a child that does not listen.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from django.conf import settings
from django.db import DatabaseError, close_old_connections

from apps.sessions.engine.resources import group_rss
from apps.sessions.engine.states import ON_A_WORKER, State
from apps.sessions.limits import MB, memory_limit_bytes, seconds_allowed
from apps.sessions.models import Session
from apps.sessions.runner.children import (
    LOST,
    RUN_SESSION,
    ChildProcess,
    OrderLost,
    child_variables,
    fresh_child,
    warm_child,
)
from apps.sessions.runner.process import kill_number, signal_group, supervisor_gone
from apps.sessions.selectors import session_folder
from apps.sessions.services.claim import renew_unborn
from apps.sessions.services.endings import attempt_lost, limit_exceeded

POLL_SECONDS = 0.05
LOOK_SECONDS = 0.2
#: How long a process may take to say its first word.
START_SECONDS = 30.0
#: Weighing a group reads every process of the machine, so it is done less often.
WEIGH_SECONDS = 1.0


def launch(session: Session) -> None:
    """Run ``session`` to the end of its attempt."""
    if settings.SESSION_RUNNER == "inline":
        from apps.sessions.runner.child import run_attempt

        exit_code = run_attempt(session.pk, session.attempt, own_process=False)
    else:
        exit_code = _run_process(session)
    attempt_lost(session.pk, session.attempt, exit_code)


def child_environment() -> dict[str, str]:
    """Return the environment of a child: slim settings, its share of the cores, and where the code is."""
    path = os.pathsep.join(filter(None, (str(settings.BASE_DIR), os.environ.get("PYTHONPATH"))))
    return {**os.environ, **child_variables(settings.SLOTS), "QP_PARENT_PID": str(os.getpid()), "PYTHONPATH": path}


def child_command(session: Session) -> list[str]:
    """Return the command of a child that no warm server can fork."""
    return [sys.executable, "-P", "-m", RUN_SESSION, str(session.pk), str(session.attempt)]


def _run_process(session: Session) -> int:
    folder = session_folder(session.pk)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    try:
        child: ChildProcess = warm_child(session.pk, session.attempt, log) or fresh_child(
            child_command(session), child_environment(), log
        )
    except OrderLost:
        return LOST
    Session.objects.filter(pk=session.pk, attempt=session.attempt).update(pid=child.pid)
    return _watch(child, session)


def _watch(process: ChildProcess, session: Session) -> int:
    """Wait for the child; pass on orders, enforce them, and end one that stays behind after its last word."""
    asked_at, next_look, started = 0.0, 0.0, time.monotonic()
    next_weighing, unborn = started, Unborn(session)
    while (code := process.poll()) is None:
        time.sleep(POLL_SECONDS)
        now = time.monotonic()
        if asked_at and now - asked_at > settings.QP_CANCEL_GRACE_SECONDS:
            signal_group(process, kill_number())
        if now < next_look:
            continue
        next_look = now + LOOK_SECONDS
        unborn.renew(now)
        if now >= next_weighing:
            next_weighing = now + WEIGH_SECONDS
            if _over_a_limit(process, session, now - started):
                signal_group(process, kill_number())
                continue
        order = _order(session)
        if order == "leave":  # Another attempt has taken over: this one must not go on.
            signal_group(process, kill_number())
        elif (order == State.CANCELLING or supervisor_gone()) and not asked_at:
            asked_at = now
            signal_group(process, signal.SIGTERM)
        elif order and order not in ON_A_WORKER and not asked_at:
            asked_at = now
    signal_group(process, kill_number())  # Whatever the child started goes with it.
    return int(code)


class Unborn:
    """Keeps the lease of a session while its process starts, for ``START_SECONDS`` at most: then one that never
    says a word is taken back like any other."""

    def __init__(self, session: Session) -> None:
        self.session, self.waiting = session, True
        now = time.monotonic()
        self._end, self._next = now + START_SECONDS, now + settings.QP_LEASE_SECONDS / 4

    def renew(self, now: float) -> None:
        if not self.waiting or now < self._next:
            return
        self._next = now + settings.QP_LEASE_SECONDS / 4
        try:
            self.waiting = now < self._end and renew_unborn(self.session)
        except DatabaseError:
            close_old_connections()


def _over_a_limit(process: ChildProcess, session: Session, seconds: float) -> bool:
    """Tell whether the child is past a limit that it did not keep by itself, and say so in its name."""
    allowed, used = memory_limit_bytes(session), group_rss(process.pid)
    if used > allowed:
        return limit_exceeded(session, "memory_limit", {"limit": allowed // MB, "used": used // MB})
    if seconds > seconds_allowed(session) + settings.QP_LIMIT_GRACE_SECONDS:
        return limit_exceeded(session, "time_limit", {"limit": session.time_limit})
    return False


def _order(session: Session) -> str:
    try:
        row = Session.objects.values_list("status", "attempt").filter(pk=session.pk).first()
    except DatabaseError:
        close_old_connections()
        return ""
    return row[0] if row and row[1] == session.attempt else "leave"
