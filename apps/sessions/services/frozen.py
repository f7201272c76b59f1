"""Sessions whose process stands still (SIGSTOP, a debugger, a full freezer): taken back before their lease ends."""

from __future__ import annotations

import psutil

from apps.sessions.engine.states import ON_A_WORKER
from apps.sessions.models import Session
from apps.sessions.services.endings import attempt_lost
from apps.sessions.services.workers import worker_name


def stands_still(pid: int) -> bool:
    """Tell whether the process ``pid`` of this host is stopped by a signal; one that only computes or waits is not."""
    try:
        return psutil.Process(pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}
    except psutil.Error:
        return False


class Frozen:
    """Looks at the sessions of this host's worker; whose process stood still at two looks in a row is taken back.

    The process finds itself overtaken when it comes back, and ends. That of another host is left to its lease.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def look(self) -> int:
        """Return how many sessions were taken back."""
        mine = Session.objects.filter(status__in=ON_A_WORKER, worker__startswith=f"{worker_name()}:").exclude(pid=None)
        still = {
            (pk, attempt) for pk, attempt, pid in mine.values_list("pk", "attempt", "pid") if stands_still(pid or 0)
        }
        again, self._seen = still & self._seen, still
        return sum(attempt_lost(pk, attempt, None) for pk, attempt in sorted(again))
