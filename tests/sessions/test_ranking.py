"""One metric over many sessions: what is kept of it, whose it is, and that a thousand cost what one costs."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.sessions import ranking
from apps.sessions.live.curves import curves_of
from apps.sessions.models import Session, SessionMetric
from apps.sessions.runner.sink import DbSink
from apps.sessions.selectors import session_folder
from apps.sessions.services.measuring import figures_store, measure, to_measure
from tests.sessions.live_fixtures import make_session, points, say

pytestmark = pytest.mark.django_db


def measured(owner, *values, **fields):
    """A session that said these losses, measured."""
    session = make_session(owner, status="completed", **fields)
    said = [{"step": step, "values": {"loss": value}} for step, value in enumerate(values, 1)]
    session = say(session, {"points": said})
    figures_store(session.pk, curves_of(session.pk, session.last_seq))
    return session


def test_what_a_metric_came_to_is_the_median_of_the_seeds_last_values_and_the_range_of_all_points(alice):
    session = make_session(alice)
    said = [{"step": s, "seed": seed, "values": {"loss": s * (seed + 1.0)}} for seed in (0, 1, 2) for s in (1, 2)]
    session = say(session, {"points": said})
    figures_store(session.pk, curves_of(session.pk, session.last_seq))
    row = SessionMetric.objects.get(session=session, name="loss")
    assert (row.points, row.last, row.last_step, row.low, row.high, row.mean) == (6, 4.0, 2.0, 1.0, 6.0, 3.0)
    session.refresh_from_db()
    assert session.measured_seq == session.last_seq


def test_what_a_rewind_took_away_is_not_counted(alice):
    session = say(make_session(alice), points(1, 2, 3), {"rewind": 1})
    figures_store(session.pk, curves_of(session.pk, session.last_seq))
    assert {row.points for row in SessionMetric.objects.all()} == {1}
    session = say(session, {"rewind": -1})
    figures_store(session.pk, curves_of(session.pk, session.last_seq))
    assert not SessionMetric.objects.exists()


def test_a_run_that_ends_leaves_its_figures(alice):
    session = make_session(alice)
    sink = DbSink(session, session_folder(session.pk))
    sink.point(1, {"loss": 3.0})
    sink.point(2, {"loss": 1.0})
    sink.close()
    row = SessionMetric.objects.get()
    assert (row.session_id, row.last, row.high) == (session.pk, 1.0, 3.0)


def test_figures_that_fell_behind_are_mended_and_those_of_a_run_that_goes_on_are_its_own_affair(alice):
    still = say(make_session(alice, status="failed"), points(1, 2))
    say(make_session(alice, status="running"), points(1))
    assert list(to_measure()) == [still]
    assert measure() == 1
    assert not to_measure().exists()
    assert SessionMetric.objects.filter(session=still).exists()


def test_rows_are_sorted_and_filtered_and_a_stranger_sees_none(alice, bob, root):
    low, high = measured(alice, 2.0, 1.0), measured(alice, 5.0, 4.0)
    measured(bob, 3.0)

    def listed(user, **more):
        return [row["session_id"] for row in ranking.metric_rows(user, "loss", **more)]

    assert listed(alice) == [high.pk, low.pk]
    assert listed(alice, sort="low") == [low.pk, high.pk]
    assert listed(alice, ids=[low.pk]) == [low.pk]
    assert listed(alice, status="running") == []
    assert listed(alice, sort="nonsense") == listed(alice)
    assert len(listed(root)) == 3
    assert list(ranking.metric_rows(alice, "nothing")) == []
    assert ranking.metric_names(alice) == ["loss"]


def many(owner, count):
    first = measured(owner, 1.0)
    kept = {f.name: getattr(first, f.name) for f in Session._meta.concrete_fields if f.name != "id"}
    made = Session.objects.bulk_create([Session(**kept) for _ in range(count)])
    SessionMetric.objects.bulk_create(
        SessionMetric(session=s, name="loss", points=9, last=i, last_step=9, low=0, high=i, mean=i / 2)
        for i, s in enumerate(made)
    )


@pytest.mark.parametrize("url", ["/sessions/metric/?name=loss", "/api/sessions/metric?name=loss"])
def test_a_thousand_sessions_cost_as_many_statements_as_one(client, alice, url):
    client.force_login(alice)
    measured(alice, 1.0, 2.0)
    measured(alice, 2.0)
    client.get(url)
    with CaptureQueriesContext(connection) as few:
        assert client.get(url).status_code == 200
    many(alice, 1000)
    client.get(url)  # Now and then a request notes that its browser is in use.
    with CaptureQueriesContext(connection) as lots:
        answer = client.get(url)
    assert len(few) == len(lots)
    if answer["Content-Type"].startswith("application/json"):
        document = answer.json()
        assert (document["total"], len(document["items"])) == (1003, 1000)
        assert document["items"][0]["last"] == 999.0


def test_the_page_offers_the_sessions_for_comparison_and_a_stranger_sees_nothing(client, alice, bob):
    session = measured(alice, 1.0, 0.25)
    client.force_login(alice)
    text = client.get("/sessions/metric/?name=loss").content.decode()
    assert f'name="s" value="{session.pk}" form="compare-form"' in text
    assert "0.25" in text
    assert client.get("/sessions/metric/?name=nonsense&sort=nonsense&page=99").status_code == 200
    client.force_login(bob)
    text = client.get("/sessions/metric/").content.decode()
    assert "No session reports a metric here" in text
    assert session.title not in text


@pytest.mark.parametrize("query", ["", "name=", "name=loss&limit=1001", "name=loss&ids=1,x", "name=loss&offset=-1"])
def test_the_api_refuses_what_it_does_not_understand(client, alice, query):
    client.force_login(alice)
    assert client.get(f"/api/sessions/metric?{query}").status_code == 422


def test_the_command_lists_metrics_and_rows(alice, root, capsys):
    say(make_session(alice, status="completed"), points(1, 2))
    call_command("metric", "--repair", "--user", "alice")
    assert "loss" in capsys.readouterr().out
    call_command("metric", "loss", "--json")
    assert len(json.loads(capsys.readouterr().out)["items"]) == 1
    call_command("metric", "loss")
    assert " v1" in capsys.readouterr().out
    with pytest.raises(CommandError, match="No session reports nothing"):
        call_command("metric", "nothing")
