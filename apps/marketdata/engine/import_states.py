"""What can happen to an import: one table, the same words on page, API and command."""

from __future__ import annotations

from enum import StrEnum

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


class ImportState(StrEnum):
    """``interrupted`` keeps what was read and can go on; ``cancelled`` has forgotten it."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ImportOrder(StrEnum):
    """The first three are a person's, the others the runner's."""

    CANCEL = "cancel"
    RESUME = "resume"
    DISCARD = "discard"
    START = "start"
    HALT = "halt"
    REQUEUE = "requeue"
    COMPLETE = "complete"
    FAIL = "fail"


S, O = ImportState, ImportOrder  # noqa: E741 - the table reads as one
TRANSITIONS: dict[tuple[ImportState, ImportOrder], ImportState] = {
    (S.QUEUED, O.START): S.RUNNING,
    (S.QUEUED, O.CANCEL): S.INTERRUPTED,
    (S.RUNNING, O.CANCEL): S.CANCELLING,
    (S.RUNNING, O.HALT): S.INTERRUPTED,  # Ctrl-C
    (S.CANCELLING, O.HALT): S.INTERRUPTED,
    (S.RUNNING, O.REQUEUE): S.QUEUED,  # its worker was killed, or is going down
    (S.CANCELLING, O.REQUEUE): S.INTERRUPTED,
    (S.RUNNING, O.COMPLETE): S.COMPLETED,
    (S.CANCELLING, O.COMPLETE): S.COMPLETED,  # the order came too late: it is in the catalogue
    (S.RUNNING, O.FAIL): S.FAILED,
    (S.CANCELLING, O.FAIL): S.FAILED,
    (S.INTERRUPTED, O.RESUME): S.QUEUED,
    (S.FAILED, O.RESUME): S.QUEUED,
    (S.INTERRUPTED, O.DISCARD): S.CANCELLED,
    (S.FAILED, O.DISCARD): S.CANCELLED,
}
HUMAN = (O.CANCEL, O.RESUME, O.DISCARD)
#: A worker is busy with it, and it may change by itself.
ON_A_WORKER = (S.RUNNING, S.CANCELLING)
LIVE = (S.QUEUED, *ON_A_WORKER)
IMPOSSIBLE = N_("An import that is %(state)s cannot be told to %(order)s.")


def next_state(state: str, order: str) -> ImportState:
    """Return the state after ``order``; raises ``Refusal`` ``import_state`` (409) where it is not possible."""
    found = TRANSITIONS.get((ImportState(state), ImportOrder(order)))
    if found is None:
        raise Refusal("import_state", IMPOSSIBLE, status=409, state=state, order=order)
    return found


def allowed(state: str) -> tuple[ImportOrder, ...]:
    """Return what a person can order now."""
    return tuple(order for order in HUMAN if (ImportState(state), order) in TRANSITIONS)
