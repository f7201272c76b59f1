"""What ``manage.py demo`` prepares: data, people, example strategies and a first training."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command

from apps.accounts.models import User
from apps.marketdata.services import load_builtin_catalogue
from apps.sessions.engine.states import ACTIVE, COUNTED
from apps.sessions.models import Kind, Session
from apps.sessions.services.sessions import session_create
from apps.strategies.engine.gallery import EXAMPLES
from apps.strategies.models import Strategy, StrategyVersion
from apps.strategies.services import strategy_create

#: The built-in dataset whose bars come as quotes.
DEMO_REPLAY = "us-daily-adjusted"
#: The example whose training runs when the page opens, long enough to be watched.
FIRST_TRAINING = "dqn-aapl"
WATCH_EPISODES = 300
#: The example whose backtest ends within seconds: there is a report to read while the training runs.
FIRST_BACKTEST = "momentum-two"


@dataclass(frozen=True)
class Demo:
    """The log-in to print."""

    username: str
    password: str
    session: Session | None


def prepare(*, training: bool = True) -> Demo:
    """Make the installation ready for a try-out; what exists already is left as it is."""
    call_command("migrate", verbosity=0)
    if not User.objects.filter(username="demo").exists():
        call_command("loaddata", "demo_users", verbosity=0)
    load_builtin_catalogue()
    password = demo_password()
    user = get_user_model().objects.get(username="demo")
    if not user.check_password(password):
        user.set_password(password)
        user.save()
    add_examples(user)
    if not training:
        return Demo(user.username, password, None)
    session = start_training(user)
    start_backtest(user)
    return Demo(user.username, password, session)


def demo_password() -> str:
    """Return this installation's demo password, made once: nobody ships a known one."""
    path = Path(settings.VAR_DIR) / "demo-password"
    if not path.is_file():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(9))
    return path.read_text(encoding="ascii").strip()


def add_examples(user: User) -> None:
    """Create the gallery's examples that ``user`` does not have yet."""
    existing = set(Strategy.objects.filter(owner=user).values_list("name", flat=True))
    for example in EXAMPLES:
        if example.name not in existing:
            strategy_create(
                owner=user, name=example.name, type_key=example.type, config=example.config, description=example.lesson
            )


def _version(user: User, key: str) -> StrategyVersion:
    name = next(example.name for example in EXAMPLES if example.key == key)
    return Strategy.objects.get(owner=user, name=name).versions.order_by("-number")[0]


def start_training(user: User) -> Session | None:
    """Queue the first training unless the user has something queued or running already."""
    if Session.objects.filter(owner=user, status__in=ACTIVE).exists():
        return None
    version = _version(user, FIRST_TRAINING)
    return session_create(owner=user, version=version, kind=Kind.TRAINING, overrides={"episodes": WATCH_EPISODES})


def start_backtest(user: User) -> Session | None:
    """Queue the first backtest unless the user has one already, or as much in line as is allowed."""
    counted = Session.objects.filter(owner=user, status__in=COUNTED).count()
    if counted >= user.max_concurrent_sessions or Session.objects.filter(owner=user, kind=Kind.BACKTEST).exists():
        return None
    return session_create(owner=user, version=_version(user, FIRST_BACKTEST), kind=Kind.BACKTEST)
