"""The commands that start, follow and control sessions."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.marketdata.services import load_builtin_catalogue
from apps.sessions.models import Session
from apps.sessions.runner import run_session
from apps.sessions.runner.child import FENCED
from apps.strategies.services import strategy_create
from tests.sessions import machine
from tests.sessions.live_fixtures import make_session
from tests.sessions.machine import claimed, queued, ready_dataset

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _inline(settings, tmp_path):
    settings.SESSION_RUNNER = "inline"
    settings.VAR_DIR = tmp_path


@pytest.fixture
def rule(root):
    """A moving-average rule on the built-in bars."""
    load_builtin_catalogue()
    values = {"dataset": "us-daily-adjusted", "symbol": "IBM", "rule": "sma_cross"}
    return strategy_create(owner=root, name="Averages", type_key="rule", config=values)


@pytest.fixture
def toy(monkeypatch, root):
    """A strategy whose trainer is small."""
    machine.install(monkeypatch)
    ready_dataset()
    return make_session(root, status="completed").version.strategy


def test_a_backtest_prints_its_result_and_writes_its_report(rule, capsys, tmp_path):
    call_command("backtest", "Averages", "--start", "2005-01-03", "--end", "2007-12-31", "--capital", "50000", "--json")
    printed = capsys.readouterr().out
    found = json.loads(printed[printed.index('{\n  "session"') :])
    assert found["status"] == "completed"
    session = Session.objects.get(pk=found["session"])
    assert session.params == {"start": "2005-01-03", "end": "2007-12-31", "capital": 50000.0}
    report = json.loads((tmp_path / "sessions" / str(session.pk) / "report.json").read_text())
    assert report["metrics"]["total_return"] == found["total_return"] == session.result_return
    assert session.environment["libraries"]["numba"]
    rule.refresh_from_db()
    assert rule.stage == "backtested"


def test_people_read_the_headline_with_a_progress_bar(rule, capsys):
    call_command("backtest", str(rule.pk), "--set", "fast=5", "--watch")
    out = capsys.readouterr().out
    assert "completed" in out
    assert "total_return:" in out
    assert Session.objects.get().config["fast"] == 5


def test_a_training_takes_overrides(toy, capsys):
    call_command("train", toy.name, "--set", "steps=7", "--json")
    session = Session.objects.get(status="completed", config__steps=7)
    assert f'"session": {session.pk}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["Nothing"], "no strategy Nothing"),
        (["Averages", "--set", "fats=3"], "Did you mean fast"),
        (["Averages", "--set", "fast"], "has no value"),
        (["Averages", "--set", "fast=0"], "fast:"),
        (["Averages", "--capital", "-1"], "more than 0"),
        (["Averages", "--start", "1901-01-01"], "lies outside"),
        (["Averages", "--benchmark", "XXX"], "XXX is not in"),
        (["Averages", "--user", "nobody"], "no user nobody"),
        (["Averages", "--mode", "anchored"], "belong to --study walk_forward"),
        (["Averages", "--study", "sweep", "--open-holdout"], "belong to --study walk_forward"),
    ],
)
def test_a_backtest_that_cannot_be_is_one_sentence(rule, arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("backtest", *arguments)
    assert not Session.objects.exists()


def test_without_an_administrator_it_says_what_to_run():
    with pytest.raises(CommandError, match="createsuperuser"):
        call_command("sessions")


def test_a_run_that_fails_ends_with_an_error_status(toy, capsys):
    def explode(sink):
        sink.point(3, {"loss": float("nan")})

    machine.HOOKS[3] = explode
    with pytest.raises(SystemExit) as ended:
        call_command("train", toy.name)
    assert ended.value.code == 1
    assert "became nan at step 3" in capsys.readouterr().out


def test_sessions_are_listed_shown_and_moved(root, capsys):
    session = queued(root, title="Waiting one")
    call_command("sessions")
    assert "Waiting one" in capsys.readouterr().out
    call_command("sessions", "show", str(session.pk))
    assert json.loads(capsys.readouterr().out)["config"] == session.config
    call_command("sessions", "pause", str(session.pk), "--json")
    assert json.loads(capsys.readouterr().out)[0]["status"] == "paused"
    call_command("sessions", "cancel", str(session.pk))
    session.refresh_from_db()
    assert session.status == "cancelled"
    call_command("sessions", "list", "--status", "running")
    assert "No session." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["pause"], "needs the number"), (["show", "99"], "no session 99"), (["resume", "{pk}"], "cannot resume")],
)
def test_an_order_that_makes_no_sense_is_one_sentence(root, arguments, sentence):
    session = queued(root)
    with pytest.raises(CommandError, match=sentence):
        call_command("sessions", *[argument.format(pk=session.pk) for argument in arguments])


def test_strangers_find_no_session(root, bob):
    session = queued(root)
    with pytest.raises(CommandError, match="no session"):
        call_command("sessions", "cancel", str(session.pk), "--user", "bob")


def test_the_child_says_by_its_exit_code_how_it_went(toy, root, monkeypatch):
    monkeypatch.setattr(run_session, "die_with_parent", lambda parent: None)
    monkeypatch.setattr(run_session, "be_modest", lambda: None)
    monkeypatch.setattr(run_session, "importing", lambda: None)
    monkeypatch.setattr("apps.sessions.runner.child._listen_to_signals", lambda sink: None)
    session = claimed(root)
    assert run_session.main([str(session.pk), str(session.attempt)]) == 0
    assert run_session.main([str(session.pk), "9"]) == FENCED
