"""A second person at the same installation: answers one JSON request per line (run by the fault tests)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings")

import django

django.setup()

from django.db import close_old_connections

from apps.sessions.models import Session, SessionEvent

CONFIG = {"symbol": "AAPL", "episodes": 200, "hidden": 16, "window": 5, "batch": 16}


def prepare():
    from django.core.management import call_command

    from apps.accounts.models import Role, User
    from apps.marketdata.services import load_builtin_catalogue
    from apps.strategies.services import strategy_create

    call_command("migrate", verbosity=0)
    load_builtin_catalogue()
    user = User.objects.create_user("root", "root@example.com", "correct horse 7", role=Role.ADMINISTRATOR)
    strategy_create(owner=user, name="dqn", type_key="algorithmic_trading", config=CONFIG)


def start():
    from apps.sessions.services.sessions import session_create
    from apps.strategies.models import Strategy

    strategy = Strategy.objects.get(name="dqn")
    return session_create(owner=strategy.owner, version=strategy.versions.get(), kind="training").pk


def command(pk, name):
    from apps.accounts.models import User
    from apps.sessions.engine.states import Command
    from apps.sessions.services.commands import give

    return give(session=Session.objects.get(pk=pk), command=Command(name), actor=User.objects.get()).status


def look(pk):
    row = Session.objects.filter(pk=pk).values("status", "attempt", "step", "pid", "worker", "reason_code", "last_seq")
    newest = SessionEvent.objects.filter(session_id=pk).order_by("-seq").exclude(payload__points=None).first()
    said = newest.payload["points"][-1]["step"] if newest else 0
    return row.get() | {"said": said, "said_by": newest.attempt if newest else 0}


def log(pk):
    """Return the whole log: (seq, attempt, payload)."""
    return list(SessionEvent.objects.filter(session_id=pk).order_by("seq").values_list("seq", "attempt", "payload"))


def wait_of(pk):
    """Return where a session stands and why its attempts ended, for the words of a failed test."""
    return list(Session.objects.get(pk=pk).attempts.values_list("number", "worker", "outcome", "reason"))


def main():
    calls = {function.__name__: function for function in (prepare, start, command, look, log, wait_of)}
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        close_old_connections()
        print(json.dumps({"answer": calls[name](*arguments)}), flush=True)


if __name__ == "__main__":
    main()
