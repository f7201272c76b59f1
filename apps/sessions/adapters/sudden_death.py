"""What the cluster says when one of its processes was killed, passed on to the supervisor.

An idle launcher that is killed takes the lock of the cluster's queue with it, and the cluster is
deaf from then on (ADR 0004). Its guard notices the death within half a second and writes a
critical line; no launcher is ever recycled, so that this is the only reason for one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal


class TellSupervisor(logging.Handler):
    """Sends SIGUSR2 to the supervisor on a critical line of the cluster."""

    def __init__(self) -> None:
        super().__init__(logging.CRITICAL)

    def emit(self, record: logging.LogRecord) -> None:
        pid = int(os.environ.get("QP_SUPERVISOR_PID", "0"))
        if pid and hasattr(signal, "SIGUSR2"):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGUSR2)
