"""The child process of an import (internal)."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.marketdata.adapters.import_runner import run_attempt
from apps.marketdata.engine.import_states import ImportState
from apps.marketdata.models import ImportJob
from apps.marketdata.services.import_jobs import WORKER_LEASE


class Command(BaseCommand):
    help = "Run one attempt of an import that a worker has claimed (internal)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", type=int)
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        rows = ImportJob.objects.select_related("owner").filter(pk=options["job"], attempt=options["attempt"])
        job = rows.filter(state__in=(ImportState.RUNNING, ImportState.CANCELLING)).first()
        if job is not None:
            sys.exit(run_attempt(job, on_signal=True, lease=WORKER_LEASE))
