"""manage.py import_bars PATH --dataset NAME: a file or a folder into the catalogue."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.management.reading import (
    add_reading_options,
    progress_on_stderr,
    read_options,
    refusals_as_errors,
    user_named,
)
from apps.marketdata.models import Dataset
from apps.marketdata.presenters import dataset_document
from apps.marketdata.services import dataset_import_path


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
        try:
            dataset = self._import(options)
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing was imported. The same command goes on from here.") from None
        document = dataset_document(dataset)
        self.stdout.write(json.dumps(document) if options["json"] else _lines(dataset))

    @staticmethod
    def _import(options: dict[str, Any]) -> Dataset:
        with refusals_as_errors(), progress_on_stderr() as progress:
            return dataset_import_path(
                options["path"], name=options["dataset"], options=read_options(options),
                owner=user_named(options["owner"]), title=options["title"], calendar=options["calendar"],
                licence=options["licence"], tags=options["tags"].split(","),
                adjustment="adjusted" if options["adjusted"] else "raw", on_progress=progress,
            )  # fmt: skip


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
