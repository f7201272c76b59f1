"""What a run uses: sampled over its processes, written to its log, kept within its limits."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from apps.sessions.engine import resources
from apps.sessions.engine.resources import GpuMemory, Gpus, Sampler, group_rss, roomiest
from apps.sessions.limits import MB, memory_ceiling_bytes, memory_limit_bytes
from apps.sessions.models import Session
from apps.sessions.notices import flag_message, reason_text
from apps.sessions.runner import child, launcher, sink
from apps.sessions.runner.child import run_attempt
from apps.sessions.runner.launcher import launch
from apps.sessions.services.endings import limit_exceeded
from apps.sessions.services.sessions import session_resume
from tests.sessions import machine
from tests.sessions.live_fixtures import make_session
from tests.sessions.machine import HOOKS, claimed, eventually, payloads

BUSY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
HUNGRY = "x = bytearray(150_000_000); x[::4096] = b'1' * len(x[::4096]); import time; time.sleep(60)"


def test_a_sample_counts_the_process_and_what_it_started():
    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        sampler = Sampler(process.pid)
        try:
            first = sampler.sample()
            assert first["cpu_percent"] == 0.0
            assert first["read_bps"] is None
            eventually(lambda: psutil.Process(process.pid).children())
            later = eventually(lambda: (now := sampler.sample())["cpu_percent"] > 1 and now)
            assert later["rss_bytes"] > 5 * MB
            assert later["read_bps"] >= 0
        finally:
            for child in psutil.Process(process.pid).children():
                child.kill()
    assert group_rss(process.pid) == 0
    with pytest.raises(psutil.NoSuchProcess):
        sampler.sample()


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.setattr(resources, "has_driver", lambda: True)


def test_a_machine_without_a_gpu_says_none(monkeypatch, driver):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Gpus().of([1]) == (None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="where the driver shows itself is known on Linux")
def test_without_a_driver_its_library_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=lambda: pytest.fail("asked")))
    monkeypatch.setattr(resources, "DRIVER", (tmp_path / "nvidiactl",))
    assert Gpus().memory() == []
    (tmp_path / "nvidiactl").touch()
    assert resources.has_driver()


def test_gpu_use_is_that_of_our_processes(monkeypatch, driver):
    rows = {0: [SimpleNamespace(pid=7, usedGpuMemory=5 * MB), SimpleNamespace(pid=8, usedGpuMemory=MB)], 1: []}
    library = SimpleNamespace(
        NVMLError=RuntimeError, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda i: i, nvmlDeviceGetComputeRunningProcesses=rows.get,
        nvmlDeviceGetUtilizationRates=lambda i: SimpleNamespace(gpu=40 + 50 * i),
        nvmlDeviceGetMemoryInfo=lambda i: SimpleNamespace(free=3 * MB, total=9 * MB),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", library)
    gpus = Gpus()
    assert gpus.of([7]) == (40.0, 5 * MB)
    assert gpus.of([9]) == (0.0, 0)
    assert gpus.memory() == [GpuMemory(3 * MB, 9 * MB)] * 2


def test_a_gpu_that_falls_off_the_bus_is_left_out(monkeypatch, driver):
    class Lost(Exception):
        pass

    def memory(index):
        if index:
            raise Lost
        return SimpleNamespace(free=1, total=2)

    library = SimpleNamespace(
        NVMLError=Lost, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda i: i, nvmlDeviceGetMemoryInfo=memory,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert Gpus().memory() == [GpuMemory(1, 2)]


def test_the_roomiest_of_several_gpus_is_chosen(monkeypatch):
    assert roomiest([]) is None
    assert roomiest([GpuMemory(5, 9)]) is None
    assert roomiest([GpuMemory(5, 9), GpuMemory(8, 9), GpuMemory(1, 99)]) == 1
    monkeypatch.setattr(Gpus, "memory", lambda self: [GpuMemory(1, 9), GpuMemory(8, 9)])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    child._choose_gpu()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"  # Somebody has chosen.
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "")  # So that the test puts it back.
    child._choose_gpu()
    assert (os.environ.pop("CUDA_VISIBLE_DEVICES"), os.environ["CUDA_DEVICE_ORDER"]) == ("1", "PCI_BUS_ID")


@pytest.mark.django_db(transaction=True)
def test_a_run_writes_its_use_and_its_flags_to_the_log(alice, monkeypatch):
    machine.install(monkeypatch)
    monkeypatch.setattr(sink, "OBSERVE_SECONDS", 0.02)
    session = claimed(alice)
    HOOKS[20] = lambda s: eventually(lambda: any("resources" in row for row in payloads(session)))
    HOOKS[30] = lambda s: s.point(30, {"loss": float("nan")})
    assert run_attempt(session.pk, 1, own_process=False) == 0
    log = payloads(session)
    uses = [use for row in log for use in row.get("resources", ())]
    assert {"at", "cpu_percent", "rss_bytes", "read_bps", "net_in_bps", "gpu_percent"} <= set(uses[0])
    (flag,) = [flag for row in log for flag in row.get("flags", ())]
    assert (flag["code"], flag["step"]) == ("not_finite", 30)
    assert flag_message(flag) == "A value became infinite or undefined (Loss): Loss was nan. Since step 30."
    session.refresh_from_db()
    assert session.usage["peak_rss_bytes"] == max(use["rss_bytes"] for use in uses)
    assert session.status == "failed"


@pytest.mark.django_db(transaction=True)
def test_a_session_that_takes_too_much_memory_is_interrupted(alice, monkeypatch):
    session = claimed(alice, memory_limit_mb=100)
    monkeypatch.setattr(launcher, "child_command", lambda session: [sys.executable, "-c", HUNGRY])
    monkeypatch.setattr(launcher, "WEIGH_SECONDS", 0.05)
    launch(session)
    session.refresh_from_db()
    assert (session.status, session.reason_code, session.pid) == ("interrupted", "memory_limit", None)
    assert session.reason["limit"] == 100 < session.reason["used"]
    assert "may use 100 MB" in reason_text(session.reason_code, session.reason)
    assert session_resume(session=session, actor=alice, command="resume").memory_limit_mb == 200


@pytest.mark.django_db(transaction=True)
def test_a_child_that_ignores_its_time_limit_is_ended(alice, monkeypatch, settings):
    settings.QP_LIMIT_GRACE_SECONDS, session = 0.0, claimed(alice, time_limit=1, seconds_used=5)
    monkeypatch.setattr(launcher, "child_command", lambda s: [sys.executable, "-c", "import time; time.sleep(60)"])
    launch(session)
    session.refresh_from_db()
    assert (session.status, session.reason_code) == ("interrupted", "time_limit")


@pytest.mark.django_db
def test_who_has_ended_is_past_no_limit(alice):
    session = make_session(alice, status="completed")
    assert not limit_exceeded(session, "memory_limit", {})
    assert Session.objects.get().status == "completed"


@pytest.mark.django_db
def test_the_limit_is_the_sessions_the_installations_or_the_machines(alice, settings):
    session = make_session(alice)
    assert memory_limit_bytes(session) == memory_ceiling_bytes()
    settings.QP_SESSION_MEMORY_MB = 300
    assert memory_limit_bytes(session) == 300 * MB
    session.memory_limit_mb = 10**9
    assert memory_limit_bytes(session) == memory_ceiling_bytes()
