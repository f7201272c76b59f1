"""What django-q2 runs on a schedule."""

from __future__ import annotations

import logging

from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_list
from apps.marketdata.services import dataset_check
from apps.ui.engine.refusal import Refusal

CHECK_ALL = "apps.marketdata.tasks.check_all"
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
