"""How the runs of a strategy did: counted when one ends, mended when something was missed."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.sessions.engine.states import Command
from apps.sessions.models import Session
from apps.sessions.services.deleting import session_delete
from apps.sessions.services.performance import summaries_repair, summary_refresh
from apps.sessions.services.transitions import session_command
from apps.strategies.models import Strategy, StrategySummary
from tests.sessions.live_fixtures import make_session

pytestmark = pytest.mark.django_db


def run_of(version, net, *, sharpe=1.0, volatility=0.2, **fields):
    """A run of ``version`` that is about to end, with its result."""
    row = make_session(version.strategy.owner, version=version, status="running", attempt=1, **fields)
    result = {"result_return": net, "result_sharpe": sharpe, "out_of_sample": True}
    result["summary"] = {"test": {"ann_vol": volatility}}
    return row, result


def end(row, result, command=Command.COMPLETE):
    return session_command(session_id=row.pk, command=command, attempt=row.attempt, changes=result)


@pytest.fixture
def version(alice):
    return make_session(alice, status="failed").version


def test_a_run_that_ends_is_counted_in_the_same_moment(version):
    assert not StrategySummary.objects.exists()
    end(*run_of(version, 0.10, sharpe=1.5, volatility=0.2))
    best = end(*run_of(version, 0.30, sharpe=2.0, volatility=0.4))
    row = StrategySummary.objects.get(strategy=version.strategy)
    assert (row.runs, row.counted, row.best_return, row.best_session) == (2, 2, 0.30, best.pk)
    assert row.mean_return == pytest.approx(0.20)
    assert row.volatility == pytest.approx(0.30)
    assert row.spread == pytest.approx(0.02**0.5)
    assert (row.best_sharpe, row.best_session_return) == (2.0, 0.30)


def test_what_is_no_result_on_unseen_data_gives_no_figure(version):
    run, result = run_of(version, 9.0)
    end(run, result | {"out_of_sample": False})
    end(*run_of(version, None, sharpe=None))
    run, result = run_of(version, 5.0)
    end(run, result, Command.FAIL)
    verified = Session.objects.filter(status="completed").first()
    end(*run_of(version, 7.0, verifies=verified))
    row = StrategySummary.objects.get()
    assert (row.runs, row.counted, row.mean_return, row.spread, row.best_session) == (2, 0, None, None, None)


def test_one_run_has_no_spread_and_a_figure_that_is_not_finite_is_left_out(version):
    end(*run_of(version, 0.1, volatility=None))
    row = StrategySummary.objects.get()
    assert (row.counted, row.spread, row.volatility) == (1, None, None)


def test_a_deleted_run_counts_no_longer(version, alice):
    kept = end(*run_of(version, 0.1))
    session_delete(session=end(*run_of(version, 0.9, sharpe=3.0)), actor=alice)
    row = StrategySummary.objects.get()
    assert (row.counted, row.best_return, row.best_session) == (1, 0.1, kept.pk)


def test_repair_mends_what_is_wrong_or_missing_and_leaves_the_rest(version):
    end(*run_of(version, 0.1))
    end(*run_of(version, 0.2))
    assert summaries_repair() == 0
    StrategySummary.objects.update(mean_return=5.0)
    assert summaries_repair() == 1
    StrategySummary.objects.all().delete()
    assert summaries_repair() == 1
    assert StrategySummary.objects.get().mean_return == pytest.approx(0.15)


def test_a_strategy_that_is_gone_has_no_summary():
    assert summary_refresh(987654) is None


def test_the_list_sorts_by_the_summary_and_every_door_shows_it(client, version, alice, bob):
    end(*run_of(version, 0.25, sharpe=1.25, volatility=0.5))
    other = make_session(alice, status="failed", name="Other").version
    end(*run_of(other, -0.5, volatility=0.1))
    client.force_login(alice)
    best, worst = version.strategy_id, other.strategy_id

    def order(sort):
        items = client.get(f"/api/strategies/?sort={sort}").json()["items"]
        return [item["id"] for item in items]

    assert order("-mean") == [best, worst] == order("-volatility")
    assert order("mean") == [worst, best]
    assert client.get("/api/strategies/").json()["items"][0]["performance"]["runs"] == 1
    document = client.get(f"/api/strategies/{best}/performance").json()
    assert (document["counted"], document["mean_return"], document["spread"]) == (1, 0.25, None)
    for url in ("/", "/strategies/", f"/strategies/{best}/"):
        assert "+25.0%" in client.get(url).content.decode()
    client.force_login(bob)
    assert client.get(f"/api/strategies/{best}/performance").status_code == 404
    assert "+25.0%" not in client.get("/").content.decode()


def test_a_strategy_without_a_run_says_so(client, alice):
    version = make_session(alice, status="queued").version
    client.force_login(alice)
    document = client.get(f"/api/strategies/{version.strategy_id}/performance").json()
    assert (document["runs"], document["mean_return"], document["updated"]) == (0, None, None)


def test_the_command_shows_and_mends(version, capsys):
    end(*run_of(version, 0.1))
    StrategySummary.objects.all().delete()
    call_command("performance", "--repair", "--json")
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["strategy_id"], row["counted"]) == (version.strategy_id, 1)
    call_command("performance", Strategy.objects.get(pk=version.strategy_id).name)
    assert "+10.00%" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no strategy nothing"):
        call_command("performance", "nothing")
