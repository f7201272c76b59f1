"""manage.py sync_data SOURCE: ask a source now, here, and show what became of it."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.management.reading import user_named
from apps.marketdata.models import SyncRun, SyncState, SyncTrigger
from apps.marketdata.services.syncing import claim, sync_execute, sync_request, sync_stop
from apps.marketdata.source_pages import reason_text, run_document
from apps.marketdata.source_selectors import source_by_name
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "Sync a source: fetch what came since the newest bar and make a new version of its dataset, or none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", help="name of the source, as in `sources list`")
        parser.add_argument("--whole", action="store_true", help="ask for everything again")
        parser.add_argument("--user", default="", help="on behalf of this user, who must be able to see it")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_named(options["user"])
        with refusals_as_errors():
            source = source_by_name(user, options["source"])
            run = sync_request(source, actor=user, trigger=SyncTrigger.COMMAND, whole=options["whole"], ring=False)
        try:
            if claim(run):
                sync_execute(run)
        except KeyboardInterrupt:
            sync_stop(run, actor=user)
            raise CommandError("Stopped; nothing was stored. The next sync begins where this one began.") from None
        run = SyncRun.objects.select_related("dataset", "requested_by").get(pk=run.pk)
        self.stdout.write(json.dumps(run_document(run)) if options["json"] else _lines(run))
        if run.state == SyncState.FAILED:
            raise CommandError(f"{source.name}: {reason_text(run.reason)}")


def _lines(run: SyncRun) -> str:
    rows = (
        ("state", run.state), ("dataset", str(run.dataset or "–")), ("received", f"{run.piece_count:,} parts"),
        ("bars", f"{run.added:,} added, {run.changed:,} revised, {run.same:,} unchanged"),
        ("newest", f"{run.until:%Y-%m-%d %H:%M}" if run.until else "–"), ("hash", run.content_hash or "–"),
    )  # fmt: skip
    return "\n".join(f"{name:<9}{value}" for name, value in rows)
