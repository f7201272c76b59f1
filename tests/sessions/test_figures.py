"""The figures of the live page: threads and bands, who is behind, where the run stands."""

from __future__ import annotations

import re

import pytest

from apps.sessions import figures
from apps.sessions.models import Session
from apps.sessions.presenters import value_text
from apps.strategies.models import StrategyVersion
from tests.sessions.live_fixtures import make_session, points, say
from tests.sessions.test_views import body, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def test_several_seeds_are_threads_with_a_band(page, alice):
    session = make_session(alice)
    say(session, *(points(*range(1, 40), seed=seed, reward=seed + 1.0) for seed in range(4)))
    text = body(page.get(url("detail", session.pk)))
    assert "thin lines: seeds" in text
    assert 'class="ln sd"' in text
    assert ">seed 0</text>" in text, "the seed furthest behind carries its name"


def test_a_run_that_ended_shows_the_curves_it_has_and_waits_for_none(page, alice):
    session = make_session(alice, status="failed")
    text = body(page.get(url("detail", session.pk)))
    assert "Waiting for the first point" not in text
    assert 'id="session-curves"' not in text
    assert "data-live-state" not in text, "nothing of it moves any more"
    say(session, points(1, 2, 3))
    text = body(page.get(url("detail", session.pk)))
    assert 'data-curve="loss"' in text
    assert 'data-curve="reward"' not in text


def test_now_is_the_same_step_on_every_chart(alice, monkeypatch):
    session, seen = make_session(alice, progress_info={"done": 2, "total": 10, "unit": "episode"}), []
    monkeypatch.setattr(figures, "line_chart", lambda *lines, **more: seen.append(more.get("now")))
    say(session, points(1, 2, 3, reward=1.0), points(4, 5, 6, 7, 8, 9, 10))
    figures.figures_of(Session.objects.get(pk=session.pk))
    assert {now for now in seen if now is not None} == {10.0}
    assert seen.count(10.0) == 2, "loss and reward, whose last point is that of step 3"


def test_a_run_on_its_way_shows_where_it_stands_and_one_that_is_over_does_not(page, alice):
    session = make_session(alice, progress_info={"done": 2, "total": 10, "unit": "episode"})
    say(session, points(*range(1, 40)))
    text = body(page.get(url("detail", session.pk)))
    assert ">now</text>" in text
    assert '"now": "now"' in text
    Session.objects.filter(pk=session.pk).update(status="completed")
    assert ">now</text>" not in body(page.get(url("detail", session.pk)))


def test_the_configuration_leads_to_all_that_changed_since_the_version_before(page, alice):
    session = make_session(alice)
    assert "All differences" not in body(page.get(url("detail", session.pk)))
    newer = StrategyVersion.objects.create(
        strategy=session.version.strategy, number=2, config=session.version.config, author=alice
    )
    Session.objects.filter(pk=session.pk).update(version=newer)
    text = body(page.get(url("detail", session.pk)))
    link = re.search(r'href="([^"]+)">All differences', text)
    assert page.get(link.group(1).replace("&amp;", "&")).status_code == 200


def test_a_choice_of_the_configuration_is_read_as_its_word():
    assert value_text("equal_weight") == "Equal weight"
    assert value_text("AAPL") == "AAPL"
    assert value_text("") == "–"
