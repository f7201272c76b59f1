"""Who may start: what a run will need, judged by its like, and whether the machine has it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

#: What a run takes of which nothing is known: an interpreter with torch and some data.
UNKNOWN_BYTES = 400 * 2**20


@dataclass(frozen=True)
class Past:
    """What a finished run took: bytes at its peak, seconds, CPU seconds (None: not measured), bytes of GPU memory."""

    peak_bytes: int
    seconds: float
    cpu_seconds: float | None = None
    gpu_bytes: int = 0


@dataclass(frozen=True)
class Need:
    """``memory_bytes`` at its peak, ``seconds`` in all, ``cores`` busy on average (None when unknown) and
    ``gpu_bytes`` of one GPU, from ``like`` earlier runs."""

    memory_bytes: int = UNKNOWN_BYTES
    seconds: float | None = None
    like: int = 0
    cores: float | None = None
    gpu_bytes: int = 0


def need_of(history: Sequence[Past]) -> Need:
    """Return what the next run of its kind needs from those before: the largest peaks, since too little
    would end it, and the median time and load."""
    if not history:
        return Need()
    loads = [one.cpu_seconds / one.seconds for one in history if one.cpu_seconds is not None and one.seconds > 0]
    return Need(
        max(one.peak_bytes for one in history),
        median(one.seconds for one in history),
        len(history),
        median(loads) if loads else None,
        max(one.gpu_bytes for one in history),
    )


def effective_priority(priority: int, waited_seconds: float, ageing_seconds: float) -> float:
    """Return the priority after a wait: one more for each ``ageing_seconds``, so that nobody starves."""
    return priority + (max(0.0, waited_seconds) / ageing_seconds if ageing_seconds > 0 else 0.0)


def memory_fits(need: Need, free_bytes: float, running: int) -> bool:
    """Tell whether a run fits into what is free. Alone it always may: other programs' memory must not
    keep the platform from working at all."""
    return running == 0 or need.memory_bytes <= free_bytes


def gpu_fits(need: Need, free_bytes: Sequence[float]) -> bool:
    """Tell whether one GPU has what a run needs. Where there is no GPU to ask (none, or Apple's, which shares the
    ordinary memory) nothing is held back: the run then works in ordinary memory, which is counted on its own."""
    return not need.gpu_bytes or not free_bytes or need.gpu_bytes <= max(free_bytes)


def usable_slots(slots: int, *, busy: bool) -> int:
    """Return how many slots new runs may fill: half of them, at least one, while the processors are busy."""
    return max(1, slots // 2) if busy else slots


@dataclass(frozen=True)
class Job:
    """A run for the forecast of the queue: for one that runs ``seconds`` is what it has left."""

    kind: str
    need: Need
    seconds: float | None


def expected_starts(
    running: Sequence[Job],
    queue: Sequence[Job],
    free_bytes: float,
    slot_free: Callable[[str, dict[str, int]], bool],
) -> list[float | None]:
    """Return for each of ``queue``, next one first, in how many seconds it will start; None when that hangs
    on a run of which nobody knows how long it takes.

    The queue is played out as the claim does it: whenever a run ends, the first that fits starts.
    ``free_bytes`` is what is free beside what those that run were promised.
    """
    ends: list[tuple[float, Job]] = [(math.inf if job.seconds is None else job.seconds, job) for job in running]
    starts: list[float | None] = [None] * len(queue)
    waiting, now = list(range(len(queue))), 0.0
    while waiting:
        counts = dict(Counter(one.kind for _, one in ends))
        for index in tuple(waiting):
            job = queue[index]
            if not slot_free(job.kind, counts) or not memory_fits(job.need, free_bytes, len(ends)):
                continue
            starts[index] = now
            waiting.remove(index)
            counts[job.kind] = counts.get(job.kind, 0) + 1
            free_bytes -= job.need.memory_bytes
            ends.append((math.inf if job.seconds is None else now + job.seconds, job))
        if not ends or not waiting:
            break
        now, ended = min(ends, key=lambda end: end[0])
        if math.isinf(now):
            break
        ends.remove((now, ended))
        free_bytes += ended.need.memory_bytes
    return starts
