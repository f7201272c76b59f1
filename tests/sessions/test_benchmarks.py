"""A backtest laid against another dataset: who may use it, what is refused, what is recorded."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.urls import reverse

from apps.accounts.tokens import token_create
from apps.marketdata.engine.assemble import Imported
from apps.marketdata.models import Dataset, Verdict
from apps.marketdata.selectors import dataset_folder
from apps.marketdata.services import dataset_archive, dataset_import, load_builtin_catalogue
from apps.sessions.capsules import capsule_of
from apps.sessions.models import Session
from apps.sessions.reports import benchmark_label, benchmark_name, report_of
from apps.sessions.runner.launcher import launch
from apps.sessions.services.claim import claim
from apps.sessions.services.sessions import session_again, session_create
from apps.sessions.services.verifying import session_verify
from apps.strategies.services import strategy_create
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars
from tests.sessions.live_fixtures import make_version

pytestmark = pytest.mark.django_db
RULE = {"dataset": "us-daily-adjusted", "symbol": "IBM", "rule": "sma_cross"}
PERIOD = {"start": "2005-01-03", "end": "2005-12-30"}


@pytest.fixture(autouse=True)
def _data(settings, tmp_path):
    settings.SESSION_RUNNER, settings.VAR_DIR = "inline", tmp_path
    load_builtin_catalogue()


@pytest.fixture
def index(alice):
    panel = bars([100.0 + i for i in range(300)], symbol="IDX", start="2004-12-01")
    return dataset_import(name="index", imported=Imported(panel), source="test", owner=alice)


def version(owner):
    made = strategy_create(owner=owner, name="Averages", type_key="rule", config=RULE)
    return made.versions.select_related("strategy").get()


def created(owner, **params) -> Session:
    made = make_version(owner, name="Averages", type_key="rule", **RULE)
    return session_create(owner=owner, version=made, kind="backtest", params={**PERIOD, **params})


def run(session) -> Session:
    assert claim(session.pk, session.attempt, "test")
    launch(Session.objects.select_related("version__strategy", "dataset").get(pk=session.pk))
    return Session.objects.select_related("version__strategy", "dataset", "owner").get(pk=session.pk)


def refused(call, code, field="benchmark_dataset") -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    assert (caught.value.code, caught.value.field) == (code, field)
    assert str(caught.value)
    return caught.value


def test_the_version_is_kept_and_a_symbol_of_the_own_data_needs_no_dataset(alice, index):
    assert created(alice, benchmark_dataset=" index ").params["benchmark_dataset"] == "index@1"
    own = created(alice, benchmark="AAPL", benchmark_dataset="us-daily-adjusted").params
    assert own["benchmark"] == "AAPL"
    assert "benchmark_dataset" not in own


@pytest.mark.parametrize(
    ("params", "code", "field"),
    [
        ({"benchmark_dataset": "nowhere"}, "unknown_dataset", "benchmark_dataset"),
        ({"benchmark_dataset": "index@9"}, "unknown_dataset", "benchmark_dataset"),
        ({"benchmark_dataset": "in\x00dex"}, "unknown_dataset", "benchmark_dataset"),
        ({"benchmark_dataset": "us-daily-raw"}, "benchmark_blocked", "benchmark_dataset"),
        ({"benchmark_dataset": "index", "benchmark": "AAPL"}, "unknown_symbol", "benchmark"),
        ({"benchmark_dataset": "index", "benchmark": "ID\x00X"}, "unknown_symbol", "benchmark"),
        ({"benchmark_dataset": "index", "start": "2009-01-05", "end": ""}, "benchmark_no_overlap", "benchmark_dataset"),
        ({"benchmark_dataset": "index", "start": "", "end": "2004-11-30"}, "benchmark_no_overlap", "benchmark_dataset"),
    ],
)
def test_what_cannot_be_laid_against_is_refused_before_anything_runs(alice, index, params, code, field):
    refused(lambda: created(alice, **params), code, field)
    assert not Session.objects.exists()


def test_a_strangers_private_dataset_is_refused_like_one_that_is_not_there(alice, bob, index):
    hidden = refused(lambda: created(bob, benchmark_dataset="index"), "unknown_dataset")
    missing = refused(lambda: created(bob, benchmark_dataset="nowhere"), "unknown_dataset")
    assert hidden.params["known"] == missing.params["known"]
    assert "index" not in hidden.params["known"]


@pytest.mark.django_db(transaction=True)
def test_a_run_whose_owner_lost_sight_of_the_dataset_does_not_read_it(alice, bob, index):
    session = created(alice, benchmark_dataset="index")
    Dataset.objects.filter(pk=index.pk).update(owner=bob)
    done = run(session)
    assert (done.status, done.reason_code) == ("failed", "dataset_missing")


def test_files_that_are_gone_are_refused(alice, index):
    dataset_folder(index).rename(dataset_folder(index).with_name("elsewhere"))
    refused(lambda: created(alice, benchmark_dataset="index"), "dataset_missing")


@pytest.mark.django_db(transaction=True)
def test_the_report_is_laid_against_it_and_the_capsule_holds_its_hash(alice, index, client):
    done = run(created(alice, benchmark_dataset="index"))
    assert done.status == "completed", done.reason
    told = report_of(done)["benchmark"]
    assert (told["dataset"], told["content_hash"]) == ("index@1", index.content_hash)
    assert told["covered"] == told["bars"]
    assert benchmark_name(report_of(done)) == "IDX (index@1)"
    assert benchmark_label(report_of(done)) == "IDX"
    assert capsule_of(done)["benchmark"]["content_hash"] == index.content_hash
    client.force_login(alice)
    page = client.get(reverse("sessions:report", args=[done.pk])).content.decode()
    assert "Benchmark: IDX (index@1)" in page
    assert "bought with all money at the first open after the first decision" in page
    assert 'name="benchmark_dataset" value="index@1"' in page
    assert index.content_hash[:12] in page


@pytest.mark.django_db(transaction=True)
def test_it_is_verified_with_the_same_content_and_by_whoever_may_see_it(alice, root, bob, index):
    done = run(created(alice, benchmark_dataset="index"))
    dataset_archive(index)  # out of the lists, its files stay for the runs that used it
    again = run(session_verify(session=done, actor=root))
    assert (again.status, again.verdict) == ("completed", "identical")
    bob.role = "advanced"
    refused(lambda: session_verify(session=done, actor=bob), "dataset_missing")
    Dataset.objects.filter(pk=index.pk).update(content_hash=done.dataset.content_hash)
    refused(lambda: session_verify(session=done, actor=alice), "dataset_replaced")


def test_a_blocked_verdict_counts_by_the_dataset_used(alice, index):
    Dataset.objects.filter(pk=index.pk).update(verdict=Verdict.BLOCKED)
    refused(lambda: created(alice, benchmark_dataset="index"), "benchmark_blocked")


def test_a_repeated_run_keeps_it_or_takes_it_away(alice, index):
    session = created(alice, benchmark_dataset="index")
    assert session_again(session=session, actor=alice).params["benchmark_dataset"] == "index@1"
    assert (
        "benchmark_dataset" not in session_again(session=session, actor=alice, params={"benchmark_dataset": ""}).params
    )


def test_form_api_and_command_take_it(alice, index, client):
    made = version(alice)
    client.force_login(alice)
    page = client.get(reverse("strategies:detail", args=[made.strategy_id])).content.decode()
    assert '<option value="index">' in page
    form = {"version": made.pk, "kind": "backtest", "benchmark_dataset": "index", **PERIOD}
    client.post(reverse("sessions:start"), form)
    headers = {"Authorization": f"Bearer {token_create(alice, 't', scopes=['sessions:write', 'strategies:write'])[1]}"}
    answer = client.post(
        f"/api/strategies/{made.strategy_id}/backtest", {**PERIOD, "benchmark_dataset": "index", "benchmark": "IDX"},
        content_type="application/json", headers=headers,
    )  # fmt: skip
    assert answer.status_code == 201, answer.content
    client.post(f"/sessions/{answer.json()['id']}/again/", {**RULE, "benchmark_dataset": "", "benchmark": ""})
    shown = [
        (row.params.get("benchmark_dataset"), row.params.get("benchmark")) for row in Session.objects.order_by("pk")
    ]
    assert shown[:2] == [("index@1", None), ("index@1", "IDX")]


@pytest.mark.django_db(transaction=True)
def test_the_command_names_it(alice, index, capsys):
    version(alice)
    span = ["--start", "2005-01-03", "--end", "2005-12-30"]
    call_command("backtest", "Averages", "--user", "alice", *span, "--benchmark-dataset", "index")
    assert "completed" in capsys.readouterr().out
    assert report_of(Session.objects.get())["benchmark"]["dataset"] == "index@1"
