"""Verify on page, API and list: who may, what is shown, what a button does."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.tokens import token_create
from apps.sessions.capsules import capsule_record
from apps.sessions.models import Session
from apps.sessions.verdicts import verdict_of
from tests.sessions.live_fixtures import make_session
from tests.sessions.machine import ready_dataset

pytestmark = pytest.mark.django_db
FIRST = {"metric": "loss", "step": 300.0, "seed": None, "when": "", "original": 0.1, "again": 0.2}
DOCUMENT = {
    "verdict": "different", "first_difference": FIRST, "tolerance": None, "compared": 1234,
    "capsule": [{"name": "libraries.torch", "original": "2.13", "again": "2.14"}],
}  # fmt: skip


@pytest.fixture
def session(alice):
    ready_dataset()
    session = make_session(alice, status="completed")
    capsule_record(session)
    session.refresh_from_db()
    return session


def verification(session, **document):
    found = {**DOCUMENT, **document}
    return make_session(
        session.owner, status="completed", verifies=session, verdict=found["verdict"], verification=found,
        finished_at=timezone.now(), version=session.version,
    )  # fmt: skip


def page(client, user, session):
    client.force_login(user)
    return client.get(f"/sessions/{session.pk}/").content.decode()


def test_a_completed_run_has_the_button_and_others_do_not(client, alice, session):
    button = 'id="act-verify"'
    assert button in page(client, alice, session)
    for status in ("running", "failed"):
        assert button not in page(client, alice, make_session(alice, status=status))
    assert button not in page(client, alice, make_session(alice, status="completed"))  # without a capsule


def test_the_button_queues_the_run_again(client, alice, session):
    client.force_login(alice)
    answer = client.post(f"/sessions/{session.pk}/verify/")
    run = Session.objects.get(verifies=session)
    assert answer["Location"] == f"/sessions/{run.pk}/"
    assert (run.status, run.config, run.kind) == ("queued", session.config, session.kind)
    text = page(client, alice, run)
    assert f"Verification of session {session.pk}" in text
    assert 'id="act-cancel"' in text
    text = page(client, alice, session)
    assert 'hx-trigger="every 3s"' in text
    assert 'id="act-verify"' not in text
    part = client.get(f"/sessions/{session.pk}/verifications/").content.decode()
    assert "<progress" in part
    assert f"verifies {session.pk}" in client.get("/sessions/").content.decode()


def test_the_part_stops_asking_when_nothing_runs(client, alice, session):
    verification(session)
    client.force_login(alice)
    assert "hx-trigger" not in client.get(f"/sessions/{session.pk}/verifications/").content.decode()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            [
                "different",
                "They differ first at step 300 in Loss: 0.1, now 0.2.",
                "What the run depends on has changed",
            ],
        ),
        ("zh-hans", ["不同", "首先在第 300 步的 损失 处不同", "运行所依赖的内容有变化"]),
    ],
)
def test_the_original_shows_where_the_runs_part(client, alice, session, language, words):
    run = verification(session)
    client.cookies["django_language"] = language
    for shown in (session, run):
        text = page(client, alice, shown)
        assert [word for word in words if word not in text] == []
        assert {"en": "Libraries: torch", "zh-hans": "库: torch"}[language] in text


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"first_difference": None, "verdict": "identical"}, "1,234 values are the same to the bit."),
        (
            {"first_difference": FIRST | {"when": "2006-06-01"}},
            "They differ first on 2006-06-01 in Loss: 0.1, now 0.2.",
        ),
        ({"first_difference": FIRST | {"step": None}}, "The results differ first in Loss: 0.1, now 0.2."),
        ({"first_difference": FIRST | {"seed": 7}}, "They differ first at step 300 in Loss, seed 7: 0.1, now 0.2."),
        (
            {"verdict": "within_tolerance", "tolerance": {"relative": 0.001, "absolute": 1e-6}},
            "They differ first at step 300 in Loss: 0.1, now 0.2. On a GPU 0.001 of the value, or 1e-06, may differ.",
        ),
    ],
)
def test_each_verdict_has_its_sentence(session, document, sentence):
    assert verdict_of(verification(session, **document)).sentence == sentence


def test_one_that_failed_says_why(session):
    run = make_session(session.owner, status="failed", verifies=session, reason_code="lost", version=session.version)
    found = verdict_of(run)
    assert (found.word, found.shape, found.active) == ("Failed", "fail", False)
    assert "stopped without a word" in found.sentence


def test_a_stranger_finds_nothing(client, bob, session):
    client.force_login(bob)
    assert client.post(f"/sessions/{session.pk}/verify/").status_code == 404
    assert client.get(f"/sessions/{session.pk}/verifications/").status_code == 404
    assert not Session.objects.filter(verifies=session).exists()


def test_the_api_starts_and_tells(alice, bob, session):
    def client_of(user):
        _row, plain = token_create(user, "x", scopes=["sessions:write"])
        return Client(headers={"authorization": f"Bearer {plain}"})

    mine, theirs = client_of(alice), client_of(bob)
    address = f"/api/sessions/{session.pk}"
    assert theirs.post(f"{address}/verify").status_code == 404
    answer = mine.post(f"{address}/verify")
    assert answer.status_code == 201
    assert (answer.json()["original"], answer.json()["verdict"]) == (session.pk, None)
    assert mine.post(f"{address}/verify").status_code == 409
    run = verification(session)
    (found, waiting) = mine.get(f"{address}/verifications").json()["items"]
    assert (found["session"], found["first_difference"]["metric"]) == (run.pk, "loss")
    assert waiting["status"] == "queued"
    (alone,) = mine.get(f"/api/sessions/{run.pk}/verifications").json()["items"]
    assert alone["session"] == run.pk
    assert mine.get(f"/api/sessions/{run.pk}").json()["verification"]["verdict"] == "different"
    assert theirs.get(f"{address}/verifications").status_code == 404


def test_the_page_asks_as_many_questions_for_one_as_for_five(client, alice, session, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.force_login(alice)
    verification(session)
    client.get(f"/sessions/{session.pk}/")
    with CaptureQueriesContext(
        connection,
    ) as one:
        client.get(f"/sessions/{session.pk}/")
    for _ in range(4):
        verification(session)
    with django_assert_num_queries(len(one)):
        client.get(f"/sessions/{session.pk}/")
