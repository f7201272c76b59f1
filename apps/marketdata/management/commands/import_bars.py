"""manage.py import_bars PATH --dataset NAME: a file or a folder into the catalogue."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.adapters.import_progress import JobProgress, Stopped
from apps.marketdata.adapters.import_runner import import_now
from apps.marketdata.engine.import_states import ImportOrder
from apps.marketdata.management.reading import (
    add_reading_options,
    progress_on_stderr,
    read_options,
    user_named,
)
from apps.marketdata.models import Dataset, ImportJob, ImportOrigin
from apps.marketdata.presenters import dataset_document
from apps.marketdata.services.import_jobs import COMMAND_LEASE, import_claim, import_fail, import_halt, import_start
from apps.marketdata.services.labels import split_tags
from apps.ui.commands import refusals_as_errors
from apps.ui.engine.refusal import Refusal


class Command(BaseCommand):
    help = "Import bars from a file or a folder; prints rows, symbols, span, hash and the quality verdict."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument(
            "--dataset", required=True, help="name in the catalogue; an existing one gets a new version"
        )
        parser.add_argument("--adjusted", action="store_true", help="prices are adjusted for splits and payouts")
        parser.add_argument("--currency", default="")
        parser.add_argument("--title", default="")
        parser.add_argument("--licence", default="", help="what the source allows")
        parser.add_argument("--tags", default="", help="words for finding it again, separated by commas")
        parser.add_argument("--owner", default="", help="user the dataset belongs to; without it everybody sees it")
        add_reading_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            dataset = _imported(_claimed(options))
        document = dataset_document(dataset)
        self.stdout.write(json.dumps(document) if options["json"] else _lines(dataset))


def _claimed(options: dict[str, Any]) -> ImportJob:
    """Return the job of this command, taken by this process: a worker would not know who waits here."""
    job = import_start(
        path=options["path"], name=options["dataset"], options=read_options(options), origin=ImportOrigin.COMMAND,
        owner=user_named(options["owner"]), title=options["title"], calendar=options["calendar"],
        licence=options["licence"], tags=split_tags(options["tags"]),
        adjustment="adjusted" if options["adjusted"] else "raw",
    )  # fmt: skip
    claimed = import_claim(job.pk)
    if claimed is None:
        raise CommandError("Somebody else runs this import already; look at manage.py imports.")
    return claimed


def _imported(job: ImportJob) -> Dataset:
    """Run the job here, with a bar on standard error; stopped or refused, its row says so."""
    try:
        with progress_on_stderr() as progress:
            return import_now(job, JobProgress(job, COMMAND_LEASE, progress))
    except Refusal as refusal:
        import_fail(job, refusal)
        raise
    except (KeyboardInterrupt, Stopped):
        import_halt(job, ImportOrder.HALT)
        raise CommandError("Stopped; nothing was imported. The same command goes on from here.") from None
    except BaseException:
        import_halt(job, ImportOrder.HALT)
        raise


def _lines(dataset: Dataset) -> str:
    check = dataset.checks.first()
    findings = f"{check.errors} block, {check.warnings} to look at, {check.notes} notes" if check else ""
    rows = (
        ("dataset", str(dataset)), ("rows", f"{dataset.rows:,}"), ("symbols", f"{dataset.symbol_count:,}"),
        ("span", f"{dataset.start:%Y-%m-%d} to {dataset.end:%Y-%m-%d}, {dataset.frequency}"),
        ("calendar", dataset.calendar or "none recognised"), ("hash", dataset.content_hash),
        ("verdict", f"{dataset.verdict} ({findings})"),
    )  # fmt: skip
    return "\n".join(f"{name:<9}{value}" for name, value in rows)
