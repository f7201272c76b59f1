"""Sessions over the API: documents, paging, commands, refusals as problem documents."""

from __future__ import annotations

import json

import pytest

from apps.sessions.live.curves import forget_all
from apps.sessions.logs import log_path
from apps.sessions.models import Checkpoint, Session
from apps.sessions.services.workers import beat
from tests.sessions.live_fixtures import make_dataset, make_session, make_version, points, say

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_curves():
    forget_all()


@pytest.fixture
def api(client, alice):
    client.force_login(alice)
    return client


def get(api, path, **query):
    response = api.get(f"/api/sessions/{path}", query)
    assert response.status_code == 200, response.content
    return response.json()


def post(api, path, body=""):
    return api.post(path, body, content_type="application/json")


def problem(response, status, code):
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"].startswith("application/problem+json")
    document = response.json()
    assert document["code"] == code
    assert document["detail"]
    return document


@pytest.mark.parametrize("path", ["", "/status", "/metrics", "/events", "/log"])
def test_a_stranger_finds_nothing(client, alice, bob, path):
    session = make_session(alice)
    client.force_login(bob)
    problem(client.get(f"/api/sessions/{session.pk}{path}"), 404, "not_found")


@pytest.mark.parametrize("command", ["pause", "resume", "cancel", "stop", "retry", "clone"])
def test_a_stranger_moves_nothing(client, alice, bob, command):
    session = make_session(alice)
    client.force_login(bob)
    problem(post(client, f"/api/sessions/{session.pk}/{command}"), 404, "not_found")
    assert Session.objects.get().status == "running"


def test_a_stranger_starts_no_run_of_another(client, alice, bob):
    strategy = make_version(alice).strategy
    client.force_login(bob)
    for kind in ("train", "backtest"):
        problem(
            client.post(f"/api/strategies/{strategy.pk}/{kind}", "{}", content_type="application/json"),
            404,
            "not_found",
        )


def test_without_logging_in_there_is_no_answer(client, alice):
    problem(client.get(f"/api/sessions/{make_session(alice).pk}"), 401, "authentication_required")


def test_the_list_filters_pages_and_counts(api, alice):
    for number in range(5):
        make_session(alice, name=f"S{number}", status="completed" if number % 2 else "running")
    document = get(api, "", status="completed", page_size=1)
    assert (document["total"], document["pages"], len(document["items"])) == (2, 2, 1)
    assert document["items"][0]["status"] == "completed"
    assert get(api, "", kind="backtest")["items"] == []


def test_the_list_costs_the_same_for_one_and_for_many(api, alice, django_assert_max_num_queries):
    for number in range(10):
        make_session(alice, name=f"S{number}")
    with django_assert_max_num_queries(6):
        get(api, "")


def test_a_session_tells_everything_about_itself(api, alice):
    session = make_session(alice, summary={"test": {"sharpe": 1.5}}, environment={"device": "cpu"})
    Checkpoint.objects.create(session=session, attempt=1, step=4, path="x", sha256="0" * 64, size_bytes=9, is_best=True)
    document = get(api, session.pk)
    assert document["config"]["symbol"] == "AAPL"
    assert document["checkpoints"][0]["is_best"] is True
    assert document["summary"]["test"]["sharpe"] == 1.5
    assert document["commands"] == ["pause", "cancel"]


def test_the_state_names_its_reason(api, alice):
    session = make_session(alice, status="failed", reason_code="disk_full", reason={"detail": "No space left"})
    document = get(api, f"{session.pk}/status")
    assert (document["status"], document["reason_code"]) == ("failed", "disk_full")
    assert "No space left" in document["message"]


def test_metrics_have_value_epoch_step_and_time(api, alice):
    session = say(make_session(alice), points(1, 2, 3, reward=5.0))
    document = get(api, f"{session.pk}/metrics")
    assert document["session_id"] == session.pk
    assert document["total"] == 6
    assert document["metrics"]["loss"][0].keys() == {"value", "epoch", "step", "timestamp"}
    assert [point["value"] for point in document["metrics"]["loss"]] == [1.0, 0.5, 1 / 3]


def test_metrics_page_by_step_and_show_the_newest_without_one(api, alice):
    session = say(make_session(alice), *(points(step) for step in range(1, 51)))
    steps = [
        point["step"] for point in get(api, f"{session.pk}/metrics", name="loss", after=10, limit=5)["metrics"]["loss"]
    ]
    assert steps == [11, 12, 13, 14, 15]
    newest = [point["step"] for point in get(api, f"{session.pk}/metrics", name="loss", limit=3)["metrics"]["loss"]]
    assert newest == [48, 49, 50]


def test_a_resolution_keeps_ends_and_shape(api, alice):
    session = say(make_session(alice), points(*range(1, 301)))
    document = get(api, f"{session.pk}/metrics", name="loss", limit=1000, resolution=20)
    steps = [point["step"] for point in document["metrics"]["loss"]]
    assert len(steps) == 20
    assert (steps[0], steps[-1]) == (1, 300)
    assert document["total"] == 300


def test_seeds_are_told_apart(api, alice):
    session = say(make_session(alice), points(1, seed=0), points(1, seed=1))
    assert [point["seed"] for point in get(api, f"{session.pk}/metrics")["metrics"]["loss"]] == [0, 1]


def test_an_unknown_metric_is_refused_and_the_known_ones_named(api, alice):
    session = say(make_session(alice), points(1))
    document = problem(api.get(f"/api/sessions/{session.pk}/metrics?name=nonsense"), 404, "unknown_metric")
    assert "loss" in document["detail"]


def test_metrics_of_a_session_that_has_none_are_empty(api, alice):
    assert get(api, f"{make_session(alice).pk}/metrics", name="loss")["total"] == 0


@pytest.mark.parametrize("query", ["limit=10001", "limit=0", "limit=x", "resolution=-1", "after=x"])
def test_a_query_out_of_bounds_is_refused(api, alice, query):
    problem(api.get(f"/api/sessions/{make_session(alice).pk}/metrics?{query}"), 422, "invalid_request")


def test_events_continue_behind_a_cursor(api, alice):
    session = say(make_session(alice), points(1), {"status": "running"}, points(2))
    document = get(api, f"{session.pk}/events", after=1, limit=10)
    assert [event["seq"] for event in document["events"]] == [2, 3]
    assert document["last_seq"] == 3


def test_the_log_is_read_line_by_line(api, alice):
    session = make_session(alice)
    log_path(session.pk).parent.mkdir(parents=True, exist_ok=True)
    log_path(session.pk).write_text("a\nb\nc\n", encoding="utf-8")
    assert get(api, f"{session.pk}/log", after=1, limit=1) == {"session_id": session.pk, "lines": ["b"], "total": 3}


def test_commands_follow_the_table(api, alice):
    session = make_session(alice)
    assert post(api, f"/api/sessions/{session.pk}/pause").json()["status"] == "pausing"
    assert post(api, f"/api/sessions/{session.pk}/stop").json()["status"] == "cancelling"


def test_a_command_the_state_forbids_is_a_conflict(api, alice):
    session = make_session(alice, status="completed")
    problem(post(api, f"/api/sessions/{session.pk}/resume"), 409, "invalid_transition")


def test_an_unknown_command_is_refused(api, alice):
    assert post(api, f"/api/sessions/{make_session(alice).pk}/complete").status_code == 404


def test_resuming_one_too_many_names_the_others(api, alice):
    busy = [make_session(alice, name=f"S{number}") for number in range(3)]
    paused = make_session(alice, name="Paused", status="paused")
    document = problem(post(api, f"/api/sessions/{paused.pk}/resume"), 429, "concurrent_limit")
    assert set(document["params"]["ids"]) == {session.pk for session in busy}


def test_resuming_takes_a_longer_time_limit(api, alice, django_capture_on_commit_callbacks):
    session = make_session(alice, status="interrupted", reason_code="time_limit")
    response = api.post(f"/api/sessions/{session.pk}/resume", '{"time_limit": 9000}', content_type="application/json")
    assert response.status_code == 200, response.content
    session.refresh_from_db()
    assert (session.status, session.time_limit) == ("queued", 9000)


def test_a_body_that_is_not_json_is_refused(api, alice):
    session = make_session(alice, status="interrupted")
    response = api.post(f"/api/sessions/{session.pk}/resume", "{", content_type="application/json")
    assert response.status_code in {400, 422}
    assert response.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("pk", [0, 10**17, 10**25])
def test_an_unknown_number_is_not_found(api, pk):
    problem(api.get(f"/api/sessions/{pk}"), 404, "not_found")


@pytest.fixture
def data_there(db, monkeypatch, tmp_path):
    """The dataset, and its files as far as creating a session looks."""
    make_dataset()
    monkeypatch.setattr("apps.sessions.services.sessions.dataset_folder", lambda dataset: tmp_path)


def test_training_and_backtest_are_queued(api, alice, data_there):
    trained = make_version(alice)
    make_session(alice, version=trained, status="completed")
    response = api.post(
        f"/api/strategies/{trained.strategy_id}/train",
        json.dumps({"overrides": {"episodes": 3}}),
        content_type="application/json",
    )
    assert response.status_code == 201, response.content
    document = response.json()
    assert (document["status"], document["config"]["episodes"], document["kind"]) == ("queued", 3, "training")
    rule = make_version(alice, name="Rule", type_key="rule")
    body = {"start": "2005-01-03", "end": "2012-12-31", "capital": 5000}
    response = api.post(
        f"/api/strategies/{rule.strategy_id}/backtest", json.dumps(body), content_type="application/json"
    )
    assert response.status_code == 201, response.content
    assert response.json()["params"] == {"start": "2005-01-03", "end": "2012-12-31", "capital": 5000.0}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"capital": -5}, "invalid_capital"),
        ({"start": "soon"}, "invalid_date"),
        ({"start": "2012-01-03", "end": "2005-01-03"}, "dates_out_of_order"),
        ({"start": "1950-01-03"}, "dates_outside_data"),
        ({"benchmark": "NOPE"}, "unknown_symbol"),
        ({"overrides": {"fast": 0}}, "invalid_config"),
    ],
)
def test_a_backtest_that_cannot_be_is_refused_at_its_field(api, alice, data_there, body, code):
    rule = make_version(alice, name="Rule", type_key="rule")
    response = api.post(
        f"/api/strategies/{rule.strategy_id}/backtest", json.dumps(body), content_type="application/json"
    )
    assert problem(response, 422, code)["field"]
    assert not Session.objects.exists()


def test_a_version_by_its_number(api, alice, data_there):
    old, new = make_version(alice, name="Rule", type_key="rule"), make_version(alice, name="Rule", type_key="rule")
    path = f"/api/strategies/{old.strategy_id}/backtest"
    assert api.post(path, '{"version": 1}', content_type="application/json").json()["version"] == 1
    assert post(api, path).json()["version"] == new.number
    problem(api.post(path, '{"version": 9}', content_type="application/json"), 404, "not_found")


def test_a_clone_is_a_new_session_of_the_same_run(api, alice, data_there):
    session = make_session(alice, status="completed", kind="backtest", type_key="rule", params={"capital": 5000.0})
    response = api.post(
        f"/api/sessions/{session.pk}/clone", '{"overrides": {"fast": 5}}', content_type="application/json"
    )
    assert response.status_code == 201, response.content
    document = response.json()
    assert document["parent"] == session.pk
    assert document["config"]["fast"] == 5


def test_a_waiting_session_says_what_it_waits_for(api, alice, settings):
    settings.SLOTS = 1
    beat()
    make_session(alice, name="Busy")
    session = make_session(alice, name="Waits", status="queued", queued_at="2026-11-21T00:00:00+00:00")
    assert "Every slot is in use: 1 of 1." in get(api, f"{session.pk}/status")["message"]
    assert "It is next." in get(api, "", status="queued")["items"][0]["message"]
