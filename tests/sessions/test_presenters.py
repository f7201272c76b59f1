"""What the page says of a run's progress."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.sessions.models import Attempt, Session
from apps.sessions.presenters import config_rows, progress_of
from tests.sessions.live_fixtures import make_session
from tests.sessions.test_views import body, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


@pytest.mark.parametrize(
    ("share", "limit", "said"),
    [(0.1, 500, "at about 50%"), (0.1, 1100, ""), (0.1, 0, ""), (0.01, 500, ""), (1.0, 50, "")],
)
def test_a_run_that_its_time_limit_will_end_says_how_far_it_comes(alice, share, limit, said):
    session = make_session(alice, progress=share, time_limit=limit)
    began = timezone.now() - timedelta(seconds=100)
    attempts = [Attempt(session=session, number=1, started_at=began, ended_at=began + timedelta(seconds=100))]
    words = progress_of(session, attempts, None).words
    assert words.endswith(said) if said else "time limit" not in words


def test_a_run_that_has_done_its_work_says_that_it_works_out_the_result(page, alice):
    info = {"done": 3, "total": 3, "unit": "episode", "rate": 3474}
    session = make_session(alice, progress=1.0, progress_info=info)
    Attempt.objects.create(session=session, number=1)
    text = body(page.get(url("detail", session.pk)))
    assert "episode 3 of 3, working out the result" in text
    assert "done about" not in text
    Session.objects.filter(pk=session.pk).update(status="completed")
    assert "working out" not in body(page.get(url("detail", session.pk)))


def test_the_configuration_is_read_in_the_order_of_its_form_however_the_database_keeps_it(alice):
    session = make_session(alice)
    rows = [row.label for row in config_rows(session)]
    assert len(rows) > 5
    session.config = {name: session.config[name] for name in sorted(session.config)} | {"gone": 1}
    assert [row.label for row in config_rows(session)] == [*rows, "gone"]


def test_what_is_empty_or_zero_is_told_in_words_without_a_unit(alice):
    session = make_session(alice)
    session.config = session.config | {"participation_pct": 0.0, "borrow_pct": 2.5}
    rows = {row.label: (row.value, row.unit) for row in config_rows(session)}
    assert rows["Volume limit"] == ("no limit", "")
    assert rows["Borrow fee of shorts"] == ("2.5", "% a year")
