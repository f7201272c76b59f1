"""Verify on real runs: a DQN and a backtest on built-in data are repeated to the bit, planted differences are found."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.accounts.models import AuditEntry
from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_folder
from apps.marketdata.services import load_builtin_catalogue
from apps.sessions import capsules
from apps.sessions.capsules import capsule_path
from apps.sessions.models import Session
from apps.sessions.runner.launcher import launch
from apps.sessions.runner.sink import DbSink
from apps.sessions.selectors import session_folder
from apps.sessions.services.claim import claim
from apps.sessions.services.commands import give
from apps.sessions.services.sessions import session_create
from apps.sessions.services.transitions import session_command
from apps.sessions.services.verifying import session_verify
from apps.strategies.engine.agents import dqn
from apps.strategies.models import Trial
from apps.strategies.services import strategy_create
from apps.ui.engine.refusal import Refusal
from tests.sessions.machine import eventually

pytestmark = pytest.mark.django_db(transaction=True)
DQN = {
    "dataset": "us-daily-adjusted", "symbol": "AAPL", "train_start": "2004-01-02", "valid_start": "2005-01-03",
    "test_start": "2006-01-03", "test_end": "2006-12-29", "episodes": 4, "hidden": 16, "batch": 16, "seeds": 2, "patience": 0,
}  # fmt: skip
RULE = {"dataset": "us-daily-adjusted", "symbol": "IBM", "rule": "sma_cross"}


@pytest.fixture(autouse=True)
def _inline(settings, tmp_path):
    settings.SESSION_RUNNER, settings.VAR_DIR = "inline", tmp_path
    load_builtin_catalogue()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # Small networks on a shared machine: a second thread mostly waits.
    yield
    torch.set_num_threads(threads)


def version(owner, type_key, config):
    made = strategy_create(owner=owner, name=type_key, type_key=type_key, config=config)
    return made.versions.select_related("strategy").get()


def run(session):
    assert claim(session.pk, session.attempt, "test")
    launch(Session.objects.select_related("version__strategy", "dataset").get(pk=session.pk))
    return Session.objects.select_related("version__strategy", "dataset", "owner").get(pk=session.pk)


@pytest.fixture
def trained(alice):
    return run(session_create(owner=alice, version=version(alice, "algorithmic_trading", DQN), kind="training"))


@pytest.fixture
def backtested(alice):
    params = {"start": "2005-01-03", "end": "2007-12-31"}
    return run(session_create(owner=alice, version=version(alice, "rule", RULE), kind="backtest", params=params))


def verified(session, actor=None):
    found = run(session_verify(session=session, actor=actor or session.owner))
    assert found.status == "completed", (found.reason_code, found.reason)
    return found


def byte_planted(session, where):
    """Change one price of the stored bars by a cent, as a failing disk would not but a person could."""
    path = dataset_folder(session.dataset) / "close.npy"
    bars = np.load(path)
    symbols = list(session.dataset.symbols.order_by("position").values_list("symbol", flat=True))
    bars[symbols.index(session.config["symbol"]), where] += 0.01
    path.chmod(0o600)
    np.save(path, bars)


def bar_of(session, day):
    times = np.load(dataset_folder(session.dataset) / "times.npy").astype("datetime64[ns]")
    return int(np.searchsorted(times, np.datetime64(day, "ns")))


def test_a_training_is_repeated_to_the_bit(trained):
    assert trained.summary["weights"]
    found = verified(trained)
    assert (found.verdict, found.verifies_id) == ("identical", trained.pk)
    document = found.verification
    assert document["first_difference"] is None
    assert document["capsule"] == []
    assert document["tolerance"] is None
    assert document["compared"] > 50


def test_a_training_that_was_paused_and_resumed_is_repeated_to_the_bit(alice, monkeypatch):
    session = session_create(owner=alice, version=version(alice, "algorithmic_trading", DQN), kind="training")
    real = DbSink.point

    def point(sink, step, values, **more):
        real(sink, step, values, **more)
        if step == 400 and sink.session_id == session.pk and sink.attempt == 1 and "epsilon" in values:
            session_command(session_id=session.pk, command="pause")
            eventually(lambda: sink.stop_reason)

    monkeypatch.setattr(DbSink, "point", point)
    paused = run(session)
    assert paused.status == "paused"
    assert 0 < paused.step <= 400
    done = run(give(session=paused, command="resume", actor=alice))
    assert (done.status, done.attempt) == ("completed", 2)
    assert verified(done).verdict == "identical"


def test_a_backtest_is_repeated_to_the_bit(backtested):
    found = verified(backtested)
    assert found.verdict == "identical"
    assert found.verification["compared"] > 3000


def test_later_trials_of_the_idea_change_nothing(backtested, alice):
    other = session_create(
        owner=alice, version=backtested.version, kind="backtest", overrides={"fast": 7}, params=backtested.params
    )
    run(other)
    before = Trial.objects.count()
    assert verified(backtested).verdict == "identical"
    assert verified(backtested).verdict == "identical"
    assert Trial.objects.count() == before


def test_a_backtest_of_a_trained_policy_is_repeated(trained, alice):
    session = session_create(
        owner=alice, version=trained.version, kind="backtest", params={"checkpoint_session": trained.pk}
    )
    assert verified(run(session)).verdict == "identical"


def test_another_seed_is_found_at_the_first_step(trained, monkeypatch):
    real = dqn.Agent.__init__

    def planted(agent, settings):
        real(agent, settings)
        agent.generators[0].manual_seed(7)

    monkeypatch.setattr(dqn.Agent, "__init__", planted)
    first = verified(trained).verification["first_difference"]
    assert first["metric"] in {"loss", "gradient_norm", "q_mean", "reward"}
    assert first["step"] == 100  # the first point with a figure of the networks
    assert first["original"] != first["again"]


def test_changed_code_is_found_at_the_step_it_acts(trained, monkeypatch):
    real = dqn.Agent.learn

    def planted(agent, windows):
        found = real(agent, windows)
        if agent.steps == 320:
            found["loss"] = found["loss"] * 2.0
        return found

    monkeypatch.setattr(dqn.Agent, "learn", planted)
    known = dict(capsules.code())
    monkeypatch.setattr(capsules, "code", lambda: known | {"source_sha256": "planted"})
    document = verified(trained).verification
    first = document["first_difference"]
    assert (first["metric"], first["step"], first["seed"]) == ("loss", 400, 42)
    assert first["original"] < first["again"]
    assert {"name": "code.source_sha256", "original": known["source_sha256"], "again": "planted"} in document["capsule"]


def test_a_byte_of_the_data_is_found_at_its_bar(backtested):
    byte_planted(backtested, bar_of(backtested, "2006-06-01"))
    document = verified(backtested).verification
    first = document["first_difference"]
    assert document["verdict"] == "different"
    assert (first["metric"], first["when"]) in {("benchmark", "2006-06-01"), ("equity", "2006-06-01")}
    assert [one["name"] for one in document["capsule"]] == ["data.us-daily-adjusted.files"]


def test_another_library_is_listed_beside_the_verdict(backtested, monkeypatch):
    known = dict(capsules.libraries())
    monkeypatch.setattr(capsules, "libraries", lambda: known | {"numba": "0.1"})
    document = verified(backtested).verification
    assert document["verdict"] == "identical"
    (found,) = document["capsule"]
    assert (found["name"], found["again"]) == ("libraries.numba", "0.1")


def test_on_a_gpu_a_small_drift_is_within_the_tolerance(trained, monkeypatch):
    real, where = dqn.Agent.learn, capsules.device

    def planted(agent, windows):
        found = real(agent, windows)
        found["loss"] = found["loss"] * (1 + 1e-5)
        return found

    monkeypatch.setattr(dqn.Agent, "learn", planted)
    monkeypatch.setattr(capsules, "device", lambda **more: where(**more) | {"type": "cuda"})
    document = verified(trained).verification
    assert document["verdict"] == "within_tolerance"
    assert document["tolerance"] == {"relative": 1e-3, "absolute": 1e-6}
    assert document["first_difference"]["metric"] == "loss"
    assert [one["name"] for one in document["capsule"]] == ["device.type"]


def test_a_verification_is_no_result_of_the_strategy(trained, alice):
    found = verified(trained)
    assert (found.result_return, found.result_sharpe, found.summary) == (None, None, {})
    session = session_create(owner=alice, version=trained.version, kind="backtest")
    assert session.params["checkpoint_session"] == trained.pk
    assert AuditEntry.objects.filter(action="session.verify", object_id=str(trained.pk)).exists()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda s: shutil.rmtree(dataset_folder(s.dataset)), "dataset_missing"),
        (lambda s: Dataset.objects.filter(pk=s.dataset_id).update(content_hash="0" * 64), "dataset_missing"),
        (lambda s: (session_folder(s.pk) / "report.json").unlink(), "no_report"),
        (lambda s: capsule_path(s.pk).unlink(), "no_capsule"),
        (lambda s: capsule_path(s.pk).write_text("{}"), "capsule_damaged"),
        (lambda s: Session.objects.filter(pk=s.pk).update(status="failed"), "not_verifiable"),
    ],
)
def test_what_cannot_be_repeated_is_refused(backtested, spoil, code):
    spoil(backtested)
    session = Session.objects.select_related("version__strategy", "dataset", "owner").get(pk=backtested.pk)
    with pytest.raises(Refusal) as caught:
        session_verify(session=session, actor=session.owner)
    assert caught.value.code == code
    assert caught.value.message % caught.value.params
    assert not Session.objects.filter(verifies=session).exists()


def test_data_replaced_in_place_is_refused(backtested):
    kept = dataset_folder(backtested.dataset)
    shutil.copytree(kept, kept.parent / ("0" * 64))
    Dataset.objects.filter(pk=backtested.dataset_id).update(content_hash="0" * 64)
    session = Session.objects.select_related("version__strategy", "dataset", "owner").get(pk=backtested.pk)
    with pytest.raises(Refusal, match="another content"):
        session_verify(session=session, actor=session.owner)


def test_one_at_a_time_and_never_of_itself(backtested):
    found = session_verify(session=backtested, actor=backtested.owner)
    with pytest.raises(Refusal) as caught:
        session_verify(session=backtested, actor=backtested.owner)
    assert (caught.value.code, caught.value.params["run"]) == ("verification_running", found.pk)
    with pytest.raises(Refusal) as caught:
        session_verify(session=run(found), actor=backtested.owner)
    assert caught.value.code == "not_verifiable"


def test_the_command_prints_the_verdict(backtested, capsys, monkeypatch):
    call_command("verify", str(backtested.pk), "--user", "alice", "--json")
    printed = capsys.readouterr().out
    document = json.loads(printed[printed.index('{\n "session"') :])
    assert (document["verdict"], document["first_difference"], document["original"]) == (
        "identical",
        None,
        backtested.pk,
    )
    call_command("verify", str(backtested.pk), "--user", "alice")
    assert "identical" in capsys.readouterr().out
    byte_planted(backtested, bar_of(backtested, "2006-06-01"))
    with pytest.raises(SystemExit) as ended:
        call_command("verify", str(backtested.pk), "--user", "alice")
    assert ended.value.code == 1
    out = capsys.readouterr().out
    assert "2006-06-01" in out
    assert "files: stored, now changed" in out
    for number in ("987654", str(Session.objects.order_by("-id")[0].pk)):
        with pytest.raises(CommandError):
            call_command("verify", number, "--user", "alice")
