"""Following a session from the command line: a worker's, or one run on the spot."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from apps.accounts.models import Role, User
from apps.sessions.engine.states import ACTIVE, State
from apps.sessions.models import Session
from apps.sessions.notices import reason_text
from apps.sessions.runner.launcher import launch
from apps.sessions.selectors import session_folder
from apps.sessions.services.claim import claim
from apps.sessions.services.workers import workers_alive
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

POLL_SECONDS = 0.3


def acting_user(name: str) -> User:
    """Return the user of ``--user``, or the first administrator."""
    rows = User.objects.filter(is_active=True)
    found = rows.filter(username=name).first() if name else rows.filter(role=Role.ADMINISTRATOR).order_by("id").first()
    if found is None:
        raise CommandError(
            f"There is no user {name}." if name else "There is no administrator yet: run createsuperuser or demo."
        )
    return found


def refused(error: Refusal) -> CommandError:
    """Return a refusal as the command's error, field by field."""
    errors = getattr(error, "errors", None)
    if errors:
        return CommandError("\n".join(f"{item.field}: {item.message % item.params}" for item in errors))
    return CommandError(refusal_text(error))


def follow(session: Session, *, watch: bool) -> Session:
    """Wait for ``session``, with a bar on standard error; without a worker, run it here.

    Ctrl-C stops the watching, never the session of a worker.
    """
    if not workers_alive() and claim(session.pk, session.attempt, "command line"):
        _run_here(Session.objects.get(pk=session.pk), watch)
        return Session.objects.get(pk=session.pk)
    _show(session.pk, watch, until_done=True)
    return Session.objects.get(pk=session.pk)


def _run_here(session: Session, watch: bool) -> None:
    import threading

    thread = threading.Thread(target=_show, args=(session.pk, watch), kwargs={"until_done": True}, daemon=True)
    if watch:
        thread.start()
    while True:
        launch(session)
        session.refresh_from_db()
        if session.status != State.QUEUED or not claim(session.pk, session.attempt, "command line"):
            break
        session = Session.objects.get(pk=session.pk)
    if watch:
        thread.join(5)


def _show(session_id: int, watch: bool, *, until_done: bool) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), disable=not watch, transient=False) as bar:
        task = bar.add_task("waiting", total=1.0, note="")
        while until_done:
            session = Session.objects.get(pk=session_id)
            info = session.progress_info
            note = f"{info.get('unit', '')} {info.get('done', 0):g} of {info.get('total', 0):g}" if info else ""
            bar.update(task, completed=session.progress, description=session.get_status_display(), note=note)
            if session.status not in ACTIVE:
                return
            time.sleep(POLL_SECONDS)


def outcome(session: Session) -> dict[str, Any]:
    """Return the result document of a session that has ended."""
    return {
        "session": session.pk,
        "status": session.status,
        "reason": reason_text(session.reason_code, session.reason) or None,
        "total_return": session.result_return,
        "sharpe": session.result_sharpe,
        "out_of_sample": session.out_of_sample,
        "seconds": round(session.seconds_used, 3),
        "folder": str(session_folder(session.pk)),
        "result": session.summary,
    }
