"""Workers: how they are named, their beat, and draining one."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.accounts.services import audit
from apps.sessions.adapters.doorbell import ring
from apps.sessions.models import Worker
from apps.ui.prepared import prepared

#: A worker that was silent this long does not count as alive.
ALIVE_SECONDS = 15.0


def worker_name() -> str:
    """Return the name of this host's worker: all that one supervisor runs, or all that none does."""
    return f"{socket.gethostname()}:{os.environ.get('QP_SUPERVISOR_PID', '0')}"


def launcher_name() -> str:
    """Return the name of this process, one of the worker's launchers."""
    return f"{worker_name()}:{os.getpid()}"


def beat(busy_since: datetime | None = None) -> None:
    """Note that this host's worker is alive, and since when its processors are busy."""
    now = timezone.now()
    pid = int(os.environ.get("QP_SUPERVISOR_PID", "0")) or os.getpid()
    slots, host = settings.SLOTS, socket.gethostname()
    defaults = {"host": host, "pid": pid, "slots": slots, "last_beat": now, "busy_since": busy_since}
    created = {**defaults, "started_at": now}
    Worker.objects.update_or_create(name=worker_name(), defaults=defaults, create_defaults=created)


def workers_alive() -> int:
    """Return how many workers were heard of lately."""
    return _alive.count(timezone.now() - timedelta(seconds=ALIVE_SECONDS))


@prepared
def _alive(since: datetime) -> QuerySet[Worker]:
    return Worker.objects.filter(last_beat__gt=since)


def worker_draining() -> bool:
    """Tell whether an administrator has asked this host's worker to take nothing new."""
    return Worker.objects.filter(name=worker_name(), draining=True).exists()


def worker_drain(*, worker: Worker, actor: User, draining: bool) -> Worker:
    """Let a worker finish what it runs and take nothing new, or take that back. For administrators."""
    require_permission(actor, "user.admin")
    with transaction.atomic():
        changed = Worker.objects.filter(pk=worker.pk).exclude(draining=draining).update(draining=draining)
        if changed:
            audit(actor, "worker.drain" if draining else "worker.undrain", worker, {"worker": worker.name})
            if not draining:
                transaction.on_commit(ring)
    worker.draining = draining
    return worker
