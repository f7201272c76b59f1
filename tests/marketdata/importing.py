"""What tests of imports share: running what waits, as a worker would."""

from __future__ import annotations

from apps.marketdata.models import ImportJob
from apps.marketdata.tasks import run_imports


def work(settings) -> ImportJob:
    """Run every waiting import in this process and return the newest."""
    settings.SESSION_RUNNER = "inline"
    run_imports()
    return ImportJob.objects.latest("id")
