"""What django-q2 runs: imports and syncs when the bell rings, and what is on a schedule."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from django.db import close_old_connections, connection
from django.utils import timezone

from apps.marketdata.adapters.import_runner import launch
from apps.marketdata.engine.import_states import ImportState
from apps.marketdata.models import Dataset, ImportJob, ImportOrigin, Source, SyncRun, SyncState, SyncTrigger
from apps.marketdata.selectors import dataset_list
from apps.marketdata.services import dataset_check
from apps.marketdata.services.import_jobs import import_claim, import_recover, import_tidy, ring
from apps.marketdata.services.sources import source_arm
from apps.marketdata.services.syncing import claim_next, lost_runs, ring_for_syncs, sync_execute, sync_request
from apps.ui.engine.refusal import Refusal

log = logging.getLogger(__name__)


def check_all() -> dict[str, int]:
    """Check the newest version of every dataset again; one that cannot be read does not stop the others."""
    done = failed = 0
    for dataset in list(dataset_list(None)):
        try:
            dataset_check(Dataset.objects.get(pk=dataset.pk))
            done += 1
        except Refusal as refusal:
            failed += 1
            log.warning("%s was not checked: %s", dataset, refusal)
    return {"checked": done, "failed": failed}


def run_imports() -> int:
    """Run waiting imports until none can start; return how many ran."""
    done = 0
    while not draining() and (job := import_claim()) is not None:
        launch(job)
        done += 1
    return done


def imports_due() -> dict[str, int]:
    """Take back imports whose process died, and ring for those that wait."""
    taken = import_recover()
    import_tidy()
    waiting = ImportJob.objects.filter(state=ImportState.QUEUED).exclude(origin=ImportOrigin.COMMAND).count()
    if waiting:
        ring()
    return {"taken_back": taken, "waiting": waiting}


def draining() -> bool:
    """Tell whether the supervisor has asked for no new jobs."""
    path = os.environ.get("QP_DRAIN_FILE", "")
    return bool(path) and Path(path).exists()


def sync_source(pk: int) -> int:
    """Ask one source because its time has come, then do what waits; return how many syncs that were."""
    source = Source.objects.select_related("owner").filter(pk=pk, paused_at=None).first()
    if source is not None:
        # The next time is written down first: a worker that dies takes one sync along, not the schedule.
        source_arm(source, timezone.now())
        try:
            sync_request(
                source, actor=None, trigger=SyncTrigger.RETRY if source.failures else SyncTrigger.SCHEDULE, ring=False
            )
        except Refusal as refusal:
            log.warning("%s was not synced: %s", source, refusal)
    return run_syncs()


def run_syncs() -> int:
    """Carry out the syncs that wait, as many at once as the settings allow; return how many this worker did."""
    done = 0
    while not draining() and (run := claim_next()) is not None:
        sync_execute(run)
        if not connection.in_atomic_block:
            close_old_connections()
        done += 1
    return done


def syncs_due() -> dict[str, int]:
    """End the syncs whose process died, and ring for those that wait."""
    taken = lost_runs()
    waiting = SyncRun.objects.filter(state=SyncState.QUEUED).count()
    if waiting:
        ring_for_syncs()
    return {"taken_back": taken, "waiting": waiting}
