"""``manage.py workers``: what each worker runs; drain one before its host is taken down."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import User
from apps.monitoring.api_machinery import worker_document
from apps.monitoring.selectors.workers import worker_list, worker_rows
from apps.sessions.management.following import acting_user
from apps.sessions.models import Worker
from apps.sessions.services.workers import worker_drain
from apps.ui.commands import refusals_as_errors

ACTIONS = ("list", "drain", "undrain")


class Command(BaseCommand):
    help = (
        "List the workers and what runs in their slots; let one finish and take nothing new (drain), or take it back."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", nargs="?", default="list", choices=ACTIONS)
        parser.add_argument("worker", nargs="?", default="", help="its name or its host")
        parser.add_argument("--user", default="", help="who acts; the first administrator without")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            rows = self._chosen(acting_user(options["user"]), options)
        self._print(rows, options["json"])

    def _chosen(self, user: User, options: dict[str, Any]) -> list[Worker]:
        """Return the workers that are meant, drained or taken back where that is asked for."""
        rows = list(worker_list(user))
        if options["worker"]:
            rows = [row for row in rows if options["worker"] in {row.name, row.host}]
            if not rows:
                raise CommandError(f"There is no worker {options['worker']}.")
        if options["action"] != "list":
            if not options["worker"]:
                raise CommandError(f"{options['action']} needs the name or the host of a worker.")
            for row in rows:
                worker_drain(worker=row, actor=user, draining=options["action"] == "drain")
        return rows

    def _print(self, rows: list[Worker], as_json: bool) -> None:
        documents = [worker_document(row) for row in worker_rows(rows)]
        if as_json:
            self.stdout.write(json.dumps(documents, indent=2, ensure_ascii=False, default=str))
            return
        for one in documents:
            used = f"{len(one['sessions'])} of {one['slots']} slots"
            self.stdout.write(f"{one['name']:<32} {one['state']:<10} {used}  last beat {one['last_beat']:%H:%M:%S} UTC")
            for slot in one["sessions"]:
                size = f"{slot['rss_bytes'] / 2**20:.0f} MB" if slot["rss_bytes"] else "–"
                self.stdout.write(f"{'':<8}{slot['slot']}  session {slot['session_id']}  {slot['title']}  {size}")
        if not documents:
            self.stdout.write("No worker was heard of.")
