"""Is the program able to do its work? Each part named, so that an operator knows where to look."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.utils import DatabaseError

from apps.marketdata.feeds import feed_health
from apps.marketdata.models import Feed
from apps.sessions.services.workers import workers_alive
from apps.ui.prepared import prepared

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    name: str
    ok: bool
    detail: str


def _database() -> tuple[bool, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True, connection.vendor


def _cluster() -> tuple[bool, str]:
    alive = workers_alive()
    return alive > 0, f"{alive} workers answer" if alive else "no worker answers"


def _disk() -> tuple[bool, str]:
    free = psutil.disk_usage(str(settings.VAR_DIR)).free // 1_000_000
    return free > settings.QP_DISK_RESERVE_MB, f"{free} MB free, {settings.QP_DISK_RESERVE_MB} MB kept in reserve"


@prepared
def _wanted() -> QuerySet[Feed]:
    return Feed.objects.filter(owner=None, wanted=True).order_by("name")


def _feeds() -> tuple[bool, str]:
    """Everybody's feeds by name; those of people are theirs to watch, and no reason to call the site unwell."""
    rows = [(feed.name, feed_health(feed)) for feed in _wanted()]
    if not rows:
        return True, "no feed is wanted"
    return all(health.well for _name, health in rows), ", ".join(f"{name}: {health.code}" for name, health in rows)


CHECKS: tuple[tuple[str, Callable[[], tuple[bool, str]]], ...] = (
    ("database", _database),
    ("cluster", _cluster),
    ("disk", _disk),
    ("feeds", _feeds),
)


def parts() -> list[Part]:
    """Check every part; one that cannot even be asked is not ok, and says only what kind of fault it was."""
    found = []
    for name, check in CHECKS:
        try:
            ok, detail = check()
        except (DatabaseError, OSError) as error:
            logger.warning("The check of %s failed: %s", name, error)
            ok, detail = False, type(error).__name__
        found.append(Part(name, ok, detail))
    return found
