"""Sessions that are silent beyond their lease although their process works: a full machine, or a clock set ahead."""

from __future__ import annotations

import time
from collections.abc import Collection

import psutil
from django.conf import settings

from apps.sessions.models import Session
from apps.sessions.runner.children import RUN_SESSION, WARM_COMMAND
from apps.sessions.services.frozen import stands_still
from apps.sessions.services.workers import worker_name

#: A session and its attempt.
Run = tuple[int, int]


def works(pid: int) -> bool:
    """Tell whether ``pid`` of this host is a session's process that lives and that no signal has stopped."""
    try:
        process = psutil.Process(pid)
        ours = {RUN_SESSION, WARM_COMMAND} & set(process.cmdline())
        return bool(ours) and process.status() != psutil.STATUS_ZOMBIE and not stands_still(pid)
    except psutil.Error:
        return False


class Starved:
    """Waits ``QP_STARVED_SECONDS`` longer for runs of this host whose process works (ADR 0090).

    The wait is counted on the clock that nobody sets, from the first look at which the run was silent.
    """

    def __init__(self) -> None:
        self._since: dict[Run, float] = {}

    def given_time(self, silent: Collection[Run]) -> set[Run]:
        """Return those of ``silent`` (all that are silent now) that are left to their process for now."""
        now = time.monotonic()
        self._since = {run: self._since.get(run, now) for run in silent}
        recent = [run for run, since in self._since.items() if now - since < settings.QP_STARVED_SECONDS]
        mine = Session.objects.filter(
            pk__in=[pk for pk, _ in recent], worker__startswith=f"{worker_name()}:", pid__isnull=False
        )
        found = mine.values_list("pk", "attempt", "pid") if recent else ()
        return {(pk, attempt) for pk, attempt, pid in found if (pk, attempt) in recent and works(pid or 0)}
