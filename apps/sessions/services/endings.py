"""How an attempt ends that could not say so itself."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Max
from django.utils import timezone

from apps.sessions.engine.states import ON_A_WORKER, Command, State
from apps.sessions.models import Attempt, Session
from apps.sessions.services.transitions import StaleAttempt, session_command
from apps.ui.engine.refusal import Refusal

#: Of what an attempt died of, so many characters are kept with it; the log has all.
LONGEST_ERROR = 300


def attempt_lost(session_id: int, attempt: int, exit_code: int | None) -> bool:
    """Queue the next attempt of a session whose process is gone, or fail it after too many.

    ``exit_code`` is None when nobody saw the process end. Does nothing (false) when the attempt
    has said how it ended. An attempt that got further than those before it starts the count anew:
    only a job that dies again and again at the same place is given up (ADR 0008).
    """
    session = Session.objects.filter(pk=session_id, attempt=attempt, status__in=ON_A_WORKER).first()
    if session is None:
        return False
    code = "lost" if exit_code is None or exit_code < 0 else "crashed"
    if session.status != State.RUNNING:  # It was to stop, and does not go on by itself.
        code = "unsaved"
    reason: dict[str, Any] = {"exit": exit_code}
    if code == "crashed" and (error := _error(session)):
        reason["error"] = error
    crashes = 1 if _got_further(session) else session.crashes + 1
    try:
        if session.status == State.RUNNING and crashes > settings.QP_RETRY_LIMIT:
            _give_up(session, code, reason, crashes)
        else:
            pause = _pause(session) if crashes > 1 else 0.0
            session_command(
                session_id=session_id,
                command=Command.REQUEUE,
                attempt=attempt,
                reason_code=code,
                reason=reason,
                not_before=timezone.now() + timedelta(seconds=pause) if pause else None,
                changes={"crashes": crashes},
            )
    except (StaleAttempt, Refusal):
        return False  # It spoke, or somebody else moved it, in the meantime.
    return True


def _pause(session: Session) -> float:
    """Return the seconds until a retry may follow the one that has just ended: they lie ``QP_RETRY_SECONDS`` apart.

    The first has none before it and starts at once: what died was usually the worker, not the job (ADR 0008).
    """
    started = session.attempts.filter(number=session.attempt).values_list("started_at", flat=True).first()
    ran = (timezone.now() - started).total_seconds() if started is not None else 0.0
    return min(max(0.0, settings.QP_RETRY_SECONDS - ran), settings.QP_RETRY_SECONDS)


def error_said(session: Session, error: BaseException) -> None:
    """Note what an attempt died of, for ``attempt_lost``; a database that cannot be asked keeps its silence."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")[:LONGEST_ERROR]
    with suppress(DatabaseError):
        mine = Attempt.objects.filter(session_id=session.pk, number=session.attempt, ended_at=None)
        mine.update(reason={"error": text})


def _error(session: Session) -> str:
    found = session.attempts.filter(number=session.attempt).values_list("reason", flat=True).first()
    return str((found or {}).get("error", ""))


def limit_exceeded(session: Session, code: str, reason: dict[str, Any]) -> bool:
    """Interrupt an attempt that is past a limit; it goes on from its last checkpoint with a larger one.

    False when the attempt has ended in the meantime, or the database cannot be asked.
    """
    try:
        session_command(
            session_id=session.pk,
            command=Command.INTERRUPT,
            attempt=session.attempt,
            reason_code=code,
            reason=reason,
        )
    except (StaleAttempt, Refusal, DatabaseError):
        return False
    return True


def _got_further(session: Session) -> bool:
    rows = session.checkpoints.all()
    mine = rows.filter(attempt=session.attempt).aggregate(step=Max("step"))["step"]
    before = rows.exclude(attempt=session.attempt).aggregate(step=Max("step"))["step"]
    return mine is not None and mine > (before or 0)


def _give_up(session: Session, code: str, reason: dict[str, Any], crashes: int) -> None:
    """Fail a session for good with how each of its last ``crashes`` attempts ended."""
    earlier = session.attempts.exclude(number=session.attempt).order_by("number")
    ends = [{"number": one.number, "exit": None, "code": one.outcome, **one.reason} for one in earlier]
    ends.append({"number": session.attempt, "code": code, **reason})
    each = [{name: end[name] for name in ("number", "code", "exit", "error") if name in end} for end in ends[-crashes:]]
    session_command(
        session_id=session.pk,
        command=Command.FAIL,
        attempt=session.attempt,
        reason_code="crashed_too_often",
        reason={"attempts": ", ".join(f"#{end['number']} {end['code']}" for end in each), "each": each},
        changes={"crashes": crashes},
    )
