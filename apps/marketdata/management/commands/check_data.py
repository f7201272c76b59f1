"""manage.py check_data DATASET|PATH: findings of a dataset, or of a file before it is imported."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management.base import BaseCommand

from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.quality import check_panel, guess_calendar
from apps.marketdata.engine.readers import ReadOptions, read_bars, refusal_finding
from apps.marketdata.engine.readers.options import Progress
from apps.marketdata.engine.tape import load_tape, read_tape, tape_format
from apps.marketdata.engine.tape.quality import check_tape
from apps.marketdata.management.reading import (
    add_reading_options,
    progress_on_stderr,
    read_options,
)
from apps.marketdata.presenters import finding_document
from apps.marketdata.selectors import dataset_by_name, finding_list
from apps.marketdata.services import dataset_check
from apps.ui.commands import refusals_as_errors
from apps.ui.engine.refusal import Refusal


class Command(BaseCommand):
    help = "Check a dataset of the catalogue again, or a file or folder without importing it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("target", help="name of a dataset, or path of a file or folder")
        add_reading_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["target"])
        with refusals_as_errors(), progress_on_stderr() as progress:
            of_file = bool(options["target"]) and path.exists()
            documents = _path(path, options, progress) if of_file else _dataset(options["target"])
        if options["json"]:
            self.stdout.write(json.dumps({"findings": documents}))
            return
        for item in documents:
            place = " ".join(str(item[key]) for key in ("symbol", "date") if item[key])
            line = f", line {item['line']}" if item["line"] else ""
            self.stdout.write(f"{item['severity']:<8}{place}{line}: {item['message']} [{item['check']}]")
        if not documents:
            self.stdout.write("No findings.")


def _dataset(name: str) -> list[dict[str, Any]]:
    check = dataset_check(dataset_by_name(None, name))
    return [finding_document(finding) for finding in finding_list(check)]


def _tape(path: Path, wanted: ReadOptions, progress: Progress) -> list[dict[str, Any]]:
    """Check trades or a book: they are read into a folder that goes away again."""
    with TemporaryDirectory() as folder:
        read = read_tape(path, wanted, Path(folder), Path(folder), progress)
        report = check_tape(load_tape(read.folder), reader_findings=read.findings)
    return [finding.as_dict() for finding in report.findings]


def _path(path: Path, options: dict[str, Any], progress: Progress) -> list[dict[str, Any]]:
    """Check what an import would read; a file that would be refused is one finding."""
    try:
        wanted = read_options(options)
        if tape_format(path, wanted):
            return _tape(path, wanted, progress)
        imported = read_bars(path, read_options(options, lenient=True), progress)
    except Refusal as refusal:
        return [refusal_finding(refusal).as_dict()]
    calendar = options["calendar"] or guess_calendar(imported.panel)
    report = check_panel(imported.panel, lines=imported.lines, calendar=calendar, reader_findings=imported.findings)
    findings: tuple[Finding, ...] = report.findings
    return [finding.as_dict() for finding in findings]
