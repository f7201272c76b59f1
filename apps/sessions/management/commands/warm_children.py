"""Forks the children of sessions from a process that has imported what they need (internal)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.sessions.runner.children import SOCKET_VARIABLE, can_fork
from apps.sessions.runner.process import die_with_parent
from apps.sessions.runner.warm import WarmServer, preload


def run(session: int, attempt: int) -> int:
    from apps.sessions.runner.child import run_attempt

    return run_attempt(session, attempt)


class Command(BaseCommand):
    help = "Keep a warm process that starts sessions at once (internal; serve starts it)."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        path = os.environ.get(SOCKET_VARIABLE, "")
        if not path or not can_fork():
            raise CommandError(f"{SOCKET_VARIABLE} is not set, or this system cannot fork: serve starts this command.")
        die_with_parent(int(os.environ.get("QP_SUPERVISOR_PID", "0")))
        preload()
        WarmServer(Path(path), run).serve()
