"""The supervisor's judgement of a cluster in which a launcher was killed."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from apps.sessions.adapters.sudden_death import TellSupervisor
from apps.sessions.runner.children import RUN_SESSION
from quant_platform.supervisor import supervisor as module
from quant_platform.supervisor.supervisor import Service, Supervisor


class Process:
    """A process of a service, as far as the supervisor asks."""

    def __init__(self, *words):
        self.words = list(words)

    def cmdline(self):
        if not self.words:
            raise psutil.NoSuchProcess(1)
        return self.words


@pytest.fixture
def watch(tmp_path, monkeypatch):
    """A supervisor over a cluster that has run for a while; what it ended is in ``ended``."""
    cluster = Service("cluster", [], {}, 1.0, process=SimpleNamespace(poll=lambda: None, pid=1, wait=lambda: None))
    monkeypatch.setattr(module, "remember", lambda services: None)
    said, ended = [], []
    monkeypatch.setattr(module, "signal_group", lambda process, number: ended.append(number))
    found = Supervisor([cluster], tmp_path / "drain.1", said.append)
    monkeypatch.setattr(found, "_end_sessions", lambda service: None)
    cluster.started = time.monotonic() - 60
    return SimpleNamespace(it=found, cluster=cluster, said=said, ended=ended)


def test_a_cluster_that_runs_nothing_is_renewed_at_once(watch):
    watch.cluster.group = [Process("python", "manage.py", "launchers"), Process()]
    watch.it.worker_died = True
    watch.it._look()
    assert watch.ended
    assert not watch.it.suspicion.exists()
    watch.it._look()
    assert len(watch.ended) == 1


def test_running_sessions_are_not_disturbed_for_a_suspicion(watch):
    watch.cluster.group = [Process("python", "-m", RUN_SESSION, "7", "1")]
    watch.it.worker_died = True
    watch.it._look()
    assert not watch.ended
    assert watch.it.suspicion.exists()
    watch.it.called_deaf = True  # somebody waited in vain
    watch.it._look()
    assert watch.ended
    assert not watch.it.suspicion.exists()


def test_the_last_words_of_an_ended_cluster_do_not_end_the_next(watch):
    watch.cluster.started = time.monotonic()
    watch.it.worker_died = True
    watch.it._look()
    assert not watch.ended
    assert not watch.it.suspicion.exists()


def test_a_cluster_that_may_still_be_starting_is_not_called_deaf(watch):
    watch.cluster.started = time.monotonic() - 10
    watch.it.called_deaf = True
    watch.it._look()
    assert not watch.ended
    watch.cluster.started = time.monotonic() - 60
    watch.it._look()
    assert not watch.ended, "a call that was not believed is not kept"


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="no such signal here")
@pytest.mark.parametrize(("level", "heard"), [(logging.CRITICAL, 1), (logging.ERROR, 0)])
def test_a_critical_line_of_the_cluster_reaches_the_supervisor(monkeypatch, level, heard):
    monkeypatch.setenv("QP_SUPERVISOR_PID", str(os.getpid()))
    got = []
    before = signal.signal(signal.SIGUSR2, lambda *_: got.append(1))
    logger = logging.getLogger("test.cluster")
    handler = TellSupervisor()
    logger.addHandler(handler)
    try:
        logger.log(level, "reincarnated worker after death")
    finally:
        logger.removeHandler(handler)
        signal.signal(signal.SIGUSR2, before)
    assert len(got) == heard


def test_without_a_supervisor_nobody_is_told(monkeypatch):
    monkeypatch.delenv("QP_SUPERVISOR_PID", raising=False)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("nobody is there"))
    TellSupervisor().emit(logging.LogRecord("x", logging.CRITICAL, "", 0, "dead", (), None))


def test_the_cluster_speaks_through_that_handler():
    assert any(isinstance(one, TellSupervisor) for one in logging.getLogger("django-q").handlers)


def test_each_service_knows_what_is_below_it_and_remembers_it_after_its_death():
    code = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    parent = subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True, **pipes)
    alone = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    one, two = (Service(name, [], {}, 1.0, process=process) for name, process in (("one", parent), ("two", alone)))
    try:
        parent.stdout.readline()
        module.remember([one, two])
        (below,) = one.group
        assert below.name() == "sleep"
        assert two.group == []
        parent.kill()
        parent.wait()
        module.remember([one, two])
        assert one.group == [below]
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        for process in (parent, alone):
            process.kill()
            process.communicate()


class Child:
    """A session's process that was asked to stop: by turns of waiting, how long it has worked by then."""

    def __init__(self, clock, *work, status=psutil.STATUS_RUNNING, ends=None):
        self.clock, self.work, self.state, self.ends = clock, work, status, ends

    def status(self):
        return self.state

    def cpu_times(self):
        return SimpleNamespace(user=self.work[min(self.clock.turn, len(self.work) - 1)], system=0.0)


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only in ``psutil.wait_procs``; ``turn`` counts the waits."""
    clock = SimpleNamespace(now=0.0, turn=0)

    def wait_procs(processes, timeout):
        clock.now, clock.turn = clock.now + timeout, clock.turn + 1
        return [], [process for process in processes if process.ends is None or clock.turn < process.ends]

    monkeypatch.setattr(module.psutil, "wait_procs", wait_procs)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_a_session_that_a_full_machine_gives_no_time_is_waited_for(clock):
    starved = Child(clock, 50.0, 50.2, 50.4, ends=7)
    assert module.still_alive([starved]) == []
    assert module.CHILD_GRACE < clock.now < module.CHILD_GRACE + module.STARVED_GRACE


@pytest.mark.parametrize("child", [
    {"work": (50.0, 58.0)}, {"work": (50.0, 50.0), "status": psutil.STATUS_STOPPED},
], ids=["works and does not end", "stands still"])  # fmt: skip
def test_a_session_that_had_its_time_is_not_waited_for_longer(clock, child):
    never = Child(clock, *child.pop("work"), **child)
    assert module.still_alive([never]) == [never]
    assert clock.now == module.CHILD_GRACE


def test_the_wait_for_a_starved_session_ends(clock):
    starved = Child(clock, 50.0)
    assert module.still_alive([starved]) == [starved]
    assert clock.now < module.CHILD_GRACE + module.STARVED_GRACE + 1
