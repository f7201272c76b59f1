"""Trains a strategy from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from apps.sessions.management.starting import StartCommand
from apps.sessions.models import Kind


class Command(StartCommand):
    help = "Train a strategy and follow it; --json prints the result document."
    kind = Kind.TRAINING

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--market-rules", choices=["obey", "ignore"], help="price limits, lots, settlement, charges (default: obey)"
        )
        parser.add_argument("--seeds", type=int, help="seeds trained side by side")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"market_rules": options["market_rules"]} if options["market_rules"] else {}

    def more_overrides(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"seeds": options["seeds"]} if options["seeds"] is not None else {}
