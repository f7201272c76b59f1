"""The whole program with one command: web, workers, and what keeps them alive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from quant_platform.supervisor.supervisor import Supervisor, services


class Command(BaseCommand):
    help = "Serve the site and run the sessions; --web or --worker for one of the two."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        only = parser.add_mutually_exclusive_group()
        only.add_argument("--web", action="store_true", help="only the web process")
        only.add_argument("--worker", action="store_true", help="only the workers")
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--bind", default=settings.BIND)

    def handle(self, *args: Any, **options: Any) -> None:
        drain_file = Path(settings.VAR_DIR) / "run" / f"drain-{os.getpid()}"
        started = services(
            Path(settings.BASE_DIR),
            web=not options["worker"],
            worker=not options["web"],
            bind=options["bind"],
            port=options["port"],
            drain_file=drain_file,
            slots=settings.SLOTS,
            warm=settings.QP_WARM_START and settings.SESSION_RUNNER == "process",
        )
        Supervisor(started, drain_file, lambda text: self.stderr.write(f"serve: {text}")).run()
