"""``manage.py people``: what an administrator does from the command line."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.accounts import ownership, services, tokens
from apps.accounts.models import User
from apps.ui.commands import number_in, refusals_as_errors


class Command(BaseCommand):
    help = "List people, unlock or log out one, make a token, or let somebody leave."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        acts.add_parser("list").add_argument("--json", action="store_true")
        for name, text in (("unlock", "forget wrong passwords"), ("log-out", "end browsers, sockets and JWTs")):
            acts.add_parser(name, help=text).add_argument("username")
        leave = acts.add_parser("leave", help="move what they own and close the account")
        leave.add_argument("username")
        leave.add_argument("--heir", required=True)
        token = acts.add_parser("token", help="make an API token and print it once")
        token.add_argument("username")
        token.add_argument("--name", default="command line")
        token.add_argument("--days", type=number_in(0, 36_500), default=90, help="0 is without end")
        token.add_argument("--scope", action="append", default=[])
        token.add_argument("--address", action="append", default=[])

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals_as_errors():
            getattr(self, options["act"].replace("-", "_"))(options)

    def user(self, username: str) -> User:
        found = User.objects.filter(username=username).first()
        if found is None:
            raise CommandError(f"Nobody is called {username}.")
        return found

    def list(self, options: dict[str, Any]) -> None:
        names = ("username", "role", "trading_enabled", "risk_level", "max_concurrent_sessions", "is_active")
        rows = list(User.objects.values(*names))
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            may = "trades" if row["trading_enabled"] else "does not trade"
            left = "" if row["is_active"] else ", closed"
            self.stdout.write(
                f"{row['username']:<24} {row['role']:<14} {may}, risk {row['risk_level']}, "
                f"{row['max_concurrent_sessions']} sessions at once{left}"
            )

    def unlock(self, options: dict[str, Any]) -> None:
        done = services.login_unlock(actor=None, username=options["username"])
        if not done:
            self.user(options["username"])  # a name that nobody has can be locked all the same
        self.stdout.write("unlocked" if done else "was not locked")

    def log_out(self, options: dict[str, Any]) -> None:
        services.log_out_everywhere(self.user(options["username"]), actor=None)
        self.stdout.write("logged out everywhere")

    def leave(self, options: dict[str, Any]) -> None:
        moved = ownership.ownership_transfer(
            actor=None, leaver=self.user(options["username"]), heir=self.user(options["heir"])
        )
        self.stdout.write(json.dumps(moved))

    def token(self, options: dict[str, Any]) -> None:
        expires = timezone.now() + timedelta(days=options["days"]) if options["days"] else None
        _row, plain = tokens.token_create(
            self.user(options["username"]),
            options["name"],
            expires,
            scopes=options["scope"] or ["*"],
            addresses=options["address"],
        )
        self.stdout.write(plain)
