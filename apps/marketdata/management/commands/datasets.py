"""manage.py datasets: list the catalogue, or say what a dataset is about and what its source allows."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.management.reading import user_named
from apps.marketdata.models import Dataset, Verdict
from apps.marketdata.presenters import dataset_document
from apps.marketdata.selectors import dataset_by_name, dataset_list
from apps.marketdata.services import dataset_label
from apps.marketdata.services.labels import split_tags
from apps.ui.commands import number_in, refusals_as_errors


class Command(BaseCommand):
    help = "List the datasets, or set the tags and the licence note of one (label)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", nargs="?", default="list", choices=("list", "label"))
        parser.add_argument("dataset", nargs="?", default="", help="label: which one, like us-daily or us-daily@2")
        parser.add_argument("--tags", help="label: the tags, separated by commas; empty removes them")
        parser.add_argument("--licence", help="label: what the source allows; empty removes it")
        parser.add_argument("--tag", default="", help="list: only datasets with this tag")
        parser.add_argument("--search", default="", help="list: part of the name, title or source, or a symbol")
        parser.add_argument("--verdict", default="", choices=("", *Verdict.values), help="list: only of this quality")
        parser.add_argument("--user", default="", help="whose eyes and hands; without it the program's own")
        parser.add_argument("--limit", type=number_in(1, 10_000), default=100)
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_named(options["user"])
        if options["action"] == "label":
            return self._print([self._label(user, options)], options["json"])
        found = dataset_list(user, search=options["search"], verdict=options["verdict"], tag=options["tag"])
        return self._print(list(found[: options["limit"]]), options["json"])

    @staticmethod
    def _label(user: Any, options: dict[str, Any]) -> Dataset:
        if not options["dataset"]:
            raise CommandError("label needs the name of a dataset.")
        with refusals_as_errors():
            tags = None if options["tags"] is None else split_tags(options["tags"])
            found = dataset_by_name(user, options["dataset"], write=True)
            return dataset_label(found, actor=user, tags=tags, licence=options["licence"])

    def _print(self, datasets: list[Dataset], as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"datasets": [dataset_document(dataset) for dataset in datasets]}))
            return
        for dataset in datasets:
            words = "; ".join(filter(None, (", ".join(dataset.tag_list), dataset.licence)))
            self.stdout.write(f"{dataset!s:<32}{dataset.verdict:<10}{dataset.rows:>12,}  {words}")
