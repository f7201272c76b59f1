"""The django-q2 cluster: the doorbell and the concurrency limit, never the truth.

The session row is the queue of record. ``retry`` and ``timeout`` lie far beyond any run so
that the broker never starts a job a second time; ``queue_limit`` 1 keeps it from
prefetching jobs that another worker could take (docs/decisions/0004).
"""

from __future__ import annotations

import os
from typing import Any

import psutil
from django.utils.translation import gettext_lazy

MAX_SLOTS = 8


def slot_count(declared: int, memory_gb: float) -> int:
    """Return how many sessions may run at once: as declared, or min(cores, RAM / memory_gb, 8)."""
    if declared > 0:
        return declared
    by_memory = int(psutil.virtual_memory().total / (memory_gb * 1024**3))
    return max(1, min(os.cpu_count() or 1, by_memory, MAX_SLOTS))


def cluster(slots: int) -> dict[str, Any]:
    return {
        "name": "core",
        "orm": "default",
        # One thin launcher more than slots, so that a backtest never waits behind trainings, and one for imports.
        "workers": slots + 2,
        "queue_limit": 1,
        "bulk": 1,
        "poll": 0.2,
        "timeout": 863_000,
        "retry": 864_000,
        "max_attempts": 1,
        "ack_failures": True,
        "save_limit": 100,
        "catch_up": False,
        "daemonize_workers": True,
        "label": gettext_lazy("Jobs"),
    }
