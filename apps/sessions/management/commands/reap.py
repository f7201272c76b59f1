"""Keeps an eye on the queue beside the workers (internal; ``serve`` starts it)."""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import UTC, datetime
from typing import Any

import psutil
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections

from apps.sessions.engine.load import Load
from apps.sessions.runner.feeds import FeedKeeper
from apps.sessions.runner.process import die_with_parent
from apps.sessions.services.frozen import Frozen
from apps.sessions.services.reaper import reap_once
from apps.sessions.services.starved import Starved
from apps.sessions.services.workers import beat

DEAF_PAUSE = 20.0


class Command(BaseCommand):
    help = "Take back expired leases, ring for waiting sessions and keep feeds running until told to stop (internal)."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        supervisor = int(os.environ.get("QP_SUPERVISOR_PID", "0"))
        die_with_parent(supervisor)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        keeper = FeedKeeper()
        try:
            self._watch(supervisor, keeper)
        finally:
            keeper.close()

    def _watch(self, supervisor: int, keeper: FeedKeeper) -> None:
        quiet_until, load, frozen, starved = 0.0, Load(settings.QP_CPU_BUSY), Frozen(), Starved()
        psutil.cpu_percent()  # The first reading is a start to count from.
        while True:
            try:
                since = load.feed(psutil.cpu_percent() / 100, time.time())
                beat(datetime.fromtimestamp(since, tz=UTC) if since is not None else None)
                deaf = reap_once(starved).deaf
                frozen.look()
                keeper.look()
            except DatabaseError as error:
                self.stderr.write(f"reap: {error}")
                close_old_connections()
                deaf = False
            if deaf and supervisor and time.monotonic() > quiet_until and hasattr(signal, "SIGUSR1"):
                quiet_until = time.monotonic() + DEAF_PAUSE
                self.stderr.write("reap: sessions wait although slots are free; asking for a new cluster")
                os.kill(supervisor, signal.SIGUSR1)
            time.sleep(settings.QP_REAPER_SECONDS)
