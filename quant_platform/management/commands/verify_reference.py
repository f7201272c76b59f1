"""``manage.py verify_reference DIR``: do our figures agree with published ones?"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from apps.ui.commands import refusals_as_errors
from quant_platform.reference.runner import run_cases

MARKS = {(True, False): "ok  ", (False, True): "skip", (False, False): "FAIL"}


class Command(BaseCommand):
    help = "Run reference cases and compare our figures with theirs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR", help="folder of cases, or of folders of cases")
        parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of market data")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, folder: Path, data: Path, **options: Any) -> None:
        with refusals_as_errors():
            result = run_cases(folder, data)
        if options["json"]:
            self.stdout.write(json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False))
        else:
            for case in result["cases"]:
                mark = MARKS[case["passed"], case["skipped"]]
                self.stdout.write(f"{mark} {case['id']}  {case['error'] or _worst(case)}{_unread(case)}")
            self.stdout.write(f"{result['passed']} passed, {result['failed']} failed, {result['skipped']} skipped")
        if result["failed"]:
            raise SystemExit(1)


def _worst(case: dict[str, Any]) -> str:
    return f"worst error {case['worst']['error']:.1e} ({case['worst']['name']})"


def _unread(case: dict[str, Any]) -> str:
    return f"; not read: {', '.join(case['unread'])}" if case["unread"] else ""
