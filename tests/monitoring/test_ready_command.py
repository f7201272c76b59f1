"""The health check of hosts that serve no web."""

import json

import pytest
from django.core.management import call_command, get_commands

from apps.monitoring import health
from tests.platform.test_deployment import compose

pytestmark = pytest.mark.django_db


def states(monkeypatch, **wanted):
    checks = tuple((name, lambda ok=ok, name=name: (ok, f"about {name}")) for name, ok in wanted.items())
    monkeypatch.setattr(health, "CHECKS", checks)


def test_all_well_is_exit_zero_with_a_line_a_part(monkeypatch, capsys):
    states(monkeypatch, database=True, cluster=True, disk=True)
    call_command("ready")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["database", "cluster", "disk"]


def test_a_part_that_fails_is_exit_one_and_named(monkeypatch, capsys):
    states(monkeypatch, database=True, cluster=False, disk=True)
    with pytest.raises(SystemExit) as stop:
        call_command("ready", json=True)
    assert stop.value.code == 1
    assert json.loads(capsys.readouterr().out)["cluster"] == {"ok": False, "detail": "about cluster"}


def test_only_one_part_decides(monkeypatch, capsys):
    states(monkeypatch, database=False, cluster=True, disk=False)
    call_command("ready", only="cluster")
    assert capsys.readouterr().out.split()[:2] == ["cluster", "ok"]


def test_without_a_worker_the_cluster_is_not_ready():
    with pytest.raises(SystemExit):
        call_command("ready", only="cluster")


def test_the_health_check_of_compose_asks_a_command_that_exists():
    asked = compose()["services"]["worker"]["healthcheck"]["test"]
    assert asked[asked.index("manage.py") + 1] in get_commands()
