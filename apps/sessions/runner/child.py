"""One attempt of one session, from the claim to its last word."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any

from apps.sessions.engine.resources import Gpus, roomiest
from apps.sessions.engine.states import Command, State
from apps.sessions.models import Session
from apps.sessions.runner.sink import DbSink
from apps.sessions.selectors import session_folder
from apps.sessions.services.endings import error_said
from apps.sessions.services.transitions import StaleAttempt, session_command
from apps.strategies.engine.ports import Stopped
from apps.ui.engine.refusal import Refusal

#: kind -> the job; strings, so that a backtest does not import what trains.
JOBS = {"training": "apps.sessions.jobs.training:run", "backtest": "apps.sessions.jobs.backtest:run"}
FENCED, CRASHED = 3, 1


def run_attempt(session_id: int, attempt: int, *, own_process: bool = True) -> int:
    """Run the session and return the exit code: 0 when it said how it ended, 1 after a crash, 3 when
    another attempt has taken over."""
    session = Session.objects.select_related("version__strategy", "dataset", "owner").get(pk=session_id)
    if session.attempt != attempt or session.status != State.RUNNING:
        return FENCED
    sink = DbSink(session, session_folder(session_id))
    if own_process:
        _listen_to_signals(sink)
        _choose_gpu()
    sink.start()
    try:
        return _run(session, sink)
    except StaleAttempt:
        return FENCED


def _run(session: Session, sink: DbSink) -> int:
    try:
        result = _work(session, sink)
        sink.close()
        _finish(session, Command.COMPLETE, sink, changes=result)
    except Stopped:
        sink.close()
        _stopped(session, sink)
    except StaleAttempt:
        raise
    except Refusal as refusal:
        _refused(session, sink, refusal)
    except Exception as error:  # noqa: BLE001 - whatever a job raises is its end, not the worker's
        sink.log("".join(traceback.format_exception(error)), "error")
        _close_quietly(sink)
        error_said(session, error)
        return CRASHED
    return 0


def _work(session: Session, sink: DbSink) -> dict[str, Any]:
    """Run the job and return the columns of its result."""
    module, _, name = JOBS[session.kind].partition(":")
    job: Callable[[Session, DbSink], dict[str, Any]] = getattr(import_module(module), name)
    if session.verifies_id is None:
        return job(session, sink)
    from apps.sessions import verifying

    verifying.prepare(session)
    result = job(session, sink)
    sink.flush()  # The comparison reads the curves from the log.
    return verifying.verification_columns(session, result)


def _listen_to_signals(sink: DbSink) -> None:
    """SIGTERM means: save and stop. SIGINT belongs to the terminal of whoever started us."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sink.request_stop("shutdown"))
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _choose_gpu() -> None:
    """Let this process see the GPU with most free memory alone, where there are several and nobody has chosen."""
    index = roomiest(Gpus().memory()) if "CUDA_VISIBLE_DEVICES" not in os.environ else None
    if index is not None:
        os.environ |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(index)}


def _stopped(session: Session, sink: DbSink) -> None:
    """Say how a run ended that saved its state: by what was wanted of it when it stopped."""
    status = Session.objects.values_list("status", flat=True).get(pk=session.pk)
    if status == State.PAUSING:
        _finish(session, Command.PAUSE, sink)
    elif status == State.CANCELLING:
        _finish(session, Command.CANCEL, sink)
    elif sink.stop_reason == "time_limit":
        _finish(session, Command.INTERRUPT, sink, "time_limit", {"limit": session.time_limit})
    else:
        _finish(session, Command.REQUEUE, sink, "shutdown")


def _refused(session: Session, sink: DbSink, refusal: Refusal) -> None:
    """A refusal is final, except a full disk: that one can be mended and resumed."""
    sink.log(str(refusal), "error")
    if refusal.code == "nan_metric":
        name, value, step = (refusal.params.get(key, "") for key in ("name", "value", "step"))
        found = {"name": name, "value": value, "measured": value, "threshold": None, "since_step": step or 0}
        sink.flag("not_finite", found, int(step or 0))
    _close_quietly(sink)
    command = Command.INTERRUPT if refusal.code == "disk_full" else Command.FAIL
    reason = {"message": refusal.message, **refusal.params}
    _finish(session, command, sink, refusal.code, reason)


def _close_quietly(sink: DbSink) -> None:
    try:
        sink.close()
    except Exception:  # noqa: BLE001 - the first error is the one that matters
        traceback.print_exc(file=sys.stderr)


def _finish(
    session: Session,
    command: Command,
    sink: DbSink,
    reason_code: str = "",
    reason: dict[str, Any] | None = None,
    changes: dict[str, Any] | None = None,
) -> None:
    session_command(
        session_id=session.pk,
        command=command,
        attempt=session.attempt,
        reason_code=reason_code,
        reason=reason,
        changes={"seconds_used": sink.seconds_used(), **(changes or {})},
    )
