"""What ``train`` and ``backtest`` share: find the strategy, start, follow, print."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import Http404

from apps.sessions.limits import given_limits
from apps.sessions.management.following import acting_user, follow, outcome, refused
from apps.sessions.models import Session
from apps.sessions.services.sessions import session_create
from apps.strategies.engine.overrides import parse_overrides
from apps.strategies.engine.registry import strategy_type
from apps.strategies.selectors import strategy_by_name
from apps.ui.engine.refusal import Refusal


def limit_arguments(parser: CommandParser) -> None:
    """Add the limits a session may have of its own."""
    parser.add_argument("--time-limit", default="", metavar="SECONDS", help="then it is interrupted, resumable")
    parser.add_argument("--memory-limit-mb", default="", metavar="MB", help="of all its processes together")


def override_argument(parser: CommandParser) -> None:
    """Add the reason of who may run on data whose verdict blocks."""
    parser.add_argument(
        "--override-reason", default="", metavar="TEXT", help="run although the data blocks runs; it is audited"
    )


class StartCommand(BaseCommand):
    """Starts a session of ``kind`` and follows it."""

    kind = ""
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("strategy", help="id or name")
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="change a field for this run"
        )
        limit_arguments(parser)
        override_argument(parser)
        parser.add_argument("--user", default="", help="who runs it; the first administrator without")
        parser.add_argument("--watch", action="store_true", help="show a progress bar")
        parser.add_argument("--json", action="store_true", help="print the result document and nothing else")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return what belongs to the run and not to the strategy."""
        return {}

    def more_overrides(self, options: dict[str, Any]) -> dict[str, Any]:
        return {}

    def handle(self, *args: Any, **options: Any) -> None:
        session = follow(self._start(options), watch=options["watch"] or sys.stderr.isatty())
        document = outcome(session)
        if options["json"]:
            self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))
        else:
            self._print(document)
        if session.status != "completed":
            sys.exit(1)

    def _start(self, options: dict[str, Any]) -> Session:
        user = acting_user(options["user"])
        try:
            strategy = strategy_by_name(user, options["strategy"])
            config = strategy_type(strategy.type).config
            overrides = {**parse_overrides(config, options["set"]), **self.more_overrides(options)}
            version = strategy.versions.select_related("strategy").order_by("-number")[0]
            return session_create(
                owner=user, version=version, kind=self.kind, overrides=overrides, params=self._params(options),
                **given_limits(options),
            )  # fmt: skip
        except Http404:
            raise CommandError(f"There is no strategy {options['strategy']}.") from None
        except Refusal as refusal:
            raise refused(refusal) from refusal

    def _params(self, options: dict[str, Any]) -> dict[str, Any]:
        reason = options["override_reason"].strip()
        return {**self.params(options), **({"override_reason": reason} if reason else {})}

    def _print(self, document: dict[str, Any]) -> None:
        self.stdout.write(f"session {document['session']}: {document['status']}")
        if document["reason"]:
            self.stdout.write(document["reason"])
        for name in ("total_return", "sharpe"):
            if document[name] is not None:
                self.stdout.write(f"{name}: {document[name]:.4f}")
        self.stdout.write(f"files: {document['folder']}")
