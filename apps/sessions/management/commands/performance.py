"""Prints how the finished runs of the strategies did, and mends the summaries."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import Http404

from apps.sessions.services.performance import summaries_repair
from apps.strategies.models import StrategySummary
from apps.strategies.selectors import strategy_by_name

NAMES = ("runs", "counted", "mean_return", "best_return", "volatility", "spread", "best_session", "best_sharpe")


class Command(BaseCommand):
    help = "Show runs, mean and best return and volatility of the strategies; --repair works out what is not right."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("strategy", nargs="?", default="", help="id or name; all without")
        parser.add_argument("--repair", action="store_true", help="first mend summaries that are not those of the runs")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["repair"]:
            self.stderr.write(f"{summaries_repair()} summaries mended")
        rows = StrategySummary.objects.select_related("strategy").order_by("-mean_return", "strategy_id")
        if options["strategy"]:
            try:
                rows = rows.filter(strategy=strategy_by_name(None, options["strategy"]))
            except Http404:
                raise CommandError(f"There is no strategy {options['strategy']}.") from None
        found: list[dict[str, Any]] = [
            {"strategy_id": row.strategy_id, "name": row.strategy.name} | {name: getattr(row, name) for name in NAMES}
            for row in rows
        ]
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False))
            return
        for row in found:
            shares = " ".join(_share(row[name]) for name in ("mean_return", "best_return", "volatility", "spread"))
            self.stdout.write(f"{row['counted']:>5} of {row['runs']:>5} runs  {shares}  {row['name']}")
        if not found:
            self.stdout.write("No run has finished yet.")


def _share(value: float | None) -> str:
    return f"{value:>+9.2%}" if value is not None else "        –"
