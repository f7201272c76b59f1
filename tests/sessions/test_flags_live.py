"""Planted faults of a run: in the row of the log that holds their points, and on the page."""

from __future__ import annotations

import math
import random
import time
from itertools import count
from types import SimpleNamespace

import pytest

from apps.sessions.live.curves import forget_all
from apps.sessions.models import Session
from apps.sessions.notices import FLAGS
from apps.sessions.runner import sink as sink_module
from apps.sessions.runner.sink import DbSink
from tests.sessions.machine import claimed, payloads
from tests.sessions.test_views import body, url

pytestmark = pytest.mark.django_db

R = random.Random(11)
PLANTED = {
    "divergence": [{"loss": math.exp(-i / 80) if i < 200 else 0.08 * math.exp((i - 200) / 15)} for i in range(400)],
    "exploding_gradient": [{"gradient_norm": math.exp(R.gauss(0, 0.5)) * (1 if i < 300 else 400)} for i in range(340)],
    "plateau": [{"valid_loss": 0.69 + 0.3 * math.exp(-i / 40) + R.gauss(0, 0.0002)} for i in range(1500)],
    "dead_policy": [{"entropy": 1.0 if i < 100 else 0.001} for i in range(200)],
}
EVERY = 25


@pytest.fixture
def session(alice):
    forget_all()
    return claimed(alice)


@pytest.fixture
def sink(session, tmp_path):
    return DbSink(session, tmp_path)


class Uses:
    """A sampler that says what it is given."""

    def __init__(self, *samples):
        self.samples = list(samples)

    def sample(self):
        return {"cpu_percent": 50.0, "gpu_memory_bytes": None, **self.samples.pop(0)}


def flagged(session):
    return [(flag, row) for row in payloads(session) for flag in row.get("flags", ())]


def shown(client, session, code):
    client.force_login(session.owner)
    return FLAGS[code] in body(client.get(url("detail", session.pk)))


@pytest.mark.parametrize("code", PLANTED)
def test_what_points_show_is_flagged_in_their_own_row(client, session, sink, code):
    rows = PLANTED[code]
    for step, values in enumerate(rows, 1):
        sink.point(step, values)
        sink.progress(step, len(rows), "step")
        if step % EVERY == 0:
            sink.flush()
    ((flag, row),) = flagged(session)
    assert flag["code"] == code
    assert flag["step"] in [point["step"] for point in row["points"]], "no row later than what shows it"
    assert shown(client, session, code)


def test_silence_is_flagged_at_the_sample_that_shows_it(client, session, sink, monkeypatch):
    clock = count(1000.0, 0.01)
    monkeypatch.setattr(sink_module, "time", SimpleNamespace(time=clock.__next__, monotonic=time.monotonic))
    for step in range(1, 30):
        sink.point(step, {"loss": 1.0})
    sink.progress(29, 1000, "step")
    sink.flush()
    now = next(clock)
    uses = Uses({"at": now + 20, "rss_bytes": 1}, {"at": now + 40, "rss_bytes": 1}, {"at": now + 41, "rss_bytes": 1})
    for expected in (0, 1, 1):
        sink._observe(uses)
        sink.flush()
        assert len(flagged(session)) == expected
    assert shown(client, session, "stalled")


def test_memory_on_its_way_to_the_limit_is_flagged_long_before_it(client, alice, tmp_path):
    session = claimed(alice, memory_limit_mb=1000)
    sink = DbSink(session, tmp_path)
    for second in range(60):
        sink._observe(Uses({"at": 1000.0 + second, "rss_bytes": 400e6 + second * 2e6}))
    sink.flush()
    ((flag, _row),) = flagged(Session.objects.get(pk=session.pk))
    assert (flag["code"], flag["at"]) == ("memory_growth", 1000.0 + 29)
    assert shown(client, session, "memory_growth")
