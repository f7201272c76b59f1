"""How much of the machine, and how long, one session may take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, TypedDict, cast

import psutil
from django.conf import settings

from apps.sessions.engine.resources import GpuMemory, Gpus
from apps.sessions.models import Session
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

MB = 2**20


class Limits(TypedDict, total=False):
    """Limits of one session: seconds, and MB of resident memory (0: the installation's)."""

    time_limit: int
    memory_limit_mb: int


#: Most that may be asked for: seconds and MB.
MOST: dict[str, int] = {"time_limit": 30 * 86_400, "memory_limit_mb": 2**24}


def memory_ceiling_bytes() -> int:
    """Return the memory that all sessions of this machine may use together."""
    return int(psutil.virtual_memory().total * settings.QP_MEMORY_ADMISSION)


@cache
def gpus() -> Gpus:
    """Return this process's line to the GPUs; opening one takes longer than asking."""
    return Gpus()


def gpu_room(memory: GpuMemory) -> float:
    """Return the bytes of a GPU that all sessions may use together."""
    return float(memory.total * settings.QP_MEMORY_ADMISSION)


def memory_limit_bytes(session: Session) -> int:
    """Return the memory ``session`` may use: its own limit, the installation's, or the machine's."""
    own = (session.memory_limit_mb or settings.QP_SESSION_MEMORY_MB) * MB
    return min(own, memory_ceiling_bytes()) if own else memory_ceiling_bytes()


def default_time_limit(kind: str) -> int:
    """Return the installation's time limit for a kind in seconds; 0 where it has none."""
    return int(getattr(settings, f"QP_TIME_LIMIT_{kind.upper()}", 0))


def seconds_allowed(session: Session) -> float:
    """Return how many seconds ``session`` may still run; infinite without a time limit."""
    return session.time_limit - session.seconds_used if session.time_limit else math.inf


def given_limits(given: Mapping[str, Any]) -> Limits:
    """Return the limits that a form or a command line gives; what is empty is left out.

    Raises ``Refusal`` ``invalid_limit`` (422) with its field for what is no whole number in range.
    """
    found: dict[str, int] = {}
    for name, most in MOST.items():
        text = str(given.get(name) or "").strip()
        if not text:
            continue
        if not text.isdecimal() or not 1 <= int(text[:18]) <= most:
            raise Refusal(
                "invalid_limit", N_("Enter a whole number from 1 to %(most)s, or nothing for the default."),
                field=name, most=most,
            )  # fmt: skip
        found[name] = int(text)
    return cast(Limits, found)
