"""``manage.py ready``: what ``GET /api/ready`` answers, for hosts that serve no web (a container's health check)."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.monitoring.health import CHECKS, parts


class Command(BaseCommand):
    help = "Say whether database, cluster and disk are able to work; exit 1 when one is not."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--only", choices=[name for name, _ in CHECKS], help="this part alone decides")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        found = [part for part in parts() if options["only"] in (None, part.name)]
        if options["json"]:
            self.stdout.write(json.dumps({part.name: {"ok": part.ok, "detail": part.detail} for part in found}))
        else:
            for part in found:
                self.stdout.write(f"{part.name:<10}{'ok' if part.ok else 'NOT OK':<8}{part.detail}")
        if not all(part.ok for part in found):
            sys.exit(1)
