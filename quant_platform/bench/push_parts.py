"""The processes of the push benchmark: one prepares people and sessions, the others write points."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings")
SOCKETS_A_USER = 5


def prepare(jobs: int, sockets: int) -> None:
    """Migrate an empty database, make sessions that run and a token per user; print both as JSON."""
    from django.core.management import call_command

    from apps.accounts.api_auth import token_digest
    from apps.accounts.models import ApiToken, Role, User

    call_command("migrate", verbosity=0)
    # Administrators see every session, so that each socket may follow all of them.
    names = [f"watcher{number}" for number in range(-(-sockets // SOCKETS_A_USER))]
    users = [User.objects.create(username=name, email=f"{name}@example.com", role=Role.ADMINISTRATOR) for name in names]
    tokens: list[str] = []
    for user in users:
        token = secrets.token_urlsafe(24)
        ApiToken.objects.create(user=user, name="push", prefix=token[:8], token_hash=token_digest(token))
        tokens += [token] * SOCKETS_A_USER
    sessions = sessions_of(users[0], jobs)
    print(json.dumps({"sessions": sessions, "tokens": tokens[:sockets]}))  # noqa: T201


def sessions_of(owner, count: int) -> list[int]:  # type: ignore[no-untyped-def]
    """Make ``count`` running sessions of a strategy each and return their numbers."""
    return [_session(owner, number) for number in range(count)]


def _session(owner, number: int) -> int:  # type: ignore[no-untyped-def]
    from apps.marketdata.models import Dataset
    from apps.sessions.models import Session
    from apps.strategies.engine.registry import parse_config
    from apps.strategies.models import Strategy, StrategyVersion

    when = datetime(2000, 1, 3, tzinfo=UTC)
    dataset, _ = Dataset.objects.get_or_create(
        name="push",
        defaults={"content_hash": "0" * 64, "source": "push", "rows": 1, "symbol_count": 1, "start": when, "end": when},
    )
    config = parse_config("algorithmic_trading", {}).model_dump(mode="json")
    strategy = Strategy.objects.create(owner=owner, name=f"Push {number}", type="algorithmic_trading")
    version = StrategyVersion.objects.create(
        strategy=strategy, number=1, config=config, config_hash="0" * 64, author=owner
    )
    made = Session.objects.create(
        owner=owner, kind="training", title=strategy.name, version=version, dataset=dataset, config=config,
        status="running", attempt=1, time_limit=7200, started_at=datetime.now(UTC),
    )  # fmt: skip
    return made.pk


def write(session_id: int, seconds: float, rate: float) -> None:
    """Say ``rate`` points a second for ``seconds``, through the sink of a training, from the
    time on that standard input names."""
    from apps.sessions.models import Session
    from apps.sessions.runner.process import be_modest
    from apps.sessions.runner.sink import DbSink
    from apps.sessions.selectors import session_folder

    be_modest()  # As the process of a session is.
    sink = DbSink(Session.objects.get(pk=session_id), session_folder(session_id))
    print("ready", flush=True)  # noqa: T201
    total, start = int(seconds * rate), float(sys.stdin.readline())
    time.sleep(max(0.0, start - time.time()))
    sink.start()
    for step in range(1, total + 1):
        time.sleep(max(0.0, start + step / rate - time.time()))
        sink.point(step, {"loss": 1.0 / step, "reward": float(step)}, epoch=step)
        sink.progress(step, total, "episode")
    sink.close()


def main(arguments: list[str]) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import django

    django.setup()
    if arguments[0] == "prepare":
        prepare(int(arguments[1]), int(arguments[2]))
    else:
        write(int(arguments[1]), *map(float, arguments[2:]))


if __name__ == "__main__":
    main(sys.argv[1:])
