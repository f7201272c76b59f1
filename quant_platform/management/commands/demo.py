"""Prepares a try-out: real data, people, example strategies, a training that runs."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.ui.commands import number_in
from quant_platform.demo import DEMO_REPLAY, prepare
from quant_platform.supervisor.web import can_share, listen


class Command(BaseCommand):
    help = "Load the built-in data, the demo users and example strategies, and start a training. Repeatable."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--serve", action="store_true", help="serve the site afterwards")
        parser.add_argument("--no-training", action="store_true", help="leave everything ready but start nothing")
        parser.add_argument("--port", type=number_in(0, 65_535), default=settings.PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("demo makes users with a password on disk; it does not run under QP_ENV=production.")
        if options["serve"] and can_share():
            refuse_taken(settings.BIND, options["port"])
        demo = prepare(training=not options["no_training"])
        self.stdout.write(f"\n  Open   http://127.0.0.1:{options['port']}/")
        self.stdout.write(f"  Log in {demo.username} / {demo.password}\n")
        if demo.session is not None:
            self.stdout.write(f"  Watch  http://127.0.0.1:{options['port']}/sessions/{demo.session.pk}/\n")
        self.stdout.write("")
        self.stdout.flush()
        if options["serve"]:
            # The workers inherit it: the board of quotes is alive when it is opened.
            os.environ.setdefault("QP_QUOTES_REPLAY", DEMO_REPLAY)
            call_command("serve", port=options["port"])


def refuse_taken(bind: str, port: int) -> None:
    """Say before minutes are spent, and an address is printed, that another program has the port."""
    try:
        listen(bind, port).close()
    except OSError as error:
        refusal = f"Port {port} cannot be opened: {error.strerror or error}. Name another: make demo PORT={port + 1}"
        raise CommandError(refusal) from error
