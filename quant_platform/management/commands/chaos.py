"""``manage.py chaos``: does this machine keep what the platform promises when things break?"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.ui.commands import number_in
from quant_platform.chaos.faults import FAULTS, Fault
from quant_platform.chaos.installation import Installation
from quant_platform.chaos.runner import PROMISES, Report, named, run, sequence
from quant_platform.scratch import scratch_database


class Command(BaseCommand):
    help = (
        "Serve in a throw-away folder with built-in prices, break things at random while a training runs, and say "
        "whether every promise held. Touches neither your data nor your database; Ctrl-C ends it and tidies up."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--faults", type=number_in(1, 1000), default=8, metavar="N", help="how many faults in a row"
        )
        parser.add_argument("--seed", type=int, help="the same seed gives the same faults; random without")
        parser.add_argument("--only", action="append", metavar="NAME", choices=[fault.name for fault in FAULTS])
        parser.add_argument("--list", action="store_true", help="name the faults and end")
        parser.add_argument(
            "--database", default="", help="URL of a PostgreSQL server on which a scratch database is made"
        )
        parser.add_argument("--keep", action="store_true", help="leave the folder with its logs")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            for fault in FAULTS:
                self.stdout.write(f"{fault.name:<16}{fault.words}{f' ({fault.database})' if fault.database else ''}")
            return
        if sys.platform != "linux":
            raise CommandError("chaos needs Linux: elsewhere processes are not tied to their parent.")
        seed = options["seed"] if options["seed"] is not None else secrets.randbelow(10**6)
        database = "postgresql" if options["database"] else "sqlite"
        try:
            faults = (
                named(options["only"], database) if options["only"] else sequence(seed, options["faults"], database)
            )
        except KeyError as error:
            raise CommandError(f"{error.args[0]} needs another database than {database}.") from None
        self._say(f"seed {seed}, {len(faults)} faults on {database}", options)
        with scratch_database(options["database"], "chaos") as url, _folder(options["keep"]) as path:
            report = self._run(Path(path), url, faults, seed, options)
            if options["keep"]:
                self._say(f"kept: {path}", options)
        self._print(report, options)
        if not report.ok:
            sys.exit(1)

    def _run(self, folder: Path, url: str, faults: Sequence[Fault], seed: int, options: dict[str, Any]) -> Report:
        here = Installation(folder, url)
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            here.ask("prepare")
            here.serve()
            return run(here, faults, seed, lambda text: self._say(text, options))
        except KeyboardInterrupt:
            raise CommandError("stopped; everything that was started is ended and removed", returncode=130) from None
        finally:
            here.close()
            signal.signal(signal.SIGTERM, before)

    def _say(self, text: str, options: dict[str, Any]) -> None:
        if not options["json"]:
            self.stdout.write(text)
            self.stdout.flush()

    def _print(self, report: Report, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(report.document(), indent=1))
            return
        for name, words in PROMISES.items():
            word = {True: "held", False: "BROKEN", None: "not reached"}[report.held.get(name)]
            self.stdout.write(f"{word:<12}{words}")
        if report.broken:
            self.stdout.write(report.broken)


@contextmanager
def _folder(keep: bool) -> Iterator[str]:
    """Yield a fresh folder, removed afterwards unless it is to be kept."""
    path = tempfile.mkdtemp(prefix="quant-chaos-")
    try:
        yield path
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)
