"""Who may start: what a run will need, judged by its like, and whether the machine has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

#: What a run takes of which nothing is known: an interpreter with torch and some data.
UNKNOWN_BYTES = 400 * 2**20


@dataclass(frozen=True)
class Need:
    """``memory_bytes`` at its peak and ``seconds`` in all (None when unknown), from ``like`` earlier runs."""

    memory_bytes: int = UNKNOWN_BYTES
    seconds: float | None = None
    like: int = 0


def need_of(history: Sequence[tuple[int, float]]) -> Need:
    """Return what the next run of its kind needs, from (peak bytes, seconds) of those before: the largest
    peak, since too little would end it, and the median time."""
    if not history:
        return Need()
    return Need(max(peak for peak, _ in history), median(seconds for _, seconds in history), len(history))


def effective_priority(priority: int, waited_seconds: float, ageing_seconds: float) -> float:
    """Return the priority after a wait: one more for each ``ageing_seconds``, so that nobody starves."""
    return priority + (max(0.0, waited_seconds) / ageing_seconds if ageing_seconds > 0 else 0.0)


def memory_fits(need: Need, free_bytes: float, running: int) -> bool:
    """Tell whether a run fits into what is free. Alone it always may: other programs' memory must not
    keep the platform from working at all."""
    return running == 0 or need.memory_bytes <= free_bytes
