"""Creating, cloning and resuming sessions: what is refused, and that nothing is left behind then."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest
from django.core.exceptions import PermissionDenied

from apps.accounts.models import AuditEntry
from apps.marketdata.models import Verdict
from apps.marketdata.selectors import dataset_folder
from apps.sessions.engine.states import Command
from apps.sessions.models import Checkpoint, Session
from apps.sessions.services.commands import give
from apps.sessions.services.sessions import session_again, session_clone, session_create
from apps.ui.engine.refusal import Refusal
from tests.sessions.live_fixtures import make_session, make_version
from tests.sessions.machine import payloads, ready_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset():
    return ready_dataset()


def training(owner, dataset, **more):
    values = {"kind": "training", "version": make_version(owner)} | more
    return session_create(owner=owner, **values)


def backtest(owner, dataset, **params):
    version = make_version(owner, name="SMA", type_key="rule")
    return session_create(owner=owner, version=version, kind="backtest", params=params)


def refused(call, code, status=422, field=None):
    with pytest.raises(Refusal) as caught:
        call()
    refusal = caught.value
    assert (refusal.code, refusal.status) == (code, status)
    if field:
        assert refusal.field == field
    assert refusal.message % refusal.params
    assert not Session.objects.filter(status="queued").exists()
    return refusal


def test_a_session_is_queued_with_its_whole_configuration(alice, dataset):
    session = training(alice, dataset, overrides={"episodes": 3}, priority=2, time_limit=90)
    assert (session.status, session.attempt, session.priority, session.time_limit) == ("queued", 0, 2, 90)
    assert session.config["episodes"] == 3
    assert session.config["symbol"] == "AAPL"
    assert (session.title, session.dataset_id) == ("AAPL daily", dataset.pk)
    assert payloads(session) == [{"status": "queued"}]
    assert AuditEntry.objects.filter(action="session.create", object_id=str(session.pk)).exists()


def test_the_bell_rings_when_it_has_committed(alice, dataset, monkeypatch, django_capture_on_commit_callbacks):
    rung = []
    monkeypatch.setattr("apps.sessions.adapters.doorbell.ring", lambda: rung.append(1))
    with django_capture_on_commit_callbacks(execute=True):
        training(alice, dataset)
        assert not rung
    assert rung == [1]


def test_time_limits_follow_the_kind(alice, dataset, settings):
    assert training(alice, dataset).time_limit == settings.QP_TIME_LIMIT_TRAINING
    assert backtest(alice, dataset).time_limit == settings.QP_TIME_LIMIT_BACKTEST


def test_one_more_than_allowed_is_refused_naming_the_others(alice, dataset):
    alice.max_concurrent_sessions = 2
    others = [make_session(alice, status=status) for status in ("queued", "pausing")]
    make_session(alice, status="paused")
    with pytest.raises(Refusal) as caught:
        training(alice, dataset)
    assert (caught.value.code, caught.value.status) == ("concurrent_limit", 429)
    assert caught.value.params["ids"] == [session.pk for session in others]
    assert str(others[0].pk) in caught.value.message % caught.value.params
    assert Session.objects.count() == 3


def test_somebody_elses_sessions_do_not_count(alice, bob, dataset):
    alice.max_concurrent_sessions = 1
    make_session(bob)
    assert training(alice, dataset).status == "queued"


@pytest.mark.parametrize("command", ["resume", "retry"])
def test_resuming_counts_like_creating(alice, command):
    alice.max_concurrent_sessions = 1
    alice.save()
    make_session(alice)
    waiting = make_session(alice, status="interrupted")
    refusal = refused(lambda: give(session=waiting, command=Command(command), actor=alice), "concurrent_limit", 429)
    assert refusal.params["limit"] == 1
    waiting.refresh_from_db()
    assert waiting.status == "interrupted"


def test_without_the_permission_nothing_runs(alice, dataset):
    alice.role = "viewer"
    with pytest.raises(PermissionDenied):
        training(alice, dataset)
    with pytest.raises(PermissionDenied):
        give(session=make_session(alice), command=Command.PAUSE, actor=alice)


@pytest.mark.parametrize(
    ("overrides", "code"),
    [({"episodes": 0}, "invalid_config"), ({"nonsense": 1}, "invalid_config"), ({"symbol": "NOPE"}, "unknown_symbol")],
)
def test_a_wrong_configuration_is_refused(alice, dataset, overrides, code):
    refused(lambda: training(alice, dataset, overrides=overrides), code)


def test_an_unknown_kind_is_refused(alice, dataset):
    refused(lambda: training(alice, dataset, kind="dance"), "unknown_kind", field="kind")


def test_a_rule_has_nothing_to_learn(alice, dataset):
    version = make_version(alice, name="SMA", type_key="rule")
    refused(lambda: session_create(owner=alice, version=version, kind="training"), "nothing_to_train")


@pytest.mark.parametrize("dates", [{"train_start": "1990-01-01"}, {"test_end": "2030-01-01"}])
def test_dates_of_the_configuration_lie_in_the_data(alice, dataset, dates):
    refused(lambda: training(alice, dataset, overrides=dates), "dates_outside_data", field=next(iter(dates)))


@pytest.mark.parametrize(
    ("params", "code", "field"),
    [
        ({"start": "1990-01-01"}, "dates_outside_data", "start"),
        ({"end": "2031-01-01"}, "dates_outside_data", "end"),
        ({"start": "2010-01-04", "end": "2009-01-05"}, "dates_out_of_order", "end"),
        ({"start": "yesterday"}, "invalid_date", "start"),
        ({"capital": 0}, "invalid_capital", "capital"),
        ({"capital": "-5"}, "invalid_capital", "capital"),
        ({"capital": "inf"}, "invalid_capital", "capital"),
        ({"capital": "nan"}, "invalid_capital", "capital"),
        ({"capital": "much"}, "invalid_capital", "capital"),
        ({"benchmark": "NOPE"}, "unknown_symbol", "benchmark"),
        ({"market_rules": "bend"}, "unknown_choice", "market_rules"),
        ({"goal_pct": "far"}, "invalid_goal", "goal_pct"),
        ({"goal_pct": 0}, "invalid_goal", "goal_pct"),
        ({"goal_pct": "-20"}, "invalid_goal", "goal_pct"),
        ({"goal_pct": "nan"}, "invalid_goal", "goal_pct"),
        ({"goal_pct": "1e9"}, "invalid_goal", "goal_pct"),
    ],
)
def test_a_backtest_with_impossible_parameters_is_refused(alice, dataset, params, code, field):
    refused(lambda: backtest(alice, dataset, **params), code, field=field)


def test_a_backtest_keeps_its_parameters_and_the_default_capital(alice, dataset, settings):
    session = backtest(alice, dataset, start="2005-01-03", end="", benchmark="AAPL", checkpoint_session="")
    assert session.params == {
        "start": "2005-01-03", "benchmark": "AAPL", "capital": settings.QP_BACKTEST_CAPITAL
    }  # fmt: skip


def test_a_goal_is_kept_where_it_is_not_the_default(alice, dataset):
    assert backtest(alice, dataset, goal_pct="50").params["goal_pct"] == 50.0
    assert "goal_pct" not in backtest(alice, dataset, goal_pct="100").params
    assert "goal_pct" not in backtest(alice, dataset, goal_pct="").params


def test_a_learned_strategy_needs_a_finished_training(alice, bob, dataset):
    version = make_version(alice)

    def start(**params):
        return session_create(owner=alice, version=version, kind="backtest", params=params)

    refused(start, "no_checkpoint", field="checkpoint_session")
    trained = make_session(alice, status="completed", version=version, summary={"policy": {"kind": "dqn"}})
    refused(start, "no_checkpoint")
    for path in ("a", "b"):
        Checkpoint.objects.create(
            session=trained, attempt=1, step=1, path=path, sha256="0", size_bytes=1, is_best=path == "b"
        )
    theirs = make_session(bob, status="completed", summary={"policy": {"kind": "dqn"}})
    for wrong in (theirs.pk, 10**9, "abc", "9" * 40):
        refused(lambda wrong=wrong: start(checkpoint_session=wrong), "no_checkpoint")
    assert start().params["checkpoint_session"] == trained.pk
    assert start(checkpoint_session=str(trained.pk)).params["checkpoint_session"] == trained.pk


def test_blocked_data_runs_only_for_those_who_may_say_why(alice, root, dataset):
    dataset.verdict = Verdict.BLOCKED
    dataset.save()
    refused(lambda: backtest(alice, dataset), "data_blocked", field="dataset")
    refused(lambda: backtest(alice, dataset, override_reason="I insist"), "data_blocked")
    refused(lambda: backtest(root, dataset, override_reason="  "), "data_blocked")
    refused(lambda: backtest(root, dataset, override_reason="x" * 501), "text_too_long", field="override_reason")
    assert not AuditEntry.objects.filter(action="data.override").exists()
    session = backtest(root, dataset, override_reason=" known split ")
    assert (session.status, session.params["override_reason"]) == ("queued", "known split")
    entry = AuditEntry.objects.get(action="data.override")
    assert (entry.actor, entry.details) == (root, {"reason": "known split", "session": session.pk})


def test_nobody_overrides_in_the_words_of_another(alice, root, dataset):
    dataset.verdict = Verdict.BLOCKED
    dataset.save()
    first = backtest(root, dataset, override_reason="known split")
    for repeat in (session_clone, session_again):
        assert repeat(session=first, actor=root).params["override_reason"] == "known split"
        Session.objects.update(status="completed")
        first.owner = alice
        refused(lambda repeat=repeat: repeat(session=first, actor=root), "data_blocked")
        first.owner = root


def test_a_reason_where_nothing_blocks_is_no_override(root, dataset):
    assert "override_reason" not in backtest(root, dataset, override_reason="just in case").params
    assert not AuditEntry.objects.filter(action="data.override").exists()


def test_data_whose_files_are_gone_is_refused(alice, dataset):
    shutil.rmtree(dataset_folder(dataset))
    refused(lambda: training(alice, dataset), "dataset_missing", field="dataset")


def test_a_disk_in_reserve_is_left_alone(alice, dataset, monkeypatch):
    usage = namedtuple("usage", "total used free")(1, 1, 5 * 1024**2)
    monkeypatch.setattr("apps.sessions.services.sessions.shutil.disk_usage", lambda path: usage)
    refusal = refused(lambda: training(alice, dataset), "disk_full")
    assert refusal.params["free"] == 5


def test_a_clone_changes_what_it_is_told_to_and_remembers_its_parent(alice, dataset):
    first = training(alice, dataset, overrides={"episodes": 3}, time_limit=77)
    second = session_clone(session=first, actor=alice, overrides={"learning_rate": 0.01})
    assert (second.config["episodes"], second.config["learning_rate"]) == (3, 0.01)
    assert (second.parent_id, second.time_limit, second.status) == (first.pk, 77, "queued")


def test_after_a_time_limit_the_session_gets_as_much_again(alice, settings):
    session = make_session(alice, status="interrupted", reason_code="time_limit", time_limit=100, crashes=2)
    moved = give(session=session, command=Command.RESUME, actor=alice)
    assert moved.time_limit == 100 + settings.QP_TIME_LIMIT_TRAINING
    assert (moved.status, moved.crashes) == ("queued", 0)


def test_a_longer_limit_may_be_asked_for(alice):
    session = make_session(alice, status="interrupted", reason_code="time_limit")
    assert give(session=session, command=Command.RESUME, actor=alice, time_limit=9999).time_limit == 9999


def test_a_pause_moves_at_once_what_has_not_started(alice):
    assert give(session=make_session(alice, status="queued"), command=Command.PAUSE, actor=alice).status == "paused"
