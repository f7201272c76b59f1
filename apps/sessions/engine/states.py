"""What can happen to a session: one table, the same words on page, API, log and command."""

from __future__ import annotations

from enum import StrEnum

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


class State(StrEnum):
    DRAFT = "draft"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Command(StrEnum):
    QUEUE = "queue"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    COMPLETE = "complete"
    FAIL = "fail"
    INTERRUPT = "interrupt"
    REQUEUE = "requeue"


S, C = State, Command
TRANSITIONS: dict[tuple[State, Command], State] = {
    (S.DRAFT, C.QUEUE): S.QUEUED,
    (S.DRAFT, C.CANCEL): S.CANCELLED,
    (S.QUEUED, C.START): S.RUNNING,
    (S.QUEUED, C.PAUSE): S.PAUSED,  # Nothing runs yet, so there is nothing to wait for.
    (S.QUEUED, C.CANCEL): S.CANCELLED,
    (S.QUEUED, C.FAIL): S.FAILED,  # Its data was deleted, or it can never fit this machine.
    (S.RUNNING, C.PAUSE): S.PAUSING,
    (S.RUNNING, C.CANCEL): S.CANCELLING,
    (S.RUNNING, C.COMPLETE): S.COMPLETED,
    (S.RUNNING, C.FAIL): S.FAILED,
    (S.RUNNING, C.INTERRUPT): S.INTERRUPTED,
    (S.RUNNING, C.REQUEUE): S.QUEUED,  # The attempt was lost; the next one continues from its checkpoint.
    (S.PAUSING, C.PAUSE): S.PAUSED,  # The child says it has checkpointed.
    (S.PAUSING, C.REQUEUE): S.PAUSED,  # The child died on the way: its last checkpoint is the pause.
    (S.PAUSING, C.CANCEL): S.CANCELLING,
    (S.PAUSING, C.COMPLETE): S.COMPLETED,  # It finished before it saw the request.
    (S.PAUSING, C.FAIL): S.FAILED,
    (S.PAUSING, C.INTERRUPT): S.INTERRUPTED,
    (S.PAUSED, C.RESUME): S.QUEUED,
    (S.PAUSED, C.CANCEL): S.CANCELLED,
    (S.INTERRUPTED, C.RESUME): S.QUEUED,
    (S.INTERRUPTED, C.CANCEL): S.CANCELLED,
    (S.CANCELLING, C.CANCEL): S.CANCELLED,  # The child, or the one who killed it, confirms.
    (S.CANCELLING, C.REQUEUE): S.CANCELLED,  # The child died on the way: that is what was wanted.
    (S.CANCELLING, C.COMPLETE): S.COMPLETED,
    (S.CANCELLING, C.FAIL): S.CANCELLED,
    (S.CANCELLING, C.INTERRUPT): S.CANCELLED,
    (S.FAILED, C.RETRY): S.QUEUED,
    (S.CANCELLED, C.RETRY): S.QUEUED,
    (S.INTERRUPTED, C.RETRY): S.QUEUED,
}

FINAL = frozenset({S.COMPLETED, S.FAILED, S.CANCELLED})
ACTIVE = frozenset({S.QUEUED, S.RUNNING, S.PAUSING, S.CANCELLING})
ON_A_WORKER = frozenset({S.RUNNING, S.PAUSING, S.CANCELLING})
#: Counted against a user's limit of concurrent sessions.
COUNTED = frozenset({S.QUEUED, S.RUNNING, S.PAUSING})
#: Commands a person gives; the rest are the machine's.
HUMAN = (C.PAUSE, C.RESUME, C.CANCEL, C.RETRY)


def next_state(state: State, command: Command) -> State:
    """Return where ``command`` leads from ``state``; refuse a pair the table does not hold."""
    try:
        return TRANSITIONS[state, command]
    except KeyError:
        raise Refusal(
            "invalid_transition",
            N_("A session that is %(state)s cannot %(command)s."),
            status=409,
            state=str(state),
            command=str(command),
        ) from None


def allowed(state: State) -> tuple[Command, ...]:
    """Return the commands a person may give in ``state``, in the order buttons show them.

    A second ``pause`` or ``cancel`` is the child's confirmation, never a button.
    """
    waiting = {S.PAUSING: C.PAUSE, S.CANCELLING: C.CANCEL}
    return tuple(c for c in HUMAN if (state, c) in TRANSITIONS and waiting.get(state) != c)
