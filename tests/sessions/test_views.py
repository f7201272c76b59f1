"""The session pages: what they show, for whom, and at what price."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.sessions.live.curves import forget_all
from apps.sessions.models import Attempt, Checkpoint, Session, SessionTag
from apps.sessions.services.workers import beat
from tests.sessions.live_fixtures import make_session, make_version, points, say

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_curves():
    forget_all()


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def body(response):
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def url(name, *args):
    return reverse(f"sessions:{name}", args=args)


STRANGER_GETS = ["detail", "curves", "log", "log_download"]


@pytest.mark.parametrize("name", STRANGER_GETS)
def test_a_stranger_finds_nothing(client, alice, bob, name):
    session = make_session(alice)
    client.force_login(bob)
    assert client.get(url(name, session.pk)).status_code == 404


def test_a_stranger_finds_no_fragment_and_moves_nothing(client, alice, bob):
    session = make_session(alice)
    client.force_login(bob)
    assert client.get(url("fragment", session.pk, "progress")).status_code == 404
    assert client.get(url("confirm", session.pk, "cancel")).status_code == 404
    assert client.post(url("command", session.pk, "pause")).status_code == 404
    assert client.post(url("clone", session.pk)).status_code == 404
    assert client.post(url("start"), {"version": session.version_id, "kind": "training"}).status_code == 404
    session.refresh_from_db()
    assert session.status == "running"
    assert Session.objects.count() == 1


def test_an_administrator_sees_the_sessions_of_others(client, alice, root):
    session = make_session(alice)
    client.force_login(root)
    assert client.get(url("detail", session.pk)).status_code == 200
    assert "alice" in body(client.get(url("list")))


def test_nobody_sees_a_session_without_logging_in(client, alice):
    session = make_session(alice)
    for address in (url("list"), url("detail", session.pk), url("fragment", session.pk, "all")):
        assert client.get(address).status_code == 302


def test_the_page_states_title_version_state_and_progress(page, alice):
    session = make_session(
        alice, progress=0.62, progress_info={"done": 310, "total": 500, "unit": "episode", "rate": 3474}
    )
    Attempt.objects.create(session=session, number=1)
    text = body(page.get(url("detail", session.pk)))
    assert "AAPL daily" in text
    assert ">v1<" in text
    assert "Running" in text
    assert 'value="62"' in text
    assert "episode 310 of 500" in text
    assert "3,474" in text
    assert f'data-live-session="{session.pk}"' in text


def test_the_first_paint_holds_the_curve_and_its_server_drawing(page, alice):
    session = say(make_session(alice), points(1, 2, 3), points(4, 5))
    text = body(page.get(url("detail", session.pk)))
    document = json.loads(re.search(r'id="curves-data" type="application/json">(.*?)</script>', text).group(1))
    loss = next(one for one in document["figures"] if one["name"] == "loss")
    assert document["seq"] == 2
    assert loss["seeds"][0]["x"] == [1, 2, 3, 4, 5]
    assert re.search(r'data-curve="loss".*?<svg', text, re.DOTALL)
    assert 'data-live-after="2"' in text


def test_a_session_without_a_point_says_that_it_waits_for_one(page, alice):
    assert "Waiting for the first point" in body(page.get(url("detail", make_session(alice).pk)))


def test_only_the_commands_of_the_state_are_offered(page, alice):
    texts = {
        status: body(page.get(url("detail", make_session(alice, status=status).pk)))
        for status in ("running", "paused", "pausing", "failed", "completed", "interrupted", "cancelling")
    }
    offered = {
        status: set(re.findall(r'id="act-(\w+)"', text)) - {"clone", "compare"} for status, text in texts.items()
    }
    assert offered == {
        "running": {"pause", "cancel"}, "paused": {"resume", "cancel"}, "pausing": {"cancel"}, "failed": {"retry"},
        "completed": set(), "interrupted": {"resume", "cancel", "retry"}, "cancelling": set(),
    }  # fmt: skip


def test_pause_is_given_and_the_page_comes_back(page, alice, django_capture_on_commit_callbacks):
    session = make_session(alice)
    response = page.post(url("command", session.pk, "pause"))
    assert response.status_code == 302
    session.refresh_from_db()
    assert session.status == "pausing"
    assert AuditEntry.objects.filter(action="session.pause", actor=alice).count() == 1


def test_htmx_gets_the_fragments_that_changed(page, alice):
    session = make_session(alice)
    text = body(page.post(url("command", session.pk, "pause"), headers={"HX-Request": "true"}))
    assert 'id="session-status" hx-swap-oob="true"' in text
    assert "Pausing" in text
    assert 'id="act-pause"' not in text


def test_a_command_that_ends_a_session_loads_the_page_again(page, alice):
    session = make_session(alice, status="queued")
    response = page.post(url("command", session.pk, "cancel"), headers={"HX-Request": "true"})
    assert response.headers["HX-Refresh"] == "true"


def test_a_command_that_comes_too_late_is_refused_with_its_reason(page, alice):
    session = make_session(alice, status="completed")
    response = page.post(url("command", session.pk, "pause"))
    assert response.status_code == 409
    assert "cannot" in response.content.decode()


@pytest.mark.parametrize("command", ["start", "complete", "fail", "nonsense"])
def test_commands_of_the_machine_are_no_address(page, alice, command):
    assert page.post(url("command", make_session(alice).pk, command)).status_code == 404


def test_cancelling_asks_first_also_without_scripts(page, alice):
    session = make_session(alice)
    text = body(page.get(url("confirm", session.pk, "cancel")))
    assert f"Cancel session {session.pk}?" in text
    assert 'method="post"' in text
    page.post(url("command", session.pk, "cancel"))
    session.refresh_from_db()
    assert session.status == "cancelling"


def test_confirming_what_can_no_longer_be_done_leads_back_with_a_word(page, alice):
    session = make_session(alice, status="completed")
    text = body(page.get(url("confirm", session.pk, "cancel"), follow=True))
    assert "has moved on" in text
    assert page.get(url("confirm", session.pk, "nonsense")).status_code == 404


def test_a_failed_session_says_why_and_what_was_kept(page, alice):
    session = make_session(alice, status="failed", reason_code="disk_full", reason={"detail": "No space left"})
    Checkpoint.objects.create(
        session=session, attempt=1, step=400, path="x", sha256="0" * 64, size_bytes=1800, is_latest=True
    )
    text = body(page.get(url("detail", session.pk)))
    assert "No space left" in text
    assert "checkpoint of step 400" in text


def test_attempts_show_their_reasons(page, alice):
    session = make_session(alice)
    Attempt.objects.create(
        session=session, number=1, outcome="queued", ended_at=timezone.now(), reason={"code": "crashed", "exit": -9}
    )
    Attempt.objects.create(session=session, number=2)
    text = body(page.get(url("detail", session.pk)))
    assert "ended with code -9" in text
    assert "queued again" in text


def test_the_configuration_is_compared_with_the_version_before(page, alice):
    make_version(alice, window=20)
    session = make_session(alice, version=make_version(alice, window=60))
    text = body(page.get(url("detail", session.pk)))
    assert "Window: 20 bars" in text
    assert "Window: 60 bars" in text
    assert "against v1" in text


def test_what_only_this_run_changed_is_marked(page, alice):
    version = make_version(alice)
    session = make_session(alice, version=version, config={**version.config, "episodes": 3})
    assert body(page.get(url("detail", session.pk))).count("this run only") == 1


def test_the_result_stands_beside_its_baselines(page, alice):
    summary = {
        "test": {"total_return": 0.123, "sharpe": 1.5, "max_drawdown": -0.2},
        "baselines": {"buy_and_hold": {"total_return": 0.2, "sharpe": 1.1, "max_drawdown": None}},
    }
    text = body(
        page.get(url("detail", make_session(alice, status="completed", summary=summary, out_of_sample=True).pk))
    )
    assert "It did not beat buy and hold" in text
    assert "12.3%" in text
    assert "Buy and hold" in text
    assert "on data it never saw" in text


def test_a_finished_session_neither_listens_nor_polls(page, alice):
    text = body(page.get(url("detail", make_session(alice, status="completed").pk)))
    assert "data-live-session" not in text
    assert "/fragments/all/" not in text


def test_a_page_costs_the_same_however_long_the_run(page, alice, django_assert_max_num_queries):
    session = make_session(alice)
    for number in range(1, 30):
        Attempt.objects.create(session=session, number=number)
        Checkpoint.objects.create(session=session, attempt=1, step=number, path="x", sha256="0" * 64, size_bytes=1)
        say(
            session,
            points(number),
            {"logs": [{"time": "2026-11-21T02:00:00+00:00", "level": "info", "text": f"line {number}"}]},
        )
    with django_assert_max_num_queries(16):
        body(page.get(url("detail", session.pk)))


def test_the_log_tail_shows_the_last_lines_in_order(page, alice):
    session = make_session(alice)
    for number in range(30):
        say(session, {"logs": [{"time": "2026-11-21T02:00:00+00:00", "level": "warning", "text": f"line {number}"}]})
    text = body(page.get(url("fragment", session.pk, "log")))
    assert re.findall(r"line (\d+)", text) == [str(number) for number in range(18, 30)]
    assert 'class="w"' in text


@pytest.mark.parametrize(
    "name", ["progress", "status", "actions", "log", "checkpoints", "attempts", "result", "captions", "all"]
)
def test_each_fragment_asks_for_itself(page, alice, name):
    session = say(make_session(alice), points(*range(1, 60)))
    response = page.get(url("fragment", session.pk, name))
    assert response.status_code == 200
    assert "hx-swap-oob" in response.content.decode()


def test_polling_stops_in_a_terminal_state(page, alice):
    session = make_session(alice, status="completed")
    assert page.get(url("fragment", session.pk, "all")).status_code == 286


def test_an_unknown_fragment_is_not_found(page, alice):
    assert page.get(url("fragment", make_session(alice).pk, "nonsense")).status_code == 404


def test_fragments_use_no_request(page, alice):
    text = body(page.get(url("fragment", make_session(alice).pk, "all")))
    assert "csrfmiddlewaretoken" not in text


def test_the_list_filters_sorts_and_keeps_both_in_the_address(page, alice):
    make_session(alice, name="Alpha", result_return=0.1, status="completed")
    make_session(alice, name="Beta", result_return=0.3, status="completed")
    make_session(alice, name="Gamma", status="running", kind="backtest")
    text = body(page.get(url("list") + "?status=completed&sort=-return"))
    assert re.findall(r'class="b" href="[^"]*">(\w+)</a>', text) == ["Beta", "Alpha"]
    assert "Gamma" not in re.sub(r"<select.*?</select>", "", text, flags=re.DOTALL)
    assert body(page.get(url("list") + "?kind=backtest")).count('id="session-row-') == 1


def test_the_list_is_a_file_of_what_one_sees_and_filters(page, alice, bob, django_assert_max_num_queries):
    make_session(bob, name="Hers")
    for name in ("First", "=Second", "Third"):
        session = make_session(alice, name=name, status="completed", result_return=-0.25)
        SessionTag.objects.bulk_create(SessionTag(session=session, name=tag) for tag in ("good", "old"))
    make_session(alice, name="Fourth", status="failed")
    with django_assert_max_num_queries(8):
        answer = page.get(url("list"), {"format": "csv", "status": "completed", "sort": "id"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
    assert [row["title"].split(",")[0] for row in rows] == ["First", "'=Second", "Third"]
    assert (rows[0]["result_return"], rows[0]["tags"], rows[0]["owner"]) == ("-0.25", "good old", "alice")


def test_the_list_says_why_a_session_waits(page, alice, settings):
    settings.SLOTS = 2
    beat()
    now = timezone.now()
    for number in range(2):
        make_session(alice, name=f"Busy {number}")
    make_session(alice, name="First", status="queued", queued_at=now)
    make_session(alice, name="Second", status="queued", queued_at=now + timedelta(seconds=1))
    text = body(page.get(url("list")))
    assert text.count("Every slot is in use: 2 of 2.") == 2
    assert "It is next." in text
    assert "1 session is before it." in text
    assert "2 waiting" in text


def test_a_session_that_starts_again_later_says_when_and_why(page, alice):
    later = timezone.now() + timedelta(minutes=1)
    session = make_session(alice, status="queued", reason_code="crashed", reason={"exit": -9}, not_before=later)
    text = body(page.get(url("detail", session.pk)))
    assert "ended with code -9" in text
    assert f"It starts again at {later:%H:%M:%S}" in text


def test_a_session_with_a_free_slot_waits_for_a_worker(page, alice, settings):
    settings.SLOTS = 2
    beat()
    assert "A worker takes it in a moment" in body(page.get(url("detail", make_session(alice, status="queued").pk)))


def test_a_long_list_is_cut_into_pages(page, alice):
    version = make_version(alice)
    for _ in range(30):
        make_session(alice, version=version, status="completed")
    assert body(page.get(url("list"))).count('id="session-row-') == 25
    assert body(page.get(url("list") + "?page=2")).count('id="session-row-') == 5


def test_the_list_costs_the_same_for_one_and_for_many(page, alice, django_assert_max_num_queries):
    for number in range(12):
        make_session(alice, name=f"S{number}")
    with django_assert_max_num_queries(14):
        body(page.get(url("list")))


def test_htmx_gets_the_table_alone(page, alice):
    make_session(alice)
    text = body(page.get(url("list"), headers={"HX-Request": "true"}))
    assert text.strip().startswith('<div id="session-table"')


@pytest.mark.parametrize(
    "query",
    [
        "status=nonsense",
        "kind=x",
        "strategy=abc",
        "strategy=99999999999999999999",
        "page=0",
        "page=x",
        "sort=owner__password",
        "sort=--id",
    ],
)
def test_a_list_address_that_makes_no_sense_shows_the_list(page, alice, query):
    make_session(alice)
    assert page.get(f"{url('list')}?{query}").status_code == 200


def test_an_empty_list_says_what_to_do(page):
    assert "Choose a strategy" in body(page.get(url("list")))
    assert "No session matches" in body(page.get(url("list") + "?kind=backtest"))


def test_the_page_speaks_chinese_where_the_reader_does(page, alice):
    alice.language = "zh-hans"
    alice.save()
    text = body(page.get(url("detail", make_session(alice).pk)))
    assert 'lang="zh-Hans"' in text


@pytest.mark.parametrize("version", ["", "abc", "99999999999999999999", "0"])
def test_starting_an_unknown_version_is_not_found(page, version):
    assert page.post(url("start"), {"version": version, "kind": "training"}).status_code == 404


def test_a_run_of_an_unknown_kind_is_refused_in_a_sentence(page, alice):
    response = page.post(url("start"), {"version": make_version(alice).pk, "kind": "nonsense"})
    assert response.status_code == 422
    assert "nonsense" in response.content.decode()


def test_the_backtest_of_a_checkpoint_names_the_training_it_belongs_to(page, alice):
    session = make_session(alice, status="completed", summary={"policy": {}})
    Checkpoint.objects.create(
        session=session, attempt=1, step=9, path="x", sha256="0" * 64, size_bytes=1, is_best=True, is_latest=True
    )
    newer = make_session(alice, version=session.version, status="completed", summary={"policy": {}})
    assert f'name="checkpoint_session" value="{session.pk}"' in body(page.get(url("detail", session.pk)))
    assert f'name="checkpoint_session" value="{newer.pk}"' not in body(page.get(url("detail", newer.pk)))
