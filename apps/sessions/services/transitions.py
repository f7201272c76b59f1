"""The only way a session changes its state.

A transition is one compare-and-set: of two that race, one wins and the other is refused or
looks again. The log row, the audit row and the notice belong to the same transaction; the
wake-up goes out when it has committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.accounts.models import NoticeLevel, User
from apps.accounts.notices import notify
from apps.accounts.services import audit
from apps.sessions.adapters.wakeup import poke
from apps.sessions.engine.states import FINAL, HUMAN, ON_A_WORKER, Command, State, next_state
from apps.sessions.models import Attempt, Session, SessionEvent
from apps.sessions.services.performance import summary_refresh
from apps.strategies.models import StrategyVersion

#: How often a transition looks again when somebody else moved the session first.
RACES = 5


def session_command(
    *,
    session_id: int,
    command: Command | str,
    actor: User | None = None,
    attempt: int | None = None,
    reason_code: str = "",
    reason: Mapping[str, Any] | None = None,
    not_before: datetime | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Session:
    """Move a session by ``command`` and return it.

    ``attempt`` fences the words of an old attempt, and of one whose session was taken off its
    worker: they change nothing and raise ``StaleAttempt``. ``changes`` are further columns set
    in the same UPDATE. Raises ``Refusal`` ``invalid_transition`` (409) for a pair the table does
    not hold.
    """
    command = Command(command)
    for _ in range(RACES):
        session = Session.objects.get(pk=session_id)
        if attempt is not None and (session.attempt != attempt or session.status not in ON_A_WORKER):
            raise StaleAttempt(session_id, attempt)
        target = next_state(State(session.status), command)
        if _apply(session, command, target, actor, reason_code, dict(reason or {}), not_before, dict(changes or {})):
            return Session.objects.get(pk=session_id)
    raise RuntimeError(f"session {session_id} kept moving while {command} was tried")


class StaleAttempt(Exception):
    """A newer attempt has taken over; what this one says no longer counts."""

    def __init__(self, session_id: int, attempt: int) -> None:
        super().__init__(f"session {session_id}: attempt {attempt} is no longer the current one")


@transaction.atomic
def _apply(
    session: Session,
    command: Command,
    target: State,
    actor: User | None,
    reason_code: str,
    reason: dict[str, Any],
    not_before: datetime | None,
    changes: dict[str, Any],
) -> bool:
    now = timezone.now()
    columns = {**changes, **_columns(State(session.status), target, now), "reason_code": reason_code, "reason": reason}
    if target is State.QUEUED:
        columns["not_before"] = not_before
    moved = Session.objects.filter(pk=session.pk, status=session.status, attempt=session.attempt).update(
        status=target, last_seq=F("last_seq") + 1, **columns
    )
    if not moved:
        return False
    seq = Session.objects.values_list("last_seq", flat=True).get(pk=session.pk)
    payload: dict[str, Any] = {"status": str(target)}
    if reason_code:
        payload["reason"] = {"code": reason_code, **reason}
    SessionEvent.objects.create(session_id=session.pk, seq=seq, attempt=session.attempt, payload=payload, created=now)
    _close_attempt(session, target, now, reason_code, reason)
    if command in HUMAN and actor is not None:
        audit(actor, f"session.{command}", session, {"from": session.status, "to": str(target)})
    if target is State.COMPLETED and session.verifies_id is None:
        summary_refresh(StrategyVersion.objects.values_list("strategy_id", flat=True).get(pk=session.version_id))
    _tell_owner(session, target, reason_code, reason)
    transaction.on_commit(poke)
    if target is State.QUEUED:
        transaction.on_commit(_ring)
    return True


def _columns(source: State, target: State, now: datetime) -> dict[str, Any]:
    """Return the columns that follow from entering ``target``."""
    columns: dict[str, Any] = {}
    if target is State.QUEUED:
        columns |= {"queued_at": now, "finished_at": None}
    if target in FINAL:
        columns["finished_at"] = now
    if source in ON_A_WORKER and target not in ON_A_WORKER:
        columns |= {"lease_until": None, "pid": None, "worker": ""}
    return columns


def _close_attempt(session: Session, target: State, now: datetime, reason_code: str, reason: dict[str, Any]) -> None:
    if session.status in ON_A_WORKER and target not in ON_A_WORKER:
        Attempt.objects.filter(session_id=session.pk, number=session.attempt, ended_at=None).update(
            ended_at=now, outcome=str(target), reason={"code": reason_code, **reason} if reason_code else {}
        )


#: What the owner is told about: state -> level of the notice.
TOLD = {
    State.COMPLETED: NoticeLevel.INFO,
    State.FAILED: NoticeLevel.ERROR,
    State.INTERRUPTED: NoticeLevel.WARNING,
}


def _tell_owner(session: Session, target: State, reason_code: str, reason: dict[str, Any]) -> None:
    if target in TOLD:
        params = {"id": session.pk, "title": session.title}
        if reason_code:
            params |= {"reason": {"code": reason_code, **reason}}
        notify(session.owner, f"session.{target}", TOLD[target], f"/sessions/{session.pk}/", **params)


def _ring() -> None:
    from apps.sessions.adapters.doorbell import ring

    ring()
