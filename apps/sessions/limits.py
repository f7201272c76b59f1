"""How much of the machine one session may take."""

from __future__ import annotations

import psutil
from django.conf import settings

from apps.sessions.models import Session

MB = 2**20


def memory_ceiling_bytes() -> int:
    """Return the memory that all sessions of this machine may use together."""
    return int(psutil.virtual_memory().total * settings.QP_MEMORY_ADMISSION)


def memory_limit_bytes(session: Session) -> int:
    """Return the memory ``session`` may use: its own limit, the installation's, or the machine's."""
    own = (session.memory_limit_mb or settings.QP_SESSION_MEMORY_MB) * MB
    return min(own, memory_ceiling_bytes()) if own else memory_ceiling_bytes()
