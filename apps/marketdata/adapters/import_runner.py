"""Runs a claimed import: the launcher in a worker, which watches a child process, and the attempt itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from datetime import timedelta
from pathlib import Path

import psutil
from django.conf import settings
from django.db import DatabaseError, close_old_connections

from apps.marketdata.adapters.import_progress import JobProgress, Stopped
from apps.marketdata.engine.import_states import ImportOrder, ImportState
from apps.marketdata.models import Dataset, ImportJob
from apps.marketdata.services.import_jobs import (
    COMMAND_LEASE,
    forget,
    import_complete,
    import_fail,
    import_halt,
    import_lost,
    import_renew,
    job_folder,
    options_of,
)
from apps.marketdata.services.imports import dataset_import_path
from apps.ui.engine.refusal import Refusal

POLL_SECONDS, RENEW_SECONDS = 0.1, 2.0
SAID, CRASHED = 0, 1


def launch(job: ImportJob) -> None:
    """Run a claimed job to the end of its attempt, in a child process unless sessions run inline too."""
    if settings.SESSION_RUNNER == "inline":
        if run_attempt(job) == CRASHED:
            import_lost(job)
        return
    folder = job_folder(job)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and integers
            [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "run_import", str(job.pk), str(job.attempt)],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, env=_environment(),
        )  # fmt: skip
    code = _watch(process, job)
    close_old_connections()  # It may have idled for hours.
    if code != SAID:
        import_lost(job, _last_words(log))


def _environment() -> dict[str, str]:
    return {
        **os.environ, "DJANGO_SETTINGS_MODULE": "quant_platform.settings.child", "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "QP_PARENT_PID": str(os.getpid()),
    }  # fmt: skip


def _watch(process: subprocess.Popen[bytes], job: ImportJob) -> int:
    """Wait for the child and renew its lease; end one that another attempt has replaced, or that does not cancel."""
    next_renewal = asked_at = 0.0
    while (code := process.poll()) is None:
        time.sleep(POLL_SECONDS)
        now = time.monotonic()
        if now < next_renewal:
            continue
        next_renewal = now + RENEW_SECONDS
        try:
            state = import_renew(job)
        except DatabaseError:
            close_old_connections()
            continue
        asked_at = asked_at or (now if state == ImportState.CANCELLING else 0.0)
        if not state and process.poll() is None:
            process.kill()
        elif _supervisor_gone():
            process.terminate()  # It stops at the next block and waits to be run again.
        elif asked_at and now - asked_at > settings.QP_CANCEL_GRACE_SECONDS + STUBBORN_SECONDS:
            process.kill()
    return int(code)


def _supervisor_gone() -> bool:
    pid = int(os.environ.get("QP_SUPERVISOR_PID", "0"))
    return pid > 0 and not psutil.pid_exists(pid)


#: A block is parsed, or the bars are checked, to the end before a child looks at its orders.
STUBBORN_SECONDS = 60.0


def _last_words(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")[-400:].strip()
    except OSError:
        return ""


def run_attempt(job: ImportJob, *, on_signal: bool = False, lease: timedelta | None = None) -> int:
    """Import, and say how it ended; returns 1 where it could not (a crash), 0 otherwise."""
    progress = JobProgress(job, lease or COMMAND_LEASE)
    if on_signal and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: progress.leave())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import_now(job, progress)
    except Stopped as stopped:
        import_halt(job, ImportOrder.REQUEUE if stopped.leaving else ImportOrder.HALT)
    except Refusal as refusal:
        import_fail(job, refusal)
    except Exception as error:  # noqa: BLE001 - whatever a reader raises is the job's end, not the worker's
        traceback.print_exception(error, file=sys.stderr)
        return CRASHED
    return SAID


def import_now(job: ImportJob, progress: JobProgress) -> Dataset:
    """Read, check and store; raises what the reader refuses, and ``Stopped``."""
    labels = job.labels
    dataset = dataset_import_path(
        Path(job.path), name=job.name, options=options_of(job), owner=job.owner, title=labels["title"],
        adjustment=labels["adjustment"], calendar=labels["calendar"], licence=labels["licence"], tags=labels["tags"],
        on_progress=progress, on_stage=progress.stage,
    )  # fmt: skip
    if import_complete(job, dataset):
        forget(job)
    return dataset
