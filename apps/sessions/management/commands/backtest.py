"""Backtests a strategy from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.sessions.management.starting import StartCommand
from apps.sessions.models import Kind


class Command(StartCommand):
    help = "Backtest a strategy and print its headline; --json prints the result document."
    kind = Kind.BACKTEST

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--start", default="", help="first day, such as 2005-01-03")
        parser.add_argument("--end", default="", help="last day")
        parser.add_argument("--capital", default="", help="in the market's currency")
        parser.add_argument("--benchmark", default="", help="a symbol of the data, or of --benchmark-dataset")
        parser.add_argument(
            "--benchmark-dataset", default="", help="another dataset to be laid against, NAME[@VERSION]"
        )
        parser.add_argument(
            "--market-rules", choices=["obey", "ignore"], help="price limits, lots, settlement, charges (default: obey)"
        )
        parser.add_argument(
            "--goal-pct", default="", help="total return whose probability the draws of chance tell (default: 100)"
        )
        parser.add_argument("--checkpoint-session", type=int, help="the training whose best checkpoint decides")

        parser.add_argument("--study", choices=["sweep", "walk_forward"], help="vary the parameters, or walk forward")
        parser.add_argument("--mode", choices=["rolling", "anchored"], help="of the walk-forward's training windows")
        parser.add_argument("--open-holdout", action="store_true", help="read the locked last bars; it is counted")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        if options["study"] != "walk_forward" and (options["mode"] or options["open_holdout"]):
            raise CommandError("--mode and --open-holdout belong to --study walk_forward.")
        names = (
            "start", "end", "capital", "benchmark", "benchmark_dataset", "market_rules",
            "goal_pct", "checkpoint_session", "study", "mode", "open_holdout",
        )  # fmt: skip
        return {name: options[name] for name in names if options[name] not in ("", None, False)}
