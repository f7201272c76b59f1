"""Sessions side by side: curves on one axis, what differs, whose they are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from apps.sessions import comparing
from apps.sessions.engine.comparing import line_of, smoothed
from apps.sessions.engine.curves import Curves
from tests.sessions.live_fixtures import make_session, points, say

URL = "/sessions/compare/"
values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(values, st.sampled_from([0.0, 0.8, 0.97]))
def test_a_smoothed_curve_stays_within_its_values_and_starts_where_they_do(y, keep):
    found = smoothed(np.array(y), keep)
    assert found[0] == y[0]
    assert found.min() >= min(y) - 1e-6
    assert found.max() <= max(y) + 1e-6
    assert len(found) == len(y)


def test_a_constant_stays_constant_and_a_step_is_followed_slowly():
    assert smoothed(np.full(9, 3.0), 0.97).tolist() == pytest.approx([3.0] * 9)
    step = smoothed(np.array([0.0, 1.0, 1.0]), 0.5)
    assert step.tolist() == pytest.approx([0.0, 2 / 3, 6 / 7])


def test_by_time_a_curve_starts_at_zero_and_a_pause_is_part_of_it():
    curves = Curves()
    for step, at in ((1, 100.0), (2, 101.0), (3, 161.0)):
        curves.feed(step, {"points": [{"step": step, "values": {"loss": 1.0 / step}, "at": at}]}, at)
    line = line_of(curves, "loss", align="time", smoothing="none", points=100)
    assert line.x.tolist() == [0.0, 1.0, 61.0]
    assert line_of(curves, "loss", align="step", smoothing="none", points=100).x.tolist() == [1.0, 2.0, 3.0]
    assert line_of(curves, "nothing", align="step", smoothing="none", points=100) is None


@pytest.fixture
def pair(alice):
    first = say(make_session(alice, status="completed", summary={"test": {"sharpe": 1.0}}), points(1, 2, 3))
    config = first.config | {"learning_rate": 0.01}
    second = make_session(alice, status="running", config=config, summary={"test": {"sharpe": 2.5}})
    return first, say(second, points(1, 2, 3, 4))


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def address(*sessions, **more):
    return URL + "?" + "&".join([f"s={session.pk}" for session in sessions] + [f"{k}={v}" for k, v in more.items()])


@pytest.mark.django_db
class TestPage:
    def test_it_draws_each_metric_once_and_says_what_differs(self, page, pair):
        text = page.get(address(*pair, align="time", smoothing="strong")).content.decode()
        assert text.count("<figcaption><b>Loss</b>") == 1
        assert 'class="ln k1"' in text
        assert 'class="ln k2"' in text
        assert "0.01" in text
        assert '<td class="b">2.50</td>' in text

    def test_parallel_coordinates_lead_from_what_differs_to_what_came_of_it(self, page, pair):
        text = page.get(address(*pair)).content.decode()
        figure = text.split('id="coordinates"')[1].split("</figure>")[0]
        titles = [part.split("</title>")[0] for part in figure.split("<title>")[1:]]
        assert len(titles) == 4  # Two sessions, drawn for the page and for the phone.
        assert titles[1] == f"{pair[1].pk}: Learning rate 0.01, Sharpe ratio 2.5"
        assert figure.count('data-line="1"') == 2
        assert "js/parallel.js" in text

    def test_without_two_axes_there_are_no_coordinates(self, page, alice):
        same = [make_session(alice, status="completed") for _ in range(2)]
        assert 'id="coordinates"' not in page.get(address(*same)).content.decode()

    @pytest.mark.parametrize("query", ["", "?s=", "?s=abc", "?s=1e9", "?align=x&smoothing=y"])
    def test_without_a_choice_it_says_what_to_do(self, page, query):
        answer = page.get(URL + query)
        assert answer.status_code == 200
        assert "Tick them in the list" in answer.content.decode()

    def test_too_many_are_refused(self, page):
        answer = page.get(URL + "?" + "&".join(f"s={number}" for number in range(1, 10)))
        assert answer.status_code == 422
        assert "At most 8 sessions" in answer.content.decode()

    def test_strangers_find_nothing(self, client, bob, pair):
        assert client.get(address(*pair)).status_code == 302
        client.force_login(bob)
        answer = client.get(address(*pair))
        assert answer.status_code == 404
        assert pair[0].title not in answer.content.decode()
        assert client.get(f"/api/sessions/compare?ids={pair[0].pk},{pair[1].pk}").status_code == 404

    def test_the_number_of_statements_does_not_grow_with_the_curves(self, page, pair):
        page.get(address(*pair))
        with CaptureQueriesContext(
            connection,
        ) as few:
            page.get(address(*pair))
        say(pair[1], *(points(step) for step in range(5, 60)))
        with CaptureQueriesContext(connection) as more:
            page.get(address(*pair))
        assert len(more) <= len(few) + 1

    def test_the_list_leads_here(self, page, pair):
        text = page.get(reverse("sessions:list")).content.decode()
        assert f'value="{pair[0].pk}" form="compare-form"' in text
        assert f'action="{URL}"' in text

    def test_it_speaks_chinese(self, page, pair, alice):
        alice.language = "zh-hans"
        alice.save()
        text = page.get(address(*pair)).content.decode()
        assert "会话对比" in text
        for english in ("Compare sessions", "what differs first", "Smoothing", "What it took"):
            assert english not in text


@pytest.mark.django_db
def test_programs_get_the_numbers(page, pair):
    found = page.get(f"/api/sessions/compare?ids={pair[0].pk},{pair[1].pk}").json()
    assert [one["id"] for one in found["sessions"]] == [pair[0].pk, pair[1].pk]
    assert [len(line["x"]) for line in found["metrics"]["loss"]] == [3, 4]
    assert found["config"] == {"learning_rate": [pair[0].config["learning_rate"], 0.01]}
    assert found["figures"] == [{"sharpe": 1.0}, {"sharpe": 2.5}]
    assert page.get(f"/api/sessions/compare?ids={pair[0].pk}&align=sideways").status_code == 422


@pytest.mark.django_db
def test_the_command_prints_the_same(root, pair, capsys):
    numbers = [str(session.pk) for session in pair]
    call_command("sessions", "compare", *numbers)
    out = capsys.readouterr().out
    assert "Learning rate" in out
    assert "2.50" in out
    call_command("sessions", "compare", *numbers, "--json")
    assert json.loads(capsys.readouterr().out)["figures"][1] == {"sharpe": 2.5}
    with pytest.raises(CommandError, match="no session 99"):
        call_command("sessions", "compare", "99", numbers[0])


def test_small_numbers_fit_the_margin_of_a_chart():
    assert [comparing._tick(value) for value in (0.00052, -0.00048, 0.0, 0.05, 12.0)] == [
        "5.2e−4", "−4.8e−4", "0", "0.05", "12",
    ]  # fmt: skip
