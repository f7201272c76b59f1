"""Imports as jobs: asked for, ordered about, claimed, taken back from the dead.

The row is the queue (docs/decisions/0037): a worker claims it by compare-and-set, whoever runs it
renews a lease, and what its process left unfinished is taken back.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django_q.tasks import async_task

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.marketdata.engine.import_states import ON_A_WORKER, ImportOrder, ImportState, next_state
from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.readers.folder import NO_FILE
from apps.marketdata.models import Adjustment, Dataset, ImportJob, ImportOrigin, ImportStage
from apps.marketdata.services.imports import check_calendar, check_labels, forget_read
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

TASK = "apps.marketdata.tasks.run_imports"
#: A worker renews every few seconds; a command can only between two files or blocks.
WORKER_LEASE, COMMAND_LEASE = timedelta(seconds=30), timedelta(minutes=15)
MOST_CRASHES, KEPT_DAYS = 3, 7
CRASHED = N_("The process that imported it died %(count)s times. The last lines of its log: %(detail)s")
GONE = N_("There is no file %(file)s any more.")
NO_CHOICE = N_("%(value)s is none of %(known)s.")


def import_start(
    *,
    path: Path,
    name: str,
    options: ReadOptions,
    owner: User | None,
    origin: str,
    title: str = "",
    adjustment: str = "raw",
    calendar: str = "",
    licence: str = "",
    tags: Sequence[str] = (),
    uploaded: bool = False,
) -> ImportJob:
    """Queue the import of a file or folder; what can be refused without reading it is refused now.

    A command that was interrupted and is given again goes on with the same job. Raises ``Refusal``:
    ``bad_dataset_name``, ``dataset_name_taken``, ``no_such_file``, ``unknown_calendar``, ``invalid_tags`` …
    """
    if adjustment not in Adjustment.values:
        known = ", ".join(Adjustment.values)
        raise Refusal("unknown_choice", NO_CHOICE, field="adjustment", value=adjustment[:20], known=known)
    check_labels(name, owner, tags, licence)
    check_calendar(calendar)
    if not path.exists():
        raise Refusal("no_such_file", NO_FILE, status=404, field="file", file=str(path))
    labels = {
        "title": title[:120],
        "adjustment": adjustment,
        "calendar": calendar,
        "licence": licence,
        "tags": list(tags),
    }
    asked = {"owner": owner, "name": name, "path": str(path.resolve()), "options": asdict(options), "labels": labels}
    with transaction.atomic():
        job = _interrupted(asked) if origin == ImportOrigin.COMMAND else None
        if job is None:
            job = ImportJob.objects.create(**asked, origin=origin, uploaded=uploaded)
        else:
            _move(job, ImportOrder.RESUME, reason_code="", reason={})
        if uploaded:
            _keep(job)
        if origin != ImportOrigin.COMMAND:
            transaction.on_commit(ring)
    return job


def _interrupted(asked: dict[str, Any]) -> ImportJob | None:
    """Return the command's own job of before, where it was stopped or its process died."""
    import_recover()
    same = {key: value for key, value in asked.items() if key not in ("options", "labels")}
    for job in ImportJob.objects.filter(**same, state=ImportState.INTERRUPTED, origin=ImportOrigin.COMMAND)[:20]:
        if options_of(job) == _options(asked["options"]) and job.labels == asked["labels"]:
            return job
    return None


def _keep(job: ImportJob) -> None:
    """Move an upload into the job's folder, so that it is there for a resume and goes when it is done with."""
    old = Path(job.path)
    target = job_folder(job) / old.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(old, target)
    job.path = str(target.resolve())
    job.save(update_fields=["path"])


def job_folder(job: ImportJob) -> Path:
    """Return where a job keeps its log and, of an upload, the file."""
    return Path(settings.VAR_DIR) / "imports" / str(job.pk)


def options_of(job: ImportJob) -> ReadOptions:
    """Return how its file is to be read."""
    return _options(job.options)


def _options(document: dict[str, Any]) -> ReadOptions:
    return ReadOptions(**{**document, "columns": tuple(document.get("columns", ()))})


def ring() -> None:
    """Ask a worker to look at the queue; ringing twice does no harm."""
    async_task(TASK, q_options={"save": False, "ack_failure": True})


def _move(job: ImportJob, order: ImportOrder, **changes: Any) -> bool:
    """Change the state by compare-and-set; False where another process was quicker. Refuses what cannot be."""
    state = next_state(job.state, order)
    rows = ImportJob.objects.filter(pk=job.pk, state=job.state, attempt=job.attempt)
    if not rows.update(state=state, **changes):
        return False
    job.state = state
    for name, value in changes.items():
        if not hasattr(value, "resolve_expression"):
            setattr(job, name, value)
    return True


def import_order(*, job: ImportJob, order: str, actor: User | None) -> ImportJob:
    """Cancel, resume or discard. Raises ``Refusal`` ``import_state`` (409)."""
    for _ in range(5):  # It may move on by itself meanwhile.
        job.refresh_from_db()
        with transaction.atomic():
            if not _ordered(job, ImportOrder(order)):
                continue
            audit(actor, f"import.{order}", job, {"name": job.name, "file": job.file})
        return job
    raise Refusal("import_state", N_("The import is changing right now. Try again."), status=409)


def _ordered(job: ImportJob, order: ImportOrder) -> bool:
    now = timezone.now()
    if order == ImportOrder.RESUME:
        if not Path(job.path).exists():
            raise Refusal("no_such_file", GONE, status=409, field="file", file=job.file)
        done = _move(
            job, order, reason_code="", reason={}, crashes=0, finished_at=None, stage=ImportStage.WAITING,
            origin=ImportOrigin.PAGE if job.origin == ImportOrigin.COMMAND else job.origin,
        )  # fmt: skip
        if done:
            transaction.on_commit(ring)
        return done
    ends = order == ImportOrder.DISCARD or job.state == ImportState.QUEUED
    done = _move(job, order, **({"finished_at": now} if ends else {}))
    if done and order == ImportOrder.DISCARD:
        transaction.on_commit(lambda: forget(job))
    return done


def forget(job: ImportJob) -> None:
    """Remove what was kept for going on: what was read of it and, of an upload, the file."""
    forget_read(Path(job.path), options_of(job))
    shutil.rmtree(job_folder(job), ignore_errors=True)


def process_name() -> str:
    """Return this host and process, as a job remembers who runs it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def import_claim(job_id: int | None = None) -> ImportJob | None:
    """Take the next waiting import, or the one asked for; one at a time on workers, so that memory stays small."""
    rows = ImportJob.objects.filter(state=ImportState.QUEUED)
    if job_id is None:
        if ImportJob.objects.filter(state__in=ON_A_WORKER).exclude(origin=ImportOrigin.COMMAND).exists():
            return None
        rows = rows.exclude(origin=ImportOrigin.COMMAND)
    else:
        rows = rows.filter(pk=job_id)
    for job in rows.order_by("id")[:10]:
        now = timezone.now()
        lease = WORKER_LEASE if job_id is None else COMMAND_LEASE
        claimed = _move(
            job, ImportOrder.START, attempt=job.attempt + 1, worker=process_name(), leased_until=now + lease,
            started_at=job.started_at or now, attempt_started=now, stage=ImportStage.READING,
        )  # fmt: skip
        if claimed:
            return job
    return None


def import_renew(job: ImportJob, lease: timedelta = WORKER_LEASE) -> str:
    """Say that its process lives and return the state wanted of it; empty where another attempt has taken over."""
    rows = ImportJob.objects.filter(pk=job.pk, attempt=job.attempt, state__in=ON_A_WORKER)
    rows.update(leased_until=timezone.now() + lease)
    return rows.values_list("state", flat=True).first() or ""


def import_complete(job: ImportJob, dataset: Dataset) -> bool:
    """Note the dataset it became."""
    return _ended(
        job, ImportOrder.COMPLETE, dataset=dataset, progress=1.0, rows_read=dataset.rows, bytes_read=job.bytes_total,
        files_read=job.files_total, current="",
    )  # fmt: skip


def import_fail(job: ImportJob, refusal: Refusal) -> bool:
    """Note why nothing was imported: the sentence with file, line, column, value and cure."""
    reason = {"message": refusal.message, "field": refusal.field or "", "params": _plain(refusal.params)}
    return _ended(job, ImportOrder.FAIL, reason_code=refusal.code[:40], reason=reason)


def import_halt(job: ImportJob, order: ImportOrder) -> bool:
    """Note that it stopped and can go on: by order (``HALT``), or because its worker goes (``REQUEUE``)."""
    done = _ended(job, order, **({"finished_at": None} if order == ImportOrder.REQUEUE else {}))
    if done and job.state == ImportState.QUEUED:
        transaction.on_commit(ring)
    return done


def _ended(job: ImportJob, order: ImportOrder, **changes: Any) -> bool:
    changes = {"finished_at": timezone.now(), "leased_until": None, "worker": "", **changes}
    for _ in range(5):
        now = ImportJob.objects.filter(pk=job.pk, attempt=job.attempt).values_list("state", flat=True).first()
        if now not in ON_A_WORKER:
            return False
        job.state = now
        if _move(job, order, **changes):
            return True
    return False


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """Return the params as JSON holds them."""
    return {
        key: value if isinstance(value, int | float | bool) or value is None else str(value)
        for key, value in params.items()
    }


def import_lost(job: ImportJob, detail: str = "") -> bool:
    """Take back a job whose process died: a worker's runs again, a command's waits for its person."""
    job.refresh_from_db(fields=["state", "crashes"])
    if job.origin == ImportOrigin.COMMAND or job.state == ImportState.CANCELLING:
        return import_halt(job, ImportOrder.HALT)
    if job.crashes + 1 >= MOST_CRASHES:
        return import_fail(job, Refusal("import_crashed", CRASHED, count=MOST_CRASHES, detail=detail[-400:] or "–"))
    ImportJob.objects.filter(pk=job.pk, attempt=job.attempt).update(crashes=F("crashes") + 1)
    return import_halt(job, ImportOrder.REQUEUE)


def import_recover() -> int:
    """Take back what dead processes left; return how many."""
    host = socket.gethostname()
    running = ImportJob.objects.filter(state__in=ON_A_WORKER)
    expired = Q(leased_until=None) | Q(leased_until__lt=timezone.now())
    lost = [
        job for job in running.filter(expired | Q(worker__startswith=f"{host}:"))
        if job.leased_until is None or job.leased_until < timezone.now() or not _alive(job.worker, host)
    ]  # fmt: skip
    return sum(import_lost(job) for job in lost)


def import_tidy(days: int = KEPT_DAYS) -> int:
    """Discard what failed or was interrupted and nobody came back for: uploads and half-read files take disk."""
    old = ImportJob.objects.filter(
        state__in=(ImportState.FAILED, ImportState.INTERRUPTED), finished_at__lt=timezone.now() - timedelta(days=days)
    )
    return sum(_ordered(job, ImportOrder.DISCARD) for job in old[:100])


def _alive(worker: str, host: str) -> bool:
    name, _, pid = worker.rpartition(":")
    return name != host or (pid.isdecimal() and psutil.pid_exists(int(pid)))
