"""The processes of the HTTP benchmark beside the server: who prepares the people, and who counts statements."""

from __future__ import annotations

import gzip
import json
import os
import secrets
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quant_platform.settings")
FINISHED, POINTS, ROUNDS = 10, 200, 7
#: How many of the finished trainings have curves: those that are opened and compared.
OPENED = 2


def prepare(people: int) -> list[dict[str, Any]]:
    """Make an installation with the demo's data and ``people`` users who have worked on it for a while."""
    from apps.marketdata.selectors import dataset_by_name
    from apps.strategies.services import strategy_create
    from quant_platform import demo

    demo.prepare(training=False)
    dataset, scene = dataset_by_name(None, "us-daily-adjusted"), []
    for number in range(people):
        person = _person(number)
        dqn = strategy_create(owner=person["user"], name="DQN on AAPL", type_key="algorithmic_trading", config={})
        rule = strategy_create(owner=person["user"], name="Moving averages", type_key="rule", config={})
        sessions = _finished(person["user"], dqn, dataset)
        scene.append(
            {
                "cookie": person["cookie"], "token": person["token"], "strategy": dqn.pk, "rule": rule.pk,
                "dataset": dataset.pk, "training": sessions[0], "other": sessions[1],
            }
        )  # fmt: skip
    return scene


def _person(number: int) -> dict[str, Any]:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from apps.accounts.api_auth import token_digest
    from apps.accounts.models import ApiToken, User

    name = f"person{number}"
    user, token = User.objects.create(username=name, email=f"{name}@example.com"), secrets.token_urlsafe(24)
    ApiToken.objects.create(user=user, name="bench", prefix=token[:8], token_hash=token_digest(token))
    browser = SessionStore()
    browser[SESSION_KEY] = str(user.pk)
    browser[BACKEND_SESSION_KEY] = "apps.accounts.backends.LockingModelBackend"
    browser[HASH_SESSION_KEY] = user.get_session_auth_hash()
    browser.save()
    return {"user": user, "token": token, "cookie": browser.session_key}


def _finished(user: Any, strategy: Any, dataset: Any) -> list[int]:
    """Give ``user`` finished trainings with curves, figures and a summary."""
    from datetime import timedelta

    from django.utils import timezone

    from apps.sessions.live.curves import curves_of
    from apps.sessions.models import Session, SessionEvent
    from apps.sessions.services.measuring import figures_store
    from apps.sessions.services.performance import summary_refresh

    version, now = strategy.versions.get(), timezone.now()
    test = {"total_return": 0.1, "sharpe": 1.0, "ann_vol": 0.2, "max_drawdown": -0.1}
    summary = {"test": test, "baselines": {"buy_and_hold": {"total_return": 0.08, "sharpe": 0.7}}}
    made = [
        Session.objects.create(
            owner=user, kind="training", title=strategy.name, version=version, dataset=dataset, config=version.config,
            status="completed", attempt=1, time_limit=7200, started_at=now - timedelta(hours=number + 1), progress=1.0,
            finished_at=now - timedelta(hours=number), result_return=0.1 * number, result_sharpe=0.2 * number,
            out_of_sample=True, summary=summary,
        )
        for number in range(FINISHED)
    ]  # fmt: skip
    for session in made[:OPENED]:
        SessionEvent.objects.bulk_create(
            SessionEvent(session=session, seq=seq, attempt=1, payload={"points": [_point(seq)]})
            for seq in range(1, POINTS + 1)
        )
        Session.objects.filter(pk=session.pk).update(last_seq=POINTS)
        figures_store(session.pk, curves_of(session.pk, POINTS))
    summary_refresh(strategy.pk)
    return [session.pk for session in made]


def _point(step: int) -> dict[str, Any]:
    values = {
        "loss": 1.0 / step,
        "reward": float(step % 17),
        "valid_sharpe": step / POINTS,
        "epsilon": 1.0 - step / POINTS,
    }
    return {"step": step, "epoch": step, "values": values}


def share(report: int) -> list[int]:
    """Give everybody a copy of a finished backtest with its report; return the copies in the order of the people."""
    from apps.accounts.models import User
    from apps.sessions.models import Session
    from apps.sessions.selectors import session_folder
    from apps.strategies.models import StrategyVersion

    done, copies = Session.objects.get(pk=report), []
    people = User.objects.filter(username__startswith="person").order_by("pk")
    for user in people:
        version = StrategyVersion.objects.get(strategy__owner=user, strategy__type="rule")
        done.pk, done.owner, done.version = None, user, version
        done._state.adding = True
        done.save()
        shutil.copytree(session_folder(report), session_folder(done.pk))
        copies.append(done.pk)
    return copies


def count(person: dict[str, Any], addresses: list[str]) -> dict[str, Any]:
    """Return for each address its statements, the CPU ms of an answer (median) and its KB through gzip."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client, found = Client(), {}
    client.cookies["sessionid"] = person["cookie"]
    for address in addresses:
        asked = address.format(**person)
        headers = {"Authorization": f"Bearer {person['token']}"} if address.startswith("/api/") else {}
        client.get(asked, headers=headers)  # The first one loads templates and what else is loaded once.
        with CaptureQueriesContext(connection) as statements:
            answer = client.get(asked, headers=headers)
        count_of = len(statements)  # Now: the next request empties the log.
        taken = []
        for _ in range(ROUNDS):
            began = time.process_time()
            client.get(asked, headers=headers)
            taken.append((time.process_time() - began) * 1000)
        body = b"".join(answer) if answer.streaming else answer.content
        size = len(body if answer.has_header("Content-Encoding") else gzip.compress(body, 6))
        if answer.status_code != 200:
            raise SystemExit(f"{asked} answered {answer.status_code}")
        found[address] = {
            "statements": count_of, "cpu_ms": statistics.median(taken), "kb": size / 1024,
        }  # fmt: skip
    return found


def metric(sessions: int) -> dict[str, Any]:
    """Make ``sessions`` with eight metrics each and ask for one of them: through the API, and as a page."""
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from apps.sessions.models import Session, SessionMetric
    from quant_platform.bench.push_parts import sessions_of

    call_command("migrate", verbosity=0)
    person = _person(0)
    made = sessions_of(person["user"], sessions)
    names = ("loss", "reward", "valid_sharpe", "valid_return", "epsilon", "gradient_norm", "q_mean", "learning_rate")
    SessionMetric.objects.bulk_create(
        SessionMetric(
            session_id=pk, name=name, points=POINTS, last=pk % 97, last_step=POINTS, low=0, high=pk % 97, mean=pk % 53
        )
        for pk in made for name in names
    )  # fmt: skip
    Session.objects.filter(pk__in=made[: sessions - 10]).update(status="completed")
    client, found = Client(), {}
    client.cookies["sessionid"] = person["cookie"]
    for word, address in (("API", "/api/sessions/metric?name=loss"), ("page", "/sessions/metric/?name=loss")):
        client.get(address)
        with CaptureQueriesContext(connection) as statements:
            answer = client.get(address)
        count_of = len(statements)
        walls, cpus = [], []
        for _ in range(20):
            wall, cpu = time.perf_counter(), time.process_time()
            client.get(address)
            walls.append((time.perf_counter() - wall) * 1000)
            cpus.append((time.process_time() - cpu) * 1000)
        found[word] = {
            "p50_ms": statistics.median(walls), "p95_ms": statistics.quantiles(walls, n=20)[18],
            "cpu_ms": statistics.median(cpus), "statements": count_of, "kb": len(answer.content) / 1024,
        }  # fmt: skip
    return found


def main(arguments: list[str]) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import django

    django.setup()
    from django.conf import settings

    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]
    made: Any = None
    match arguments:
        case ["prepare", people]:
            made = prepare(int(people))
        case ["metric", sessions]:
            made = metric(int(sessions))
        case ["share", report]:
            made = share(int(report))
        case ["count", person, addresses]:
            made = count(json.loads(person), json.loads(addresses))
    print(json.dumps(made))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
