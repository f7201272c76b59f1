"""What a process loads before it does its work: a start costs what it imports, so that is held, not seconds."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from apps.sessions.runner import process
from quant_platform.supervisor.supervisor import services
from quant_platform.supervisor.web import Web

NO_WEB = (
    "allauth",
    "channels",
    "daphne",
    "django.contrib.admin",
    "ninja",
    "quant_platform.urls",
    "twisted",
    "whitenoise",
)
NO_WORK = ("lightgbm", "mlflow", "numba", "pandas", "qlib", "scipy", "sklearn", "sympy", "torch._dynamo")
LAUNCHERS = "from apps.sessions.management.commands import launchers, reap; [import_module(n) for n in launchers.TASKS]"
TRAINING = """
import apps.sessions.jobs.training, apps.sessions.runner.run_session, apps.sessions.runner.child
import apps.strategies.engine.training.algorithmic, apps.strategies.engine.training.portfolio
import apps.strategies.engine.envs.ruled_portfolio, apps.strategies.engine.envs.ruled_trading
"""


def test_neither_launchers_nor_trainings_load_what_they_do_not_need(tmp_path):
    code = f"""
import sys
from importlib import import_module
import django
django.setup()
def check(names):
    found = [name for name in names if name in sys.modules]
    assert not found, found
{LAUNCHERS}
check({(*NO_WEB, *NO_WORK, "httpx", "torch")})
from django.core.management import call_command
call_command("check")  # What the reaper starts, a feed of quotes, is checked first, as any command is.
{TRAINING}
check({(*NO_WEB, *NO_WORK)})
assert "torch" in sys.modules
"""
    slim = {"DJANGO_SETTINGS_MODULE": "quant_platform.settings.child", "VAR_DIR": str(tmp_path), "DATABASE_URL": ""}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.BASE_DIR, env={**os.environ, **slim}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]


def test_only_the_web_has_the_settings_of_the_web(tmp_path):
    made = services(Path(settings.BASE_DIR), drain_file=tmp_path / "d", web=Web("127.0.0.1", 1), worker=True)
    slim = {
        one.name for one in made if one.environment.get("DJANGO_SETTINGS_MODULE") == "quant_platform.settings.child"
    }
    assert {one.name for one in made} - slim == {"web"}


def test_launchers_have_their_tasks_loaded_when_they_are_forked(monkeypatch):
    started = []

    class Cluster:
        def start(self):
            started.append([name for name in ("apps.sessions.tasks", "apps.marketdata.tasks") if name in sys.modules])

    monkeypatch.setattr("django_q.management.commands.qcluster.Cluster", Cluster)
    monkeypatch.delitem(sys.modules, "apps.marketdata.tasks", raising=False)
    call_command("launchers")
    assert started == [["apps.sessions.tasks", "apps.marketdata.tasks"]]


@pytest.fixture
def collector():
    yield
    gc.enable()
    gc.unfreeze()


def test_what_was_imported_is_never_looked_through(collector):
    process.importing()
    assert not gc.isenabled()
    process.imported()
    assert gc.isenabled()
    assert gc.get_freeze_count()


def test_a_run_within_another_process_leaves_its_collector_alone(collector):
    process.imported()
    assert gc.get_freeze_count() == 0
