"""Resources and flags of a run: kept in the log, drawn on its page, sent to programs."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from apps.sessions.engine.curves import Curves, merged
from apps.sessions.engine.usage import KEPT, UsageHistory
from apps.sessions.live.frames import Batch, Head
from apps.sessions.live.partials import named
from tests.sessions.live_fixtures import make_session, points, say


def sample(at: float, **values):
    idle = {"read_bps": 0.0, "write_bps": None, "net_in_bps": None, "net_out_bps": None}
    return {"at": at, "cpu_percent": 50.0, "rss_bytes": 10**8, "gpu_percent": None, "gpu_memory_bytes": None} | (
        idle | values
    )


FLAG = {"code": "plateau", "level": "warning", "step": 1200, "at": 1.8e9, "params": {"name": "reward"}}


@given(st.lists(st.floats(0, 1600), min_size=1, max_size=KEPT * 3))
@bounds(max_examples=30, deadline=None)
def test_a_long_run_stays_bounded_and_its_peak_mean_and_end_stay_exact(values):
    history = UsageHistory()
    for at, value in enumerate(values):
        history.add(sample(float(at), cpu_percent=value))
    times = [one["at"] for one in history.samples]
    assert len(times) <= KEPT
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] == len(values) - 1
    assert history.peaks["cpu_percent"] == max(values)
    assert history.last("cpu_percent") == values[-1]
    assert history.mean("cpu_percent") == pytest.approx(sum(values) / len(values))
    assert history.last("gpu_percent") is None


def test_a_rewind_drops_points_but_not_what_was_used_or_flagged():
    curves = Curves()
    curves.feed(1, {**points(1, 2, 3), "resources": [sample(1.0)], "flags": [FLAG]}, 0.0)
    curves.feed(2, {"rewind": 1}, 0.0)
    assert curves.of("loss")[None].step.tolist() == [1]
    assert len(curves.usage.samples) == len(curves.flags) == 1


def test_events_read_together_keep_every_sample_and_flag():
    whole = merged([{"resources": [sample(1.0)]}, {"rewind": 0, "resources": [sample(2.0)], "flags": [FLAG]}])
    assert [one["at"] for one in whole["resources"]] == [1.0, 2.0]
    assert whole["flags"] == [FLAG]


def test_a_program_hears_samples_and_flags_with_their_sentence():
    batch = Batch(7, 0, [(1, {"resources": [sample(1.0)], "flags": [FLAG]})], Head(1, "running", 0.5))
    said = {message["type"]: message for message in map(json.loads, batch.json)}
    assert said["session_resources"]["samples"][0]["rss_bytes"] == 10**8
    assert said["session_flags"]["flags"][0]["message"] == "It has stopped learning (reward)"


def test_samples_and_flags_redraw_their_own_fragment_only():
    assert named("detail", frozenset({"resources"})) == ["resources"]
    assert named("detail", frozenset({"flags"})) == ["flags"]


@pytest.mark.django_db
def test_the_page_draws_what_was_measured_and_leaves_out_what_was_not(client, alice):
    session = say(make_session(alice), {"resources": [sample(1.0), sample(2.0, cpu_percent=150.0)], "flags": [FLAG]})
    client.force_login(alice)
    text = client.get(reverse("sessions:detail", args=[session.pk])).content.decode()
    assert "1.50 cores" in text
    assert "100.0 MB" in text
    assert "It has stopped learning (reward)" in text
    assert "step 1,200" in text
    assert "GPU memory" not in text


@pytest.mark.django_db
def test_a_finished_run_shows_peak_and_mean(client, alice):
    session = say(make_session(alice, status="completed"), {"resources": [sample(1.0), sample(2.0, cpu_percent=150.0)]})
    client.force_login(alice)
    text = client.get(reverse("sessions:detail", args=[session.pk])).content.decode()
    assert "mean 1.00 cores" in text
    assert "peak 100.0 MB" in text


@pytest.mark.django_db
def test_the_api_gives_samples_peaks_and_flags_to_their_owner_alone(client, alice, bob):
    session = say(make_session(alice), {"resources": [sample(1.0)], "flags": [FLAG | {"code": "made_up"}]})
    client.force_login(alice)
    found = client.get(f"/api/sessions/{session.pk}/resources").json()
    assert found["peaks"]["cpu_percent"] == 50
    assert found["flags"][0]["message"] == "made_up (reward)"
    client.force_login(bob)
    assert client.get(f"/api/sessions/{session.pk}/resources").status_code == 404
