"""Prints the trials of a strategy's idea."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.http import Http404

from apps.strategies.selectors import strategy_by_name
from apps.strategies.trials import trial_count, trials_of


class Command(BaseCommand):
    help = "List every trial of a strategy's idea, deleted runs and copies included."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("strategy", help="id or name")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            strategy = strategy_by_name(None, options["strategy"])
        except Http404:
            raise CommandError(f"There is no strategy {options['strategy']}.") from None
        names = ("kind", "count", "version", "session", "sharpe", "observations", "created")
        rows, total = list(trials_of(strategy).values(*names)), trial_count(strategy)
        if options["json"]:
            document = {"configurations": total, "items": rows}
            self.stdout.write(json.dumps(document, cls=DjangoJSONEncoder, indent=2))
            return
        self.stdout.write(f"{total} configurations of {strategy.name} were tried")
        for row in rows:
            ratio = "-" if row["sharpe"] is None else f"{row['sharpe']:.4f}"
            self.stdout.write(f"{row['created']:%Y-%m-%d %H:%M}  {row['kind']:<13}{row['count']:>6}  {ratio}")
