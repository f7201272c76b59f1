"""The house rules, as tests: the arrow, the engines without Django, a light web process, small files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

BASE = Path(settings.BASE_DIR)
ENGINES = sorted(
    ".".join(path.relative_to(BASE).with_suffix("").parts).removesuffix(".__init__")
    for path in BASE.glob("apps/*/engine/**/*.py")
)
HEAVY = ("torch", "qlib", "mlflow", "numba", "lightgbm")


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=BASE,
        capture_output=True,
        text=True,
        check=False,
        env={**__import__("os").environ, **env},
    )


def test_engines_import_without_django():
    code = (
        "import sys\nfor name in ('django', 'channels', 'django_q', 'ninja'):\n    sys.modules[name] = None\n"
        + "\n".join(f"import {module}" for module in ENGINES)
    )
    run = python(code)
    assert run.returncode == 0, run.stderr


def test_the_web_process_serves_pages_without_heavy_libraries(tmp_path):
    code = f"""
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "quant_platform.settings"
import quant_platform.asgi
import quant_platform.urls
early = [name for name in ("pandas", "httpx", "twisted") if name in sys.modules]
assert not early, early
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth import get_user_model
from django.test import Client
user = get_user_model().objects.create_user("w", "w@example.com", "x", role="administrator")
client = Client(); client.force_login(user)
for path in ("/", "/strategies/", "/sessions/", "/data/", "/data/features/", "/api/market/status", "/monitoring/", "/strategies/new/", "/admin/", "/api/health"):
    response = client.get(path, follow=True)
    assert response.status_code == 200, (path, response.status_code)
found = [name for name in {HEAVY!r} if name in sys.modules]
assert not found, found
"""
    run = python(code, VAR_DIR=str(tmp_path), QP_ENV="development", DATABASE_URL="")
    assert run.returncode == 0, run.stderr[-3000:]


def test_the_import_contracts_hold():
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=BASE, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-3000:]


def sources() -> list[Path]:
    return [
        path
        for folder in ("apps", "quant_platform", "tests", "tools")
        for path in (BASE / folder).rglob("*.py")
        if "migrations" not in path.parts
    ]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(BASE)))
def test_no_file_is_longer_than_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_status_is_assigned_by_the_transition_service_alone():
    """A refusal has a status too, of HTTP, and so has an order; they are told apart by name and place."""
    assigns = re.compile(r"((?<!refusal)\.status\s*=(?!=)|update\([^)]*\bstatus=)")
    guilty = {
        str(path.relative_to(BASE))
        for path in (BASE / "apps").rglob("*.py")
        if "migrations" not in path.parts and assigns.search(path.read_text(encoding="utf-8"))
    }
    sessions = {"apps/sessions/services/transitions.py", "apps/sessions/services/claim.py"}
    allowed = sessions | {"apps/ui/engine/refusal.py", "apps/trading/engine/backtest/broker.py"}
    assert guilty <= allowed
