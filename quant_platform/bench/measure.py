"""How time is taken: CPU seconds, interleaved rounds, medians."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import psutil


def cpu_seconds(work: Callable[[], object], repeat: int = 1) -> float:
    """Return the CPU seconds of one call of ``work``, averaged over ``repeat`` calls in a row."""
    gc.collect()
    start = time.process_time()
    for _ in range(repeat):
        work()
    return (time.process_time() - start) / repeat


def wall_seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds of one call of ``work``."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_mb() -> float:
    """Return the most memory this process has held, in MB.

    On Linux the kernel's own mark of this program: ``ru_maxrss`` begins with that of the parent.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) / 1024
    used = psutil.Process().memory_info()
    return float(getattr(used, "peak_wset", used.rss)) / 1024**2


def interleaved(works: Mapping[str, Callable[[], float]], rounds: int = 5) -> dict[str, float]:
    """Return the median of what each of ``works`` measured, taken in turns so that load hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, measure in works.items():
            taken[name].append(measure())
    return {name: median(values) for name, values in taken.items()}
