"""manage.py imports: the history of imports, and orders for them."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.engine.import_states import HUMAN, ImportState
from apps.marketdata.import_pages import import_document
from apps.marketdata.management.reading import user_named
from apps.marketdata.selectors import import_visible
from apps.marketdata.services.import_jobs import import_order, import_recover
from apps.ui.commands import number_in, refusals_as_errors


class Command(BaseCommand):
    help = "List imports, newest first, or cancel, resume or discard one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", nargs="?", default="list", choices=("list", *map(str, HUMAN)))
        parser.add_argument("number", nargs="?", type=int, help="of the import")
        parser.add_argument(
            "--state", default="", choices=("", *map(str, ImportState)), help="list: only in this state"
        )
        parser.add_argument("--user", default="", help="whose eyes and hands; without it the program's own")
        parser.add_argument("--limit", type=number_in(1, 10_000), default=25)
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_named(options["user"])
        import_recover()
        rows = import_visible(user)
        if options["action"] != "list":
            job = rows.filter(pk=options["number"] or 0).first()
            if job is None:
                raise CommandError(f"There is no import {options['number'] or ''}".rstrip() + ".")
            with refusals_as_errors():
                import_order(job=job, order=options["action"], actor=user)
            found = [job]
        else:
            found = list((rows.filter(state=options["state"]) if options["state"] else rows)[: options["limit"]])
        documents = [import_document(job) for job in found]
        if options["json"]:
            self.stdout.write(json.dumps({"imports": documents}, ensure_ascii=False))
            return
        for item in documents:
            result = item["dataset"]["name"] if item["dataset"] else item["reason"]
            state = f"{item['id']:>6} {item['state']:<12}{item['progress']:>5.0%}"
            self.stdout.write(f"{state} {item['dataset_name']:<24}{item['file']} {result}".rstrip())
