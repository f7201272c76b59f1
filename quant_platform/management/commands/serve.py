"""The whole program with one command: web, workers, and what keeps them alive."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.ui.commands import number_in
from quant_platform.supervisor.supervisor import Supervisor, services
from quant_platform.supervisor.web import Web, can_share, listen


class Command(BaseCommand):
    help = "Serve the site and run the sessions; --web or --worker for one of the two."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        only = parser.add_mutually_exclusive_group()
        only.add_argument("--web", action="store_true", help="only the web processes")
        only.add_argument("--worker", action="store_true", help="only the workers")
        parser.add_argument("--port", type=number_in(0, 65_535), default=settings.PORT)
        parser.add_argument("--bind", default=settings.BIND)

    def handle(self, *args: Any, **options: Any) -> None:
        drain_file = Path(settings.VAR_DIR) / "run" / f"drain-{os.getpid()}"
        with ExitStack() as stack:
            web = None if options["worker"] else self._web(options["bind"], options["port"], stack)
            started = services(
                Path(settings.BASE_DIR),
                drain_file=drain_file,
                web=web,
                worker=not options["web"],
                slots=settings.SLOTS,
                warm=settings.QP_WARM_START and settings.SESSION_RUNNER == "process",
            )
            say = lambda text: self.stderr.write(f"serve: {text}")  # noqa: E731
            Supervisor(started, drain_file, say, listener=web.listener if web else None).run()

    def _web(self, bind: str, port: int, stack: ExitStack) -> Web:
        """Open the port for as many processes as are wanted; one of them opens it itself where none can inherit it."""
        if not can_share():
            if settings.WEB_PROCESSES > 1:
                self.stderr.write("serve: one web process, since none can inherit the port on this system")
            return Web(bind, port)
        try:
            listener = stack.enter_context(listen(bind, port))
        except OSError as error:
            refusal = f"Port {port} of {bind} cannot be opened: {error.strerror or error}. Name another with --port."
            raise CommandError(refusal) from error
        metrics = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quant-metrics-")))
        return Web(bind, port, settings.WEB_PROCESSES, listener, metrics)
