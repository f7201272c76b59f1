"""Who starts next, who waits for memory, and who is refused at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.sessions import forecast
from apps.sessions.engine.admission import UNKNOWN_BYTES, Need, effective_priority, memory_fits, need_of
from apps.sessions.forecast import Forecast
from apps.sessions.limits import MB, memory_ceiling_bytes
from apps.sessions.services.claim import claim_next, slot_free
from apps.sessions.services.sessions import check_memory
from apps.sessions.waiting import queue_of
from apps.ui.engine.refusal import Refusal
from tests.sessions.live_fixtures import make_session
from tests.sessions.machine import queued


def finished(owner, mb, seconds=60.0):
    usage = {"peak_rss_bytes": mb * MB}
    return make_session(owner, status="completed", usage=usage, seconds_used=seconds, finished_at=timezone.now())


def test_the_need_is_the_largest_peak_and_the_usual_time():
    assert need_of([]) == Need(UNKNOWN_BYTES, None, 0)
    assert need_of([(100, 10.0), (300, 30.0), (200, 90.0)]) == Need(300, 30.0, 3)


@given(st.integers(-100, 100), st.floats(0, 1e7), st.floats(0, 1e7))
def test_a_longer_wait_never_ranks_lower(priority, wait, more):
    assert effective_priority(priority, wait + more, 600.0) >= effective_priority(priority, wait, 600.0)
    assert effective_priority(priority, wait, 0.0) == priority


def test_alone_a_session_always_may_start():
    assert memory_fits(Need(10), -5.0, 0)
    assert not memory_fits(Need(10), 9.0, 1)


@pytest.mark.django_db
def test_a_long_wait_overtakes_a_higher_priority(alice, settings):
    settings.SLOTS = 4
    patient = queued(alice, queued_at=timezone.now() - timedelta(minutes=31))
    urgent = queued(alice, priority=3)
    assert claim_next("w").pk == patient.pk
    assert claim_next("w").pk == urgent.pk


@pytest.mark.django_db
def test_slots_of_a_kind_can_be_limited(settings):
    settings.SLOTS, settings.QP_SLOTS_TRAINING, settings.QP_SLOTS_BACKTEST = 4, 1, 2
    assert not slot_free("training", {"training": 1})
    assert slot_free("backtest", {"training": 1, "backtest": 1})
    assert not slot_free("backtest", {"backtest": 2})


@pytest.mark.django_db
def test_a_session_waits_for_memory_and_says_so(alice, monkeypatch, settings):
    settings.SLOTS = 4
    finished(alice, 900)
    make_session(alice)
    session = queued(alice)
    monkeypatch.setattr(forecast, "memory_ceiling_bytes", lambda: 0)
    assert claim_next("w") is None
    assert "900 MB" in queue_of([session]).sentence(session)
    monkeypatch.setattr(forecast, "memory_ceiling_bytes", lambda: 2**60)
    assert claim_next("w").pk == session.pk


@pytest.mark.django_db
def test_what_running_sessions_will_still_take_is_promised(alice, django_assert_num_queries):
    finished(alice, 900)
    before = Forecast.read().free_bytes
    running = make_session(alice, usage={"peak_rss_bytes": 200 * MB})
    assert forecast._promised(forecast.needs_by_kind()) == 700 * MB
    with django_assert_num_queries(2):
        assert Forecast.read().need(running) == Need(900 * MB, 60.0, 1)
    assert before != 0


@pytest.mark.django_db
def test_what_can_never_fit_is_refused(alice):
    finished(alice, 900)
    check_memory("training", "algorithmic_trading", 0)
    check_memory("training", "portfolio", 100)
    with pytest.raises(Refusal) as refused:
        check_memory("training", "algorithmic_trading", 500)
    assert (refused.value.code, refused.value.params) == ("never_fits", {"need": 900, "allowed": 500})
    with pytest.raises(Refusal):
        check_memory("backtest", "rule", memory_ceiling_bytes() // MB + 1)
