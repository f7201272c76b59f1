"""Resources and flags of a run: kept in the log, drawn on its page, sent to programs."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse
from django.utils import timezone, translation
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from apps.sessions.engine.curves import Curves, merged
from apps.sessions.engine.usage import KEPT, UsageHistory
from apps.sessions.live.frames import Batch, Head
from apps.sessions.live.partials import named
from apps.sessions.notices import flag_details, flag_message
from apps.ui.engine.numbers import compact
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
    assert said["session_flags"]["flags"][0]["message"] == "It has stopped learning (Reward)"


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
    assert "It has stopped learning (Reward)" in text
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
    assert found["flags"][0]["message"] == "made_up (Reward)"
    client.force_login(bob)
    assert client.get(f"/api/sessions/{session.pk}/resources").status_code == 404


def planted(**params):
    return {"code": "divergence", "level": "error", "step": 300, "at": 1.8e9, "params": {"name": "loss", **params}}


NUMBERS = {
    "divergence": {"measured": 12.5, "threshold": 4.0, "best": 0.04, "first": 0.4},
    "plateau": {"measured": 0.2, "threshold": 1.0, "share": 40, "before": 0.693, "value": 0.692},
    "exploding_gradient": {"measured": 900.0, "threshold": 50.0, "usual": 1.0},
    "dead_policy": {"measured": 0.001, "threshold": 0.02, "points": 60, "start": 1.0},
    "stalled": {"measured": 35.0, "threshold": 30.0, "longest": 0.2},
    "slower": {"measured": 0.5, "threshold": 1.0, "pace": 0.5, "usual": 10.0, "seconds": 30},
    "memory_growth": {"measured": 300, "threshold": 600.0, "used_mb": 900, "limit_mb": 2048, "mb_a_minute": 229.0},
    "not_finite": {"measured": "nan", "threshold": None, "value": "nan"},
}


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("code", NUMBERS)
def test_every_flag_says_what_was_measured_and_since_when(code, language):
    flag = planted(since_step=260, since_at=1.8e9 - 60, **NUMBERS[code]) | {"code": code.replace("slower", "stalled")}
    with translation.override(language), timezone.override("UTC"):
        text = flag_details(flag)
    for name, value in NUMBERS[code].items():
        if name != "pace" and value is not None:
            assert (compact(value, 3) if isinstance(value, int | float) else value) in text, name
    assert "260" in text
    assert "07:59:00" in text
    assert "%" not in text.replace("40%", "").replace("0.2%", "").replace("1%", "")


def test_a_flag_of_an_older_version_keeps_its_sentence():
    assert flag_details(planted(level=3.0, best=0.1)) == ""
    assert flag_details(planted(measured=3.0)) == ""
    assert flag_message(planted(measured=3.0)) == "The loss is growing away (Loss)"


@pytest.mark.django_db
def test_the_page_the_push_and_the_api_say_the_numbers(client, alice):
    flag = planted(since_step=260, since_at=1.8e9 - 60, **NUMBERS["divergence"])
    session = say(make_session(alice), {"flags": [flag]})
    client.force_login(alice)
    page = client.get(reverse("sessions:detail", args=[session.pk])).content.decode()
    assert "Loss is at 12.5; up to 4 is taken for noise" in page
    assert "Since step 260" in page
    (said,) = client.get(f"/api/sessions/{session.pk}/resources").json()["flags"]
    assert said["message"].startswith("The loss is growing away (Loss): Loss is at 12.5;")
    assert said["params"]["since_step"] == 260
    (frame,) = [json.loads(text) for text in Batch(7, 0, [(1, {"flags": [flag]})], Head(1, "running", 0.5)).json][:1]
    assert "up to 4 is taken for noise" in frame["flags"][0]["message"]
