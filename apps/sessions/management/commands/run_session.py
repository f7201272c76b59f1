"""The child process of a session (internal)."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.sessions.runner.process import be_modest, die_with_parent, importing


class Command(BaseCommand):
    help = "Run one attempt of a session that a worker has claimed (internal)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=int)
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        die_with_parent(int(os.environ.get("QP_PARENT_PID", "0")))
        be_modest()
        importing()
        from apps.sessions.runner.child import run_attempt

        sys.exit(run_attempt(options["session"], options["attempt"]))
