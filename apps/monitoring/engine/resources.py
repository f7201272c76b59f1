"""What the machine has and what is in use."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

#: The reading is kept this long: a shorter window would only measure noise.
KEEP_SECONDS = 2.0


@dataclass(frozen=True)
class Resources:
    """Cores and bytes. ``cpu`` is the share of all cores in use since the reading before."""

    cpu: float
    cores: int
    memory_used: int
    memory_total: int
    disk_used: int
    disk_total: int
    disk_free: int

    @property
    def memory(self) -> float:
        return self.memory_used / self.memory_total if self.memory_total else 0.0

    @property
    def disk(self) -> float:
        return self.disk_used / self.disk_total if self.disk_total else 0.0

    @property
    def busy_cores(self) -> float:
        return self.cpu * self.cores


_lock = threading.Lock()
_last: dict[Path, tuple[float, Resources]] = {}


def _clocks() -> tuple[float, float]:
    """Return the seconds all cores were busy, and busy or idle, since the machine started."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    total = (
        sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    )  # Both count as user time too.
    return total - idle, total


# psutil keeps its own last reading by thread, and each request has a new one: it would always say 0.
_before = _clocks()


def _cpu() -> float:
    """Return the busy share of all cores since the reading before."""
    global _before  # noqa: PLW0603 - one reading a process, under the lock
    now, then = _clocks(), _before
    _before = now
    return min(1.0, max(0.0, (now[0] - then[0]) / (now[1] - then[1]))) if now[1] > then[1] else 0.0


def read(folder: Path) -> Resources:
    """Measure now; ``folder`` lies on the disk that is measured."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(folder))
    used = memory.total - memory.available
    return Resources(_cpu(), os.cpu_count() or 1, used, memory.total, disk.used, disk.total, disk.free)


def resources(folder: Path) -> Resources:
    """Return a reading at most ``KEEP_SECONDS`` old."""
    with _lock:
        when, kept = _last.get(folder, (0.0, None))
        if kept is None or time.monotonic() - when > KEEP_SECONDS:
            kept = read(folder)
            _last[folder] = (time.monotonic(), kept)
        return kept
