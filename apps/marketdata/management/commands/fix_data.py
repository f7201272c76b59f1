"""manage.py fix_data DATASET: every finding that blocks, mended by its usual remedy, as a new version."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.marketdata.presenters import dataset_document
from apps.marketdata.selectors import dataset_by_name
from apps.marketdata.services import dataset_fix
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "Mend every finding that blocks runs by its usual remedy; the result is a new version with its lineage."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            made = dataset_fix(dataset_by_name(None, options["dataset"]), actor=None)
        document = {**dataset_document(made), "fixes": made.lineage["fix_count"]}
        text = f"{made}: {document['fixes']} fixes, {made.verdict}"
        self.stdout.write(json.dumps(document) if options["json"] else text)
