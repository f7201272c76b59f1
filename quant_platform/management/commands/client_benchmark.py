"""``manage.py client_benchmark URL``: how far away a site is for its Python client."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.ui.commands import number_in
from quant_platform.client.__main__ import rounds, sentence


class Command(BaseCommand):
    help = "Measure the time to connect to a site and to get a small answer, as its Python client sees it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url", metavar="URL")
        parser.add_argument(
            "--rounds", type=number_in(1, 1000), default=5, help="medians of so many connections (default 5)"
        )
        parser.add_argument("--timeout", type=number_in(0.001, 3600.0), default=30.0, help="seconds (default 30)")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, url: str, **options: Any) -> None:
        try:
            figures = rounds(url, options["rounds"], options["timeout"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(asdict(figures)) if options["json"] else sentence(url, figures))
        if not figures.success:
            raise SystemExit(1)
