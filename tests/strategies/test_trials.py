"""The ledger of trials: what counts, what does not, and that nothing takes a trial back."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.urls import reverse

from apps.strategies.models import Strategy, Trial
from apps.strategies.services import strategy_copy
from apps.strategies.trials import history_before, trial_begin, trial_count, trial_counts, trial_end, trials_of

pytestmark = pytest.mark.django_db


def begin(strategy, kind="backtest", config=None, **params):
    version = strategy.versions.select_related("strategy").order_by("-number")[0]
    return trial_begin(
        version=version, kind=kind, config=config or {"fast": 3}, dataset="d" * 64, params=params, session=7
    )


def test_the_same_again_is_one_trial_and_anything_else_another(rule):
    assert begin(rule).pk == begin(rule).pk
    for other in ({"config": {"fast": 4}}, {"start": "2010-01-04"}, {"kind": "training"}, {"study": "sweep"}):
        begin(rule, **other)
    assert trial_count(rule) == 5


def test_a_sweep_counts_its_configurations_and_a_number_never_falls(rule):
    trial = begin(rule, kind="sweep")
    trial_counts(trial, 45)
    trial_counts(trial, 12)
    assert trial_count(rule) == 45


def test_a_copy_shares_the_trials_of_its_source(rule, alice):
    begin(rule)
    copy = strategy_copy(strategy=rule, actor=alice)
    begin(copy, config={"fast": 9})
    assert trial_count(copy) == trial_count(rule) == 2


def test_a_deleted_strategy_leaves_its_trials_to_its_copies(rule, alice):
    begin(rule)
    copy = strategy_copy(strategy=rule, actor=alice)
    Strategy.objects.filter(pk=rule.pk).delete()
    assert trial_count(Strategy.objects.get(pk=copy.pk)) == 1
    assert Trial.objects.count() == 1


def test_the_history_is_everything_but_the_run_itself(rule):
    first, second = begin(rule), begin(rule, config={"fast": 5})
    trial_end(first, 0.05, 500)
    trial_end(second, 0.01, 500)
    found = history_before(rule, second)
    assert (found.count, found.ratios) == (1, (0.05,))


def test_the_neighbours_that_a_study_looks_at_burden_its_own_verdict(rule):
    begin(rule)
    sweep = begin(rule, kind="sweep")
    trial_counts(sweep, 45)
    assert history_before(rule, sweep).count == 45


def test_page_api_and_command_tell_the_same_and_strangers_nothing(client, rule, alice, bob, capsys):
    trial_end(begin(rule), 0.05, 500)
    page, api = reverse("strategies:trials", args=[rule.pk]), f"/api/strategies/{rule.pk}/trials"
    assert client.get(page).status_code == 302
    client.force_login(bob)
    assert client.get(page).status_code == 404
    assert client.get(api).status_code == 404
    client.force_login(alice)
    assert "0.0500" in client.get(page).content.decode()
    assert client.get(api).json()["items"][0]["sharpe"] == 0.05
    call_command("trials", str(rule.pk))
    assert "1 configurations" in capsys.readouterr().out


def test_a_page_costs_the_same_queries_for_few_and_many(client, rule, alice, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.force_login(alice)
    counts = []
    for many in (1, 30):
        for i in range(many):
            begin(rule, config={"fast": i + many * 100})
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("strategies:trials", args=[rule.pk]))
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert trials_of(rule).count() == 31
