"""Who starts next, who waits for memory, and who is refused at once."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.sessions import forecast
from apps.sessions.engine.admission import (
    UNKNOWN_BYTES,
    Job,
    Need,
    Past,
    effective_priority,
    expected_starts,
    gpu_fits,
    memory_fits,
    need_of,
    usable_slots,
)
from apps.sessions.engine.load import Load
from apps.sessions.engine.resources import GpuMemory
from apps.sessions.forecast import Forecast, seconds_left
from apps.sessions.limits import MB, memory_ceiling_bytes
from apps.sessions.models import Worker
from apps.sessions.services import sessions
from apps.sessions.services.claim import claim_next, slot_free
from apps.sessions.services.sessions import check_memory
from apps.sessions.services.workers import beat
from apps.sessions.waiting import queue_of
from apps.ui.engine.refusal import Refusal
from tests.sessions.live_fixtures import make_session
from tests.sessions.machine import queued


def finished(owner, mb, seconds=60.0, *, cpu=None, **fields):
    usage = {"peak_rss_bytes": mb * MB} | ({"cpu_seconds": cpu} if cpu is not None else {})
    values = {"usage": usage, "seconds_used": seconds, "finished_at": timezone.now()} | fields
    return make_session(owner, status="completed", **values)


def test_the_need_is_the_largest_peak_and_the_usual_time_and_load():
    assert need_of([]) == Need(UNKNOWN_BYTES, None, 0)
    past = [Past(100, 10.0, 5.0), Past(300, 30.0, 60.0, 7), Past(200, 90.0), Past(1, 0.0, 1.0)]
    assert need_of(past) == Need(300, 20.0, 4, 1.25, 7)


def test_starts_are_halved_while_the_processors_are_busy():
    assert [usable_slots(slots, busy=True) for slots in (1, 2, 3, 8)] == [1, 1, 1, 4]
    assert usable_slots(8, busy=False) == 8


def test_the_processors_are_busy_only_when_they_stay_so():
    load = Load(0.8)
    assert [load.feed(1.0, float(i)) for i in range(9)] == [None] * 9
    assert load.feed(1.0, 9.0) == 9.0
    assert load.feed(0.5, 10.0) == 9.0  # One calm second is no calm.
    assert [load.feed(0.0, 11.0 + i) for i in range(3)][-1] is None
    assert load.feed(1.0, 20.0) is None


SMALL = Need(10, 60.0, 1)


def job(seconds, kind="training", need=SMALL):
    return Job(kind, need, seconds)


def two(kind, counts):
    return slot_free(kind, counts, 2)


@pytest.mark.parametrize(
    ("running", "queue", "expected"),
    [
        ([], [job(60.0)], [0.0]),
        ([job(30.0), job(90.0)], [job(60.0), job(60.0)], [30.0, 90.0]),
        ([job(30.0), job(None)], [job(60.0), job(10.0), job(5.0)], [30.0, 90.0, 100.0]),
        ([job(None), job(None)], [job(60.0)], [None]),
        ([job(30.0), job(None)], [job(None), job(60.0)], [30.0, None]),
        # A backtest has a slot of its own and does not wait for the training before it.
        ([job(100.0), job(200.0)], [job(60.0), job(5.0, "backtest")], [100.0, 0.0]),
        # The large one waits for memory; the small one behind it does not.
        ([job(40.0)], [job(5.0, need=Need(10**9)), job(5.0)], [40.0, 0.0]),
    ],
)
def test_the_queue_is_played_out_as_the_claim_does_it(running, queue, expected):
    assert expected_starts(running, queue, 100.0, two) == expected


@given(st.lists(st.floats(0, 1e4), max_size=5), st.lists(st.floats(0, 1e4), max_size=30))
def test_with_known_times_everybody_starts_and_in_order(running, queue):
    starts = expected_starts([job(s) for s in running], [job(s) for s in queue], 1e9, two)
    assert None not in starts
    assert starts == sorted(starts)


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
    beat()
    finished(alice, 900)
    make_session(alice)
    session = queued(alice)
    monkeypatch.setattr(forecast, "memory_ceiling_bytes", lambda: 0)
    assert claim_next("w") is None
    assert "900 MB" in queue_of([session]).sentence(session)
    monkeypatch.setattr(forecast, "memory_ceiling_bytes", lambda: 2**60)
    assert claim_next("w").pk == session.pk


@pytest.mark.django_db
def test_what_running_sessions_will_still_take_is_promised(alice, monkeypatch, django_assert_num_queries):
    finished(alice, 900)
    monkeypatch.setattr(forecast.psutil, "virtual_memory", lambda: SimpleNamespace(total=0, available=0))
    monkeypatch.setattr(forecast, "memory_ceiling_bytes", lambda: 4000 * MB)
    running = make_session(alice, usage={"peak_rss_bytes": 200 * MB})
    with django_assert_num_queries(4):
        found = Forecast.read()
    with django_assert_num_queries(3):
        assert Forecast.read() == found, "the history is read anew when another one has finished"
    assert found.need(running) == Need(900 * MB, 60.0, 1)
    assert found.free_bytes == 3300 * MB


@pytest.mark.django_db
def test_what_finishes_is_in_the_next_forecast_and_so_is_what_it_is_found_to_have_used(alice):
    first = finished(alice, 900)
    like = make_session(alice, version=first.version)
    assert Forecast.read().need(like).memory_bytes == 900 * MB
    first.usage["peak_rss_bytes"] = 700 * MB
    first.save()
    assert Forecast.read().need(like).memory_bytes == 700 * MB
    finished(alice, 500, version=first.version)
    assert Forecast.read().need(like).like == 2


@pytest.mark.django_db
def test_the_closest_likeness_counts(alice):
    mine = finished(alice, 100, 10.0, cpu=20.0, config={"episodes": 5, "seed": 1})
    finished(alice, 900, 600.0, config={"episodes": 500, "seed": 1}, version=mine.version)
    same = make_session(alice, config={"episodes": 5, "seed": 2}, version=mine.version)
    changed = make_session(alice, config={"episodes": 6}, version=mine.version)
    other = make_session(alice, config={"episodes": 6})
    read = Forecast.read()
    assert read.need(same) == Need(100 * MB, 10.0, 1, 2.0)
    assert read.need(changed) == Need(900 * MB, 305.0, 2, 2.0)
    assert read.need(other) == read.need(changed)
    assert read.need(make_session(alice, kind="backtest")) == Need()


def test_what_is_left_follows_the_pace_and_before_that_the_history():
    assert seconds_left(0.25, 60.0, Need()) == 180.0
    assert seconds_left(0.0, 10.0, SMALL) == 50.0
    assert seconds_left(0.0, 90.0, SMALL) == 0.0
    assert seconds_left(0.01, 10.0, Need()) is None
    assert seconds_left(1.0, 10.0, Need()) == 0.0


@pytest.mark.django_db
def test_a_waiting_session_says_why_and_when(alice, settings, django_assert_num_queries):
    settings.SLOTS = 1
    beat()
    finished(alice, 100, 120.0, cpu=120.0)
    make_session(alice, progress=0.5, seconds_used=60.0)
    first, second = queued(alice), queued(alice, queued_at=timezone.now() + timedelta(seconds=1))
    Forecast.read()  # The history of what finished is known.
    with django_assert_num_queries(4):
        queue = queue_of([first, second])
    assert queue.sentence(first) == (
        "Every slot is in use: 1 of 1. It is next. It should start in about 1 min and then take 2 min."
    )
    assert "1 session is before it." in queue.sentence(second)
    assert queue.document(second) == {
        "because": "slots", "before": 1, "starts_in_s": 180.0, "done_in_s": 300.0,
        "predicted": {"like": 1, "seconds": 120.0, "cores": 1.0, "memory_mb": 100, "gpu_mb": 0},
    }  # fmt: skip
    assert queue_of([make_session(alice)]) is None


@pytest.mark.django_db
def test_nothing_is_promised_that_nobody_knows(alice, settings):
    settings.SLOTS = 1
    beat()
    make_session(alice)
    session = queued(alice)
    queue = queue_of([session])
    assert queue.sentence(session) == "Every slot is in use: 1 of 1. It is next."
    assert queue.document(session)["starts_in_s"] is None
    assert queue.document(session)["predicted"]["memory_mb"] is None


@pytest.mark.django_db
def test_without_a_worker_or_with_draining_ones_it_says_so(alice):
    session = queued(alice)
    assert "No worker answers" in queue_of([session]).sentence(session)
    beat()
    Worker.objects.update(draining=True)
    queue = queue_of([session])
    assert "takes nothing new" in queue.sentence(session)
    assert (queue.because(session), queue.starts_in(session)) == ("draining", None)


@pytest.mark.django_db
def test_busy_processors_halve_the_starts_after_a_while(alice, settings):
    settings.SLOTS = 2
    make_session(alice)
    session = queued(alice)
    beat(timezone.now() - timedelta(seconds=61))
    queue = queue_of([session])
    assert queue.because(session) == "cpu"
    assert "only 1 of 2 slots" in queue.sentence(session)
    assert claim_next("w") is None
    beat(timezone.now() - timedelta(seconds=9))
    assert claim_next("w").pk == session.pk


@pytest.mark.django_db
def test_a_host_without_a_worker_goes_by_all_that_are_alive():
    for name, since in (("a:1", 300), ("b:1", None)):
        busy = timezone.now() - timedelta(seconds=since) if since else None
        Worker.objects.create(name=name, host=name[0], pid=1, busy_since=busy)
    assert not Forecast.read().busy
    Worker.objects.filter(busy_since=None).update(last_beat=timezone.now() - timedelta(hours=1))
    assert Forecast.read().busy


@pytest.mark.django_db
def test_the_api_and_the_command_say_the_same(client, alice, settings):
    settings.SLOTS = 1
    beat()
    finished(alice, 100, 120.0)
    running = make_session(alice, progress=0.5, seconds_used=60.0)
    session = queued(alice)
    client.force_login(alice)
    document = client.get(f"/api/sessions/{session.pk}/status").json()
    assert (document["waiting"]["because"], document["waiting"]["starts_in_s"]) == ("slots", 60.0)
    assert "start in about 1 min" in document["message"]
    assert client.get(f"/api/sessions/{running.pk}/status").json()["left_s"] == 60.0
    rows = client.get("/api/sessions/?status=queued").json()["items"]
    assert rows[0]["waiting"]["done_in_s"] == 180.0
    out = StringIO()
    call_command("sessions", "--user", "alice", stdout=out)
    assert "start in about 1 min" in out.getvalue()


@pytest.mark.django_db
def test_what_can_never_fit_is_refused(alice):
    version = finished(alice, 900).version
    check_memory("training", version, {}, 0)
    check_memory("backtest", version, {}, 100)
    with pytest.raises(Refusal) as refused:
        check_memory("training", version, {}, 500)
    assert (refused.value.code, refused.value.params) == ("never_fits", {"need": 900, "allowed": 500})
    with pytest.raises(Refusal):
        check_memory("backtest", version, {}, memory_ceiling_bytes() // MB + 1)


class FakeGpus:
    """A port to GPUs that are not there: (free, total) MB of each."""

    def __init__(self, *sizes):
        self.sizes = sizes

    def memory(self):
        return [GpuMemory(free * MB, total * MB) for free, total in self.sizes]


@pytest.fixture
def gpus(monkeypatch):
    def install(*sizes):
        for module in (forecast, sessions):
            monkeypatch.setattr(module, "gpus", lambda: FakeGpus(*sizes))

    return install


def on_gpu(owner, mb, status="completed", **fields):
    usage = {"peak_rss_bytes": MB, "peak_gpu_bytes": mb * MB}
    values = {"usage": usage, "seconds_used": 60.0, "finished_at": timezone.now()} | fields
    return make_session(owner, status=status, **values)


def test_without_a_gpu_to_ask_nothing_is_held_back():
    assert gpu_fits(Need(gpu_bytes=5), [])
    assert gpu_fits(Need(), [0.0])
    assert not gpu_fits(Need(gpu_bytes=5), [4.0, 3.0])
    assert gpu_fits(Need(gpu_bytes=5), [4.0, 5.0])


@pytest.mark.django_db
def test_a_session_waits_for_gpu_memory_and_says_so(alice, settings, gpus):
    settings.SLOTS, settings.QP_MEMORY_ADMISSION = 4, 0.8
    beat()
    version = on_gpu(alice, 600).version
    session = queued(alice, version=version)
    gpus((500, 1000), (800, 1000))  # Beside the reserve of 200 MB the emptiest has 600 MB.
    assert queue_of([session]).because(session) == "worker"
    gpus((500, 1000), (790, 1000))
    queue = queue_of([session])
    assert queue.because(session) == "gpu"
    assert "600 MB of GPU memory; 590 MB are free" in queue.sentence(session)
    assert queue.document(session)["predicted"]["gpu_mb"] == 600
    assert claim_next("w") is None
    gpus()
    assert claim_next("w").pk == session.pk


@pytest.mark.django_db
def test_gpu_memory_is_promised_to_those_that_run(alice, settings, gpus):
    settings.QP_MEMORY_ADMISSION = 0.8
    gpus((1000, 1000))
    version = on_gpu(alice, 600).version
    on_gpu(alice, 150, status="running", version=version)
    assert Forecast.read().gpu_free == (350 * MB,)


@pytest.mark.django_db
def test_what_no_gpu_here_can_ever_hold_is_refused(alice, settings, gpus):
    settings.QP_MEMORY_ADMISSION = 0.8
    version = on_gpu(alice, 900).version
    gpus((1000, 1000))
    with pytest.raises(Refusal) as refused:
        check_memory("training", version, {}, 0)
    assert (refused.value.code, refused.value.params) == ("never_fits", {"need": 900, "allowed": 800})
    gpus()
    check_memory("training", version, {}, 0)
