"""Keeps wanted feeds of quotes running: a process each, started beside the reaper and ended with it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.marketdata.services.feeds import embedded_replay, feeds_due
from apps.sessions.services.workers import worker_draining
from apps.ui.engine.refusal import Refusal

log = logging.getLogger(__name__)
#: Feeds of one host; each is a process of about 100 MB.
MOST = 8
GRACE = 2.5


def start_feed(name: str) -> subprocess.Popen[bytes]:
    """Start the process that runs the feed ``name`` and dies with this one."""
    tied = [sys.executable, "-m", "quant_platform.supervisor.tied", str(os.getpid())]
    manage = str(Path(settings.BASE_DIR) / "manage.py")
    return subprocess.Popen([*tied, manage, "quotes", "run", "--feed", name, "--kept"])  # noqa: S603 - our own command


class FeedKeeper:
    """Looks at what is wanted whenever ``look`` is called. Which host runs a feed is decided by its claim."""

    def __init__(self, start: Callable[[str], Any] = start_feed) -> None:
        self._start = start
        self.running: dict[int, Any] = {}
        self._embedded = False

    def look(self) -> None:
        """Start what is due and not started here; forget what has ended."""
        if not self._embedded:
            self._embedded = True
            try:
                embedded_replay()
            except Refusal as refusal:
                log.warning("QP_QUOTES_REPLAY: %s", refusal)
        self.running = {pk: process for pk, process in self.running.items() if process.poll() is None}
        if worker_draining():
            return
        for feed in feeds_due():
            if feed.pk not in self.running and len(self.running) < MOST:
                log.info("The feed %s is started.", feed.name)
                self.running[feed.pk] = self._start(feed.name)

    def close(self) -> None:
        """Ask every feed to store what it has and end, and wait a little for it."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
