"""Prints one metric over many sessions."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.sessions import ranking
from apps.sessions.engine.states import State
from apps.sessions.management.following import acting_user
from apps.sessions.services.measuring import measure
from apps.ui.commands import number_in


class Command(BaseCommand):
    help = "Show what a metric came to in each session that reports it, best known first."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", default="", help="the metric; without one the metrics are listed")
        parser.add_argument("--user", default="", help="whose sessions; the first administrator's without")
        parser.add_argument("--status", default="", choices=["", *map(str, State)], help="only sessions in this state")
        parser.add_argument("--kind", default="", choices=["", "training", "backtest"])
        parser.add_argument("--strategy", type=int, help="only sessions of this strategy")
        parser.add_argument("--tag", default="", help="only sessions with this tag")
        parser.add_argument("--sort", default="-last", help=f"one of {', '.join(ranking.SORTS)}; - for descending")
        parser.add_argument("--limit", type=number_in(1, 10_000), default=50)
        parser.add_argument("--repair", action="store_true", help="first bring figures up to date that are behind")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        user, name = acting_user(options["user"]), options["name"]
        if options["repair"]:
            self.stderr.write(f"{measure()} sessions measured")
        known = ranking.metric_names(user)
        if not name:
            self.stdout.write(json.dumps(known) if options["json"] else "\n".join(known) or "No metric.")
            return
        if name not in known:
            raise CommandError(f"No session reports {name}. They report: {', '.join(known) or 'nothing'}.")
        chosen = {key: options[key] for key in ("status", "kind", "strategy", "tag", "sort")}
        rows = list(ranking.metric_rows(user, name, **chosen)[: min(options["limit"], ranking.MOST)])
        if options["json"]:
            self.stdout.write(json.dumps({"name": name, "items": rows}, ensure_ascii=False))
            return
        for row in rows:
            figures = f"{row['last']:>12.6g} {row['low']:>12.6g} {row['high']:>12.6g} {row['points']:>9,}"
            self.stdout.write(f"{row['session_id']:>6}  {figures}  {row['title']} v{row['version']}")
