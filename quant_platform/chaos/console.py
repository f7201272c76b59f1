"""A second person at the same installation: answers one JSON request per line (``python -m``, internal)."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

CONFIG = {"symbol": "AAPL", "episodes": 200, "hidden": 16, "window": 5, "batch": 16}


def prepare() -> None:
    """Migrate, load the built-in prices and create a person with a strategy."""
    from django.core.management import call_command

    from apps.accounts.models import Role, User
    from apps.marketdata.services import load_builtin_catalogue
    from apps.strategies.services import strategy_create

    call_command("migrate", verbosity=0)
    load_builtin_catalogue()
    user = User.objects.create_user("root", "root@example.com", None, role=Role.ADMINISTRATOR)
    strategy_create(owner=user, name="dqn", type_key="algorithmic_trading", config=CONFIG)


def start() -> int:
    """Queue a training and return its number."""
    from apps.sessions.services.sessions import session_create
    from apps.strategies.models import Strategy

    strategy = Strategy.objects.get(name="dqn")
    return session_create(owner=strategy.owner, version=strategy.versions.get(), kind="training").pk


def command(pk: int, name: str) -> str:
    """Give an order and return the state it led to."""
    from apps.accounts.models import User
    from apps.sessions.engine.states import Command
    from apps.sessions.models import Session
    from apps.sessions.services.commands import give

    return give(session=Session.objects.get(pk=pk), command=Command(name), actor=User.objects.get()).status


def look(pk: int) -> dict[str, Any]:
    """Return where a session stands, and the last step that its log says."""
    from apps.sessions.models import Session, SessionEvent

    row = Session.objects.filter(pk=pk).values(
        "status", "attempt", "step", "pid", "worker", "reason_code", "reason", "last_seq"
    )
    newest = SessionEvent.objects.filter(session_id=pk).order_by("-seq").exclude(payload__points=None).first()
    said = newest.payload["points"][-1]["step"] if newest else 0
    return row.get() | {"said": said, "said_by": newest.attempt if newest else 0}


def log(pk: int) -> list[Any]:
    """Return the whole log: (seq, attempt, payload)."""
    from apps.sessions.models import SessionEvent

    return list(SessionEvent.objects.filter(session_id=pk).order_by("seq").values_list("seq", "attempt", "payload"))


def wait_of(pk: int) -> dict[str, Any]:
    """Return where a session stands and why its attempts ended, for the words of a failed test."""
    from apps.sessions.models import Session

    session = Session.objects.get(pk=pk)
    ended = session.attempts.values_list("number", "worker", "outcome", "reason")
    names = ("status", "attempt", "pid", "worker", "crashes", "reason", "lease_until", "not_before", "last_seq", "step")
    return {name: str(getattr(session, name)) for name in names} | {"attempts": list(ended)}


def token() -> str:
    """Return a new token of the person, for a program that follows a session."""
    from apps.accounts.models import User
    from apps.accounts.tokens import token_create

    return token_create(User.objects.get(), f"chaos {User.objects.get().api_tokens.count()}")[1]


def drain(prefix: str, draining: bool) -> int:
    """Drain the workers whose name begins with ``prefix``, or take that back; return how many there are."""
    from apps.accounts.models import User
    from apps.sessions.models import Worker
    from apps.sessions.services.workers import worker_drain

    rows = list(Worker.objects.filter(name__startswith=prefix))
    for row in rows:
        worker_drain(worker=row, actor=User.objects.get(), draining=draining)
    return len(rows)


def newest_checkpoint(pk: int) -> str:
    """Return the path of the newest checkpoint, empty without one."""
    from django.conf import settings

    from apps.sessions.models import Session

    row = Session.objects.get(pk=pk).checkpoints.order_by("-id").first()
    return str(settings.VAR_DIR / row.path) if row else ""


def cut_connections() -> int:
    """End every other connection to the database (PostgreSQL); return how many there were."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def unlocked(pk: int) -> bool:
    """Tell whether nobody holds the database's write lock (SQLite) or the session's row (PostgreSQL)."""
    from django.db import OperationalError, connection, transaction

    from apps.sessions.models import Session

    try:
        if connection.vendor == "sqlite":
            other = sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None)
            with closing(other):
                other.execute("BEGIN IMMEDIATE")
            return True
        with transaction.atomic():
            Session.objects.select_for_update(nowait=True, of=("self",)).get(pk=pk)
    except (OperationalError, sqlite3.OperationalError):
        return False
    return True


def said_at(pk: int) -> float:
    """Return the time of the newest row of the log, in seconds since 1970, on the clock of who wrote it."""
    from apps.sessions.models import SessionEvent

    return SessionEvent.objects.filter(session_id=pk).latest("seq").created.timestamp()


CALLS: tuple[Callable[..., Any], ...] = (
    prepare, start, command, look, log, wait_of, token, drain, newest_checkpoint, said_at, unlocked,
    cut_connections,
)  # fmt: skip


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings")
    import django

    django.setup()
    from django.db import close_old_connections

    calls = {function.__name__: function for function in CALLS}
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        close_old_connections()
        sys.stdout.write(json.dumps({"answer": calls[name](*arguments)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
