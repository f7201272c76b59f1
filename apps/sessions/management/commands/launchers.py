"""The cluster of launchers (internal; ``serve`` starts it)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django_q.management.commands.qcluster import Command as QCluster

#: Imported before the launchers are forked, which share it, so that the first bell is answered at once.
TASKS = ("apps.sessions.tasks", "apps.marketdata.tasks")


class Command(QCluster):
    help = "Run the launchers of sessions, imports and syncs (internal; serve starts it)."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        for name in TASKS:
            import_module(name)
        super().handle(*args, **options)
