"""A leak blocks: the verdict fails, the strategy does not advance, and the result counts nowhere. Trials always count."""

from __future__ import annotations

import numpy as np
import pytest
from django.core.management import call_command

from apps.marketdata.services import load_builtin_catalogue
from apps.sessions.jobs import backtest as job
from apps.sessions.models import Session
from apps.strategies.engine import studies
from apps.strategies.engine.ports import TargetPositions
from apps.strategies.engine.registry import TYPES, parse_config
from apps.strategies.models import StrategySummary, Trial
from apps.strategies.services import strategy_create, strategy_update
from apps.strategies.trials import trial_count

pytestmark = pytest.mark.django_db(transaction=True)
VALUES = {"dataset": "us-daily-adjusted", "symbol": "IBM", "rule": "sma_cross", "test_start": "2005-01-03"}


@pytest.fixture(autouse=True)
def _inline(settings, tmp_path):
    settings.SESSION_RUNNER = "inline"
    settings.VAR_DIR = tmp_path


@pytest.fixture
def rule(root):
    load_builtin_catalogue()
    return strategy_create(owner=root, name="Averages", type_key="rule", config=VALUES)


@pytest.fixture
def oracle(monkeypatch):
    """Let every rule know the next close."""

    def decide(config, panel, policy=None):
        close = panel.close[panel.index_of(config.symbol)]
        return TargetPositions((np.append(close[1:], close[-1]) > close).astype(np.int8)[None])

    monkeypatch.setattr(TYPES["rule"].__class__, "load", lambda self, entry: decide)


def run(*more):
    call_command("backtest", "Averages", "--start", "2005-01-03", "--end", "2006-12-29", "--json", *more)
    return Session.objects.latest("pk")


def stage(rule):
    rule.refresh_from_db()
    return rule.stage


def test_a_result_that_knew_the_future_fails_and_counts_nowhere(rule, oracle):
    session = run()
    assert session.result_return > 1.0
    assert session.summary["verdict"]["word"] == "fail"
    assert not session.out_of_sample
    assert stage(rule) == "draft"
    summary = StrategySummary.objects.get(strategy=rule)
    assert (summary.runs, summary.counted, summary.best_session) == (1, 0, None)


def test_a_clean_result_on_unseen_bars_counts(rule):
    assert run().out_of_sample
    assert stage(rule) == "backtested"
    assert StrategySummary.objects.get(strategy=rule).counted == 1


def test_a_run_with_another_configuration_proves_nothing_of_the_strategys_own(rule):
    run("--set", "fast=5")
    assert stage(rule) == "draft"
    run("--set", "fast=10")  # what it has anyhow
    assert stage(rule) == "backtested"


def test_a_leak_of_the_newest_version_takes_a_strategy_back(rule, root, monkeypatch, request):
    run()
    strategy_update(strategy=rule, actor=root, config={**VALUES, "fast": 7})
    assert stage(rule) == "backtested"
    request.getfixturevalue("oracle")
    run("--set", "fast=9")
    assert stage(rule) == "backtested"
    run()
    assert stage(rule) == "draft"


def test_a_study_counts_what_it_is_to_look_at_before_it_runs(rule, monkeypatch):
    def stopped(*args, **more):
        raise RuntimeError("pulled out")

    monkeypatch.setattr(job, "backtest", stopped)
    with pytest.raises(SystemExit):
        run("--study", "sweep")
    expected = studies.size(parse_config("rule", VALUES))
    assert trial_count(rule) == expected > 20
    assert Trial.objects.get().sharpe is None


def test_a_deleted_run_leaves_its_trial(rule):
    session = run()
    call_command("sessions", "delete", str(session.pk), "--yes")
    assert not Session.objects.exists()
    trial = Trial.objects.get()
    assert (trial.session, trial.kind) == (session.pk, "backtest")
    run("--set", "fast=5")
    assert trial_count(rule) == 2


def test_what_has_nothing_to_vary_is_one_configuration():
    assert studies.size(parse_config("rule", {**VALUES, "rule": "buy_and_hold"})) == 1
    assert studies.size(parse_config("allocation", {"dataset": "x", "method": "eg"})) == 1
