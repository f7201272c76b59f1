"""What django-q2 calls: the doorbell rang, so look at the queue."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from django.db import close_old_connections

from apps.marketdata.services.quotes import quotes_drop
from apps.sessions.runner.launcher import launch
from apps.sessions.runner.process import supervisor_gone
from apps.sessions.services.archiving import retain
from apps.sessions.services.claim import claim_next
from apps.sessions.services.measuring import measure
from apps.sessions.services.performance import summaries_repair
from apps.sessions.services.workers import launcher_name, worker_draining

#: A worker that keeps house starts no session meanwhile.
HOUSEKEEPING_SECONDS = 60.0


def draining() -> bool:
    """Tell whether the supervisor or an administrator has asked for no new jobs, or the supervisor is gone."""
    path = os.environ.get("QP_DRAIN_FILE", "")
    return (bool(path) and Path(path).exists()) or supervisor_gone() or worker_draining()


def run_next() -> int:
    """Run waiting sessions until none can start; return how many ran."""
    done = 0
    while not draining():
        session = claim_next(launcher_name())
        if session is None:
            break
        launch(session)
        close_old_connections()
        done += 1
    return done


def housekeeping() -> dict[str, int]:
    """Archive and drop runs' rows, then old quotes, then mend figures and summaries that fell behind,
    ``HOUSEKEEPING_SECONDS`` each; it comes again in an hour."""
    done = asdict(retain(seconds=HOUSEKEEPING_SECONDS))
    dropped = quotes_drop(seconds=HOUSEKEEPING_SECONDS)
    measured = measure(seconds=HOUSEKEEPING_SECONDS)
    return {**done, "dropped_quotes": dropped, "measured": measured, "summaries": summaries_repair()}
