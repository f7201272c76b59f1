"""Who runs next, and that only one runs it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from apps.sessions.forecast import Forecast
from apps.sessions.models import Attempt, Session
from apps.sessions.services.claim import claim, claim_next, slot_free
from tests.sessions.live_fixtures import make_session
from tests.sessions.machine import payloads, queued

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _two_slots(settings):
    settings.SLOTS = 2


def test_a_claim_starts_the_next_attempt_with_a_lease(alice):
    session = queued(alice, attempt=2, reason_code="lost", reason={"exit": -9})
    assert claim_next("here:1").pk == session.pk
    session.refresh_from_db()
    assert (session.status, session.attempt, session.worker) == ("running", 3, "here:1")
    assert session.lease_until > timezone.now()
    assert (session.reason_code, session.reason) == ("", {})
    assert payloads(session) == [{"status": "running", "attempt": 3}]
    assert Attempt.objects.get().number == 3


def test_priority_comes_before_age_and_age_before_number(alice):
    now = timezone.now()
    late = queued(alice, queued_at=now)
    early = queued(alice, queued_at=now - timedelta(minutes=1))
    urgent = queued(alice, queued_at=now, priority=5)
    Session.objects.filter(pk=late.pk).update(kind="backtest")
    assert [claim_next("w").pk for _ in range(3)] == [urgent.pk, early.pk, late.pk]


def test_a_retry_waits_for_its_time(alice):
    session = queued(alice, not_before=timezone.now() + timedelta(seconds=60))
    assert claim_next("w") is None
    Session.objects.filter(pk=session.pk).update(not_before=timezone.now() - timedelta(seconds=1))
    assert claim_next("w").not_before is None


def test_nothing_to_do(alice):
    make_session(alice, status="paused")
    assert claim_next("w") is None


def test_trainings_share_the_slots_and_leave_one_for_a_backtest(alice):
    for _ in range(2):
        make_session(alice)
    training = queued(alice)
    assert claim_next("w") is None
    backtest = queued(alice, kind="backtest")
    assert claim_next("w").pk == backtest.pk
    queued(alice, kind="backtest")
    assert claim_next("w") is None
    Session.objects.filter(pk=backtest.pk).update(status="completed")
    Session.objects.filter(kind="training", status="running").update(status="cancelled")
    assert claim_next("w").pk == training.pk


@pytest.mark.parametrize(
    ("kind", "counts", "free"),
    [
        ("training", {}, True),
        ("training", {"training": 1, "backtest": 3}, True),
        ("training", {"training": 2}, False),
        ("backtest", {"training": 2}, True),
        ("backtest", {"training": 2, "backtest": 1}, False),
    ],
)
def test_slots(kind, counts, free):
    assert slot_free(kind, counts) is free


def test_a_session_on_its_way_out_still_holds_its_slot(alice):
    for status in ("running", "pausing", "cancelling", "paused", "completed"):
        make_session(alice, status=status)
    assert Forecast.read().counts() == {"training": 3}


def test_a_claim_of_what_moved_on_fails(alice):
    session = queued(alice)
    assert not claim(session.pk, 7, "w")
    Session.objects.filter(pk=session.pk).update(status="cancelled")
    assert not claim(session.pk, 0, "w")
    assert not Attempt.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_claimers_one_wins(alice):
    session, together = queued(alice), Barrier(6)

    def race(number):
        together.wait(20)
        try:
            return claim(session.pk, 0, f"w{number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(race, range(6)))
    assert sorted(won) == [False] * 5 + [True]
    session.refresh_from_db()
    assert (session.attempt, session.worker) == (1, f"w{won.index(True)}")
    assert len(payloads(session)) == 1
