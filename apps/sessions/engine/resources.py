"""What a run uses of the machine: its process and everything below it, sampled when asked."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from apps.sessions.engine.events import Usage


class Sampler:
    """Samples process ``pid`` and its descendants. Rates need the sample before, so the first has none.

    A process that ends between two samples takes its counters along; the sums then never go back,
    because only what living processes added is counted.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._root = psutil.Process(pid)
        self._gpus = Gpus()
        self._before: dict[int, tuple[float, int, int]] = {}
        self._network: tuple[int, int] | None = None
        self._at: float | None = None

    def sample(self) -> Usage:
        """Return the use since the sample before; ``psutil.NoSuchProcess`` when the process is gone."""
        now, members = time.monotonic(), group(self._root)
        seconds = now - self._at if self._at is not None else 0.0
        counters = {member.pid: _counters(member) for member in members}
        cpu, read, written = (self._added(counters, column) for column in range(3))
        net_in, net_out = self._net(seconds)
        busy, held = self._gpus.of(counters)
        usage: Usage = {
            "at": time.time(), "rss_bytes": sum(_rss(member) for member in members),
            "cpu_percent": round(100.0 * cpu / seconds, 1) if seconds else 0.0,
            "read_bps": _rate(read, seconds), "write_bps": _rate(written, seconds),
            "net_in_bps": net_in, "net_out_bps": net_out, "gpu_percent": busy, "gpu_memory_bytes": held,
        }  # fmt: skip
        self._before, self._at = counters, now
        return usage

    def _added(self, counters: dict[int, tuple[float, int, int]], column: int) -> float:
        zero = (0.0, 0, 0)
        return sum(max(0.0, row[column] - self._before.get(pid, zero)[column]) for pid, row in counters.items())

    def _net(self, seconds: float) -> tuple[float | None, float | None]:
        try:
            total = psutil.net_io_counters()
        except (OSError, psutil.Error):
            return None, None
        before, self._network = self._network, (total.bytes_recv, total.bytes_sent)
        if before is None:
            return None, None
        return _rate(total.bytes_recv - before[0], seconds), _rate(total.bytes_sent - before[1], seconds)


@dataclass(frozen=True)
class GpuMemory:
    """Bytes of one GPU."""

    free: int
    total: int


#: What the driver makes when it is loaded: on Linux, and in Windows' Linux.
DRIVER = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


def has_driver() -> bool:
    """Tell whether NVIDIA's driver may be there; asking its library costs a tenth of a second."""
    return sys.platform != "linux" or any(path.exists() for path in DRIVER)


class Gpus:
    """NVIDIA's GPUs through its management library; none where the library or the driver is absent."""

    def __init__(self) -> None:
        self._library: Any = None
        self._handles: list[Any] = []
        if not has_driver():
            return
        with contextlib.suppress(Exception):  # Whatever a driver's absence raises: there is no GPU to ask.
            import pynvml

            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
            self._library = pynvml

    def of(self, pids: Iterable[int]) -> tuple[float | None, int | None]:
        """Return the busy share of the busiest GPU that ``pids`` use, and the bytes they hold on all."""
        if not self._handles:
            return None, None
        mine, busy, held = set(pids), 0.0, 0
        for handle in self._handles:
            with contextlib.suppress(self._library.NVMLError):
                running = self._library.nvmlDeviceGetComputeRunningProcesses(handle)
                memory = [process.usedGpuMemory or 0 for process in running if process.pid in mine]
                if memory:
                    busy = max(busy, float(self._library.nvmlDeviceGetUtilizationRates(handle).gpu))
                    held += sum(memory)
        return busy, held

    def memory(self) -> list[GpuMemory]:
        """Return the memory of each GPU, in the order of the PCI bus; empty where none can be asked."""
        found = []
        for handle in self._handles:
            with contextlib.suppress(self._library.NVMLError):
                told = self._library.nvmlDeviceGetMemoryInfo(handle)
                found.append(GpuMemory(int(told.free), int(told.total)))
        return found


def roomiest(memory: Sequence[GpuMemory]) -> int | None:
    """Return the index of the GPU with most free memory; None with fewer than two, where nothing is to choose."""
    return max(range(len(memory)), key=lambda index: memory[index].free) if len(memory) > 1 else None


def group(root: psutil.Process) -> list[psutil.Process]:
    """Return ``root`` and its descendants that live."""
    return [root, *root.children(recursive=True)]


def group_rss(pid: int) -> int:
    """Return the resident memory of ``pid`` and its descendants in bytes; 0 when it is gone."""
    try:
        return sum(_rss(member) for member in group(psutil.Process(pid)))
    except psutil.Error:
        return 0


def _rss(member: psutil.Process) -> int:
    try:
        return int(member.memory_info().rss)
    except psutil.Error:
        return 0


def _counters(member: psutil.Process) -> tuple[float, int, int]:
    """Return CPU seconds and bytes read and written; zeros for what the system does not tell."""
    cpu, read, written = 0.0, 0, 0
    with contextlib.suppress(psutil.Error):
        times = member.cpu_times()
        cpu = float(times.user + times.system)
    with contextlib.suppress(psutil.Error, AttributeError, NotImplementedError):
        io = member.io_counters()
        read, written = int(io.read_bytes), int(io.write_bytes)
    return cpu, read, written


def _rate(amount: float, seconds: float) -> float | None:
    return round(max(0.0, amount) / seconds, 1) if seconds else None
