"""Syncs: asked for, claimed by one worker, carried out, ended; each is whole or did nothing."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.engine.redact import redacted
from apps.accounts.models import User
from apps.accounts.notices import notify
from apps.accounts.services import audit
from apps.marketdata.engine.sources.port import Stopped, TryAgain
from apps.marketdata.engine.sources.registry import ready_source
from apps.marketdata.models import Source, SyncRun, SyncState, SyncTrigger
from apps.marketdata.services.sources import source_arm
from apps.marketdata.services.sync_steps import Outcome, Watch, carry_out
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

RUN_SYNCS = "apps.marketdata.tasks.run_syncs"
RUNNING_ALREADY = N_("A sync of %(source)s is waiting or running already.")
BROKEN = N_("The source's program failed: %(reason)s. The log of the worker says where.")
LOST = N_("The worker stopped without a word; nothing was stored. The next sync begins where this one began.")
ENDED = N_("It was ended from outside; nothing was stored.")
#: A worker of another host that was silent this long is taken for dead; of this host the process is looked for.
SILENT = timedelta(minutes=15)
#: Runs kept of each source.
KEPT_RUNS = 500
logger = logging.getLogger(__name__)


def scratch_root() -> Path:
    """Return where syncs keep what they have fetched until it is stored."""
    return Path(settings.VAR_DIR) / "syncs"


def worker_name() -> str:
    """Return the name of this process; its start tells it from another that is given the same number later."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def sync_request(
    source: Source, *, actor: User | None, trigger: str = SyncTrigger.PERSON, whole: bool = False, ring: bool = True
) -> SyncRun:
    """Ask for a sync and ring for a worker. Raises ``Refusal``: ``sync_running``, ``package_missing`` …"""
    if trigger in (SyncTrigger.PERSON, SyncTrigger.COMMAND):
        ready_source(source.kind)  # who waits for it is told at once; a schedule's run says it in the history
    lost_runs()
    try:
        with transaction.atomic():
            run = SyncRun.objects.create(
                source=source, requested_by=actor, trigger=trigger, whole=whole, config=source.config
            )
            if trigger in (SyncTrigger.PERSON, SyncTrigger.COMMAND):
                audit(actor, "source.sync", source, {"name": source.name, "whole": whole})
            if ring:
                transaction.on_commit(ring_for_syncs)
    except IntegrityError as error:
        raise Refusal("sync_running", RUNNING_ALREADY, status=409, source=source.name) from error
    return run


def ring_for_syncs() -> None:
    """Ask a worker to look at the syncs that wait; ringing twice does no harm."""
    from django_q.tasks import async_task

    async_task(RUN_SYNCS, q_options={"save": False, "ack_failure": True})


def sync_stop(run: SyncRun, *, actor: User | None) -> bool:
    """Ask a sync to end: at once where it waits, at its next step where it runs. False: it has ended already."""
    now = timezone.now()
    waiting = SyncRun.objects.filter(pk=run.pk, state=SyncState.QUEUED)
    running = SyncRun.objects.filter(pk=run.pk, state=SyncState.RUNNING)
    with transaction.atomic():
        done = waiting.update(state=SyncState.CANCELLED, ended_at=now, stop_requested_at=now)
        done = done or running.update(stop_requested_at=now)
        if done:
            audit(actor, "source.stop", run.source, {"name": run.source.name})
    return bool(done)


def lost_runs() -> int:
    """End the runs whose process is gone; return how many that were."""
    lost = 0
    for run in SyncRun.objects.filter(state=SyncState.RUNNING).select_related("source"):
        if not alive(run):
            lost += _end(run, SyncState.INTERRUPTED, reason={"code": "lost", "message": LOST, "params": {}})
            shutil.rmtree(scratch_root() / str(run.pk), ignore_errors=True)
    return lost


def alive(run: SyncRun) -> bool:
    """Tell whether the process that runs it still lives."""
    host, pid, born = (*run.worker.split(":"), "", "")[:3]
    if host != socket.gethostname():
        return run.started_at is not None and timezone.now() - (_beat(run)) < SILENT
    try:
        return f"{psutil.Process(int(pid)).create_time():.0f}" == born
    except (psutil.Error, ValueError):
        return False


def _beat(run: SyncRun) -> Any:
    return run.beat_at or run.started_at


def claim(run: SyncRun) -> bool:
    """Take a waiting run for this process; False where another was faster or it was stopped."""
    now = timezone.now()
    taken = SyncRun.objects.filter(pk=run.pk, state=SyncState.QUEUED)
    if not taken.update(state=SyncState.RUNNING, started_at=now, beat_at=now, worker=worker_name()):
        return False
    run.refresh_from_db()
    return True


def claim_next() -> SyncRun | None:
    """Take the run that waits longest, if fewer than ``QP_SYNCS`` run."""
    lost_runs()
    while SyncRun.objects.filter(state=SyncState.RUNNING).count() < int(settings.QP_SYNCS):
        waiting = SyncRun.objects.filter(state=SyncState.QUEUED).select_related("source__owner").order_by("id").first()
        if waiting is None:
            return None
        if claim(waiting):
            return waiting
    return None


def sync_execute(run: SyncRun) -> SyncRun:
    """Carry out a claimed run and end it; nothing it raises is left but what ends the process."""
    scratch = scratch_root() / str(run.pk)
    try:
        scratch.mkdir(parents=True)
        _succeed(run, carry_out(run, scratch, Watch(run)))
    except Stopped:
        _end(run, SyncState.CANCELLED)
    except Refusal as refusal:
        params = redacted({name: str(value) for name, value in refusal.params.items()})
        reason = {"code": refusal.code, "message": refusal.message, "params": params}
        _fail(run, reason, again=isinstance(refusal, TryAgain))
    except Exception as error:  # a package of somebody else's may raise anything
        logger.exception("sync %s of %s failed", run.pk, run.source.name)
        text = redacted(f"{type(error).__name__}: {error}"[:300])
        _fail(run, {"code": "source_failed", "message": BROKEN, "params": {"reason": text}}, again=True)
    except BaseException:
        _end(run, SyncState.INTERRUPTED, reason={"code": "ended", "message": ENDED, "params": {}})
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    run.refresh_from_db()
    return run


def _end(run: SyncRun, state: str, **values: Any) -> int:
    """Move a running run to ``state``; whoever comes second changes nothing."""
    now = timezone.now()
    rows = SyncRun.objects.filter(pk=run.pk, state=SyncState.RUNNING)
    return rows.update(state=state, ended_at=now, doing="", **values)


@transaction.atomic
def _succeed(run: SyncRun, outcome: Outcome) -> None:
    state = SyncState.COMPLETED if outcome.made else SyncState.UNCHANGED
    if not _end(run, state, progress=1.0, **outcome.record):
        return  # taken for dead meanwhile; what it stored is whole, and the next sync finds it
    # A configuration changed during the run has its own marks to make.
    Source.objects.filter(pk=run.source_id, config=run.config).update(marks=outcome.marks)
    Source.objects.filter(pk=run.source_id).update(failures=0)
    _trim(run.source_id)


@transaction.atomic
def _fail(run: SyncRun, reason: dict[str, Any], *, again: bool) -> None:
    source = Source.objects.select_related("owner").get(pk=run.source_id)
    failures, retries = source.failures + 1, int(settings.QP_SYNC_RETRIES)
    scheduled = source.config.get("when") != "manual" and source.paused_at is None
    now = timezone.now()
    retry_at = now + timedelta(minutes=2 ** (failures - 1)) if again and scheduled and failures <= retries else None
    if not _end(run, SyncState.FAILED, reason=reason, retry_at=retry_at):
        return
    source.failures = failures
    Source.objects.filter(pk=source.pk).update(failures=failures)
    source_arm(source, now, retry_at=retry_at)
    # Told once: when the retries are over, or at the first failure that none will mend.
    if run.trigger != SyncTrigger.PERSON and failures == (retries + 1 if again and scheduled else 1):
        notify(source.owner, "source.failed", "error", url=f"/data/sources/{source.pk}/", source=source.name)
    _trim(source.pk)


def _trim(source_id: int) -> None:
    last = SyncRun.objects.filter(source_id=source_id).order_by("-id").values_list("pk", flat=True)[KEPT_RUNS:]
    oldest = list(last[:100])
    if oldest:
        SyncRun.objects.filter(pk__in=oldest).delete()
