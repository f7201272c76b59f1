"""What sessions will need, from those that finished, and what the machine has left for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psutil
from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from apps.sessions.engine.admission import Job, Need, Past, need_of, usable_slots
from apps.sessions.engine.states import ON_A_WORKER, State
from apps.sessions.limits import gpu_room, gpus, memory_ceiling_bytes
from apps.sessions.models import Session, Worker
from apps.sessions.services.workers import ALIVE_SECONDS, worker_name

HISTORY = 200
LIKE = 20
#: Below this share of the work the pace so far says nothing.
LEAST_SHARE = 0.02
Key = tuple[str, ...]
FIELDS = ("kind", "version__strategy__type", "version_id", "config", "usage")


@dataclass(frozen=True)
class Forecast:
    """Needs by likeness, the memory that is neither in use nor promised, what runs, and the workers' state."""

    needs: Mapping[Key, Need]
    free_bytes: float
    running: tuple[Job, ...] = ()
    #: Workers heard of lately, and those of them that take sessions.
    alive: int = 0
    taking: int = 0
    #: The processors have been busy for so long that only half of the slots are filled.
    busy: bool = False
    #: Bytes of each GPU that are free for sessions and not promised.
    gpu_free: tuple[float, ...] = ()

    @classmethod
    def read(cls) -> Forecast:
        """Read history, runs, workers and machine: at most four queries however many sessions there are."""
        needs = needs_by_likeness()
        rows = Session.objects.filter(status__in=ON_A_WORKER).values_list(*FIELDS, "progress", "seconds_used")
        running, promised, gpu_promised = [], 0, 0
        for kind, type_key, version, config, usage, progress, used in rows:
            need = need_for(needs, kind, type_key, version, config)
            running.append(Job(kind, need, seconds_left(progress, used, need)))
            promised += max(0, need.memory_bytes - int(usage.get("peak_rss_bytes", 0)))
            gpu_promised += max(0, need.gpu_bytes - int(usage.get("peak_gpu_bytes") or 0))
        memory = psutil.virtual_memory()
        free = memory_ceiling_bytes() - (memory.total - memory.available) - promised
        return cls(needs, free, tuple(running), *_workers(), _gpu_free(gpu_promised))

    def need(self, session: Session) -> Need:
        return need_for(self.needs, session.kind, session.version.strategy.type, session.version_id, session.config)

    def counts(self) -> dict[str, int]:
        """Return how many sessions of each kind hold a slot."""
        found: dict[str, int] = {}
        for job in self.running:
            found[job.kind] = found.get(job.kind, 0) + 1
        return found

    @property
    def slots(self) -> int:
        """How many slots may be filled now."""
        return usable_slots(settings.SLOTS, busy=self.busy)


def seconds_left(progress: float, used: float, need: Need) -> float | None:
    """Return how long a run still takes: by its own pace once it has one, before by its like."""
    if progress >= LEAST_SHARE and used > 0:
        return used * (1 - min(progress, 1.0)) / progress
    return max(0.0, need.seconds - used) if need.seconds is not None else None


#: The needs as they were read when this was the newest finished session: they change when another one finishes.
_known: dict[object, Mapping[Key, Need]] = {}


def needs_by_likeness() -> Mapping[Key, Need]:
    """Return needs from the latest finished sessions: of the same configuration, version, and kind and type."""
    rows = Session.objects.filter(status=State.COMPLETED).order_by("-finished_at")
    newest = rows.values_list("pk", "finished_at", "usage").first()
    if newest is None:
        return {}
    key = (*newest[:2], json.dumps(newest[2], sort_keys=True))
    needs = _known.get(key)
    if needs is None:
        needs = _needs(rows)
        _known.clear()
        _known[key] = needs
    return needs


def _needs(rows: QuerySet[Session]) -> dict[Key, Need]:
    history: dict[Key, list[Past]] = {}
    for kind, type_key, version, config, usage, seconds in rows.values_list(*FIELDS, "seconds_used")[:HISTORY]:
        if not usage.get("peak_rss_bytes"):
            continue
        cpu = usage.get("cpu_seconds")
        past = Past(int(usage["peak_rss_bytes"]), float(seconds), cpu, int(usage.get("peak_gpu_bytes") or 0))
        for key in _keys(kind, type_key, version, config):
            like = history.setdefault(key, [])
            if len(like) < LIKE:
                like.append(past)
    return {key: need_of(like) for key, like in history.items()}


def need_for(needs: Mapping[Key, Need], kind: str, type_key: str, version: int, config: Mapping[str, Any]) -> Need:
    """Return the need of the closest likeness that has a history."""
    return next((needs[key] for key in _keys(kind, type_key, version, config) if key in needs), Need())


def _keys(kind: str, type_key: str, version: int, config: Mapping[str, Any]) -> tuple[Key, ...]:
    """Return the likenesses of a run, closest first; the seed changes nothing of what a run takes."""
    same = json.dumps({name: value for name, value in config.items() if name != "seed"}, sort_keys=True, default=str)
    digest = hashlib.sha256(same.encode()).hexdigest()
    return (kind, type_key, digest), (kind, type_key, "version", str(version)), (kind, type_key)


def _gpu_free(promised: float) -> tuple[float, ...]:
    """Return what each GPU has for new sessions. On which one a session will ask for what it was promised nobody
    knows, so it is held back on each."""
    return tuple(gpu_room(one) - one.total + one.free - promised for one in gpus().memory())


def _workers() -> tuple[int, int, bool]:
    """Return how many workers are alive, how many take sessions, and whether the processors are busy: those of
    this host where it has a worker, else those of every one."""
    now, own = timezone.now(), worker_name()
    rows = list(
        Worker.objects.filter(last_beat__gt=now - timedelta(seconds=ALIVE_SECONDS)).values_list(
            "name", "draining", "busy_since"
        )
    )
    late = now - timedelta(seconds=settings.QP_CPU_BUSY_SECONDS)
    busy = {name: since is not None and since <= late for name, _, since in rows}
    taking = sum(not draining for _, draining, _ in rows)
    return len(rows), taking, busy[own] if own in busy else bool(busy) and all(busy.values())
