"""What django-q2 runs: imports when the bell rings, and what is on a schedule."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from apps.marketdata.adapters.import_runner import launch
from apps.marketdata.engine.import_states import ImportState
from apps.marketdata.models import Dataset, ImportJob, ImportOrigin
from apps.marketdata.selectors import dataset_list
from apps.marketdata.services import dataset_check
from apps.marketdata.services.import_jobs import import_claim, import_recover, import_tidy, ring
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
