"""What pages, API and commands show of an import."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext

from apps.marketdata.engine.import_states import LIVE, ImportState, allowed
from apps.marketdata.models import ImportJob


def reason_text(job: ImportJob) -> str:
    """Return why nothing was imported, in the reader's language; empty where there is nothing to say."""
    if not job.reason:
        return ""
    text = gettext(job.reason["message"])
    return text % job.params if job.params else text


def seconds_left(job: ImportJob, now: datetime | None = None) -> float | None:
    """Return the seconds left by the speed of this attempt; None where nothing tells yet."""
    done = job.progress - job.progress_before
    if job.state != ImportState.RUNNING or job.attempt_started is None or done < 0.02:
        return None
    spent = ((now or timezone.now()) - job.attempt_started).total_seconds()
    return max(0.0, spent * (1.0 - job.progress) / done)


def elapsed(job: ImportJob) -> timedelta | None:
    """Return the time since it first started, to its end where it has one."""
    if job.started_at is None:
        return None
    return (job.finished_at or timezone.now()) - job.started_at


def import_document(job: ImportJob) -> dict[str, Any]:
    """Return an import for programs."""
    left, spent = seconds_left(job), elapsed(job)
    return {
        "id": job.pk, "state": job.state, "dataset_name": job.name, "file": job.file, "origin": job.origin,
        "stage": job.stage, "at": job.current, "progress": round(job.progress, 4),
        "rows": job.rows_read, "bytes": job.bytes_read, "bytes_total": job.bytes_total,
        "files": job.files_read, "files_total": job.files_total,
        "seconds": round(spent.total_seconds(), 1) if spent else 0.0,
        "seconds_left": None if left is None else round(left, 1),
        "reason_code": job.reason_code, "reason": reason_text(job), "field": job.reason.get("field", ""),
        "details": job.params, "attempt": job.attempt, "can": [str(order) for order in allowed(job.state)],
        "dataset": {"id": job.dataset.pk, "name": str(job.dataset)} if job.dataset else None,
        "owner": job.owner.username if job.owner else None, "created": job.created.isoformat(),
        "finished": job.finished_at.isoformat() if job.finished_at else None,
    }  # fmt: skip


def import_context(job: ImportJob) -> dict[str, Any]:
    """Return what the page and its fragment show."""
    left = seconds_left(job)
    return {
        "job": job, "live": job.state in LIVE, "reason": reason_text(job), "left": left, "elapsed": elapsed(job),
        "done_at": timezone.now() + timedelta(seconds=left) if left is not None else None,
        "orders": [str(order) for order in allowed(job.state)], "percent": int(100 * job.progress),
        "checks": job.dataset.checks.first() if job.dataset else None,
    }  # fmt: skip
