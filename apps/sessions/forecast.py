"""What sessions will need, from those that finished, and what the machine has left for them."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from apps.sessions.engine.admission import Need, need_of
from apps.sessions.engine.states import ON_A_WORKER, State
from apps.sessions.limits import memory_ceiling_bytes
from apps.sessions.models import Session

HISTORY = 200
LIKE = 20
Key = tuple[str, str]


@dataclass(frozen=True)
class Forecast:
    """Needs by kind and strategy type, and the memory that is neither in use nor promised."""

    needs: dict[Key, Need]
    free_bytes: float

    @classmethod
    def read(cls) -> Forecast:
        """Read the history and the machine: two queries however many sessions there are."""
        needs = needs_by_kind()
        memory = psutil.virtual_memory()
        used = memory.total - memory.available
        return cls(needs, memory_ceiling_bytes() - used - _promised(needs))

    def need(self, session: Session) -> Need:
        return self.needs.get((session.kind, session.version.strategy.type), Need())


def needs_by_kind() -> dict[Key, Need]:
    """Return the needs of each kind and type from its latest finished sessions."""
    rows = Session.objects.filter(status=State.COMPLETED).order_by("-finished_at")
    history: dict[Key, list[tuple[int, float]]] = {}
    for kind, type_key, usage, seconds in rows.values_list("kind", "version__strategy__type", "usage", "seconds_used")[
        :HISTORY
    ]:
        like = history.setdefault((kind, type_key), [])
        if usage.get("peak_rss_bytes") and len(like) < LIKE:
            like.append((int(usage["peak_rss_bytes"]), float(seconds)))
    return {key: need_of(like) for key, like in history.items()}


def _promised(needs: dict[Key, Need]) -> int:
    """Return what running sessions are expected to take beyond what they have taken so far."""
    rows = Session.objects.filter(status__in=ON_A_WORKER).values_list("kind", "version__strategy__type", "usage")
    return sum(
        max(0, needs.get((kind, type_key), Need()).memory_bytes - int(usage.get("peak_rss_bytes", 0)))
        for kind, type_key, usage in rows
    )
