"""Does it work here? One command, one JSON document."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from quant_platform.scratch import scratch_database
from quant_platform.smoke import SmokeFailed, run


class Command(BaseCommand):
    help = "Serve in a fresh folder, log in, train on real data, follow it live, backtest, stop; print JSON."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database", default="", help="URL of a PostgreSQL server on which a scratch database is made"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with (
            tempfile.TemporaryDirectory(prefix="quant-smoke-") as folder,
            scratch_database(options["database"], "smoke") as url,
        ):
            try:
                document = run(Path(folder), url)
            except (SmokeFailed, OSError) as error:
                log = Path(folder) / "smoke.log"
                self.stderr.write(log.read_text(errors="replace")[-4000:] if log.is_file() else "")
                document = {"ok": False, "error": str(error)}
        self.stdout.write(json.dumps(document, indent=2))
        if not document["ok"]:
            sys.exit(1)
