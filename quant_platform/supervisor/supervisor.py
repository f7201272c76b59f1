"""A tiny supervisor: no database, no torch, no threads.

Each service has a process group of its own, so that a dead parent never leaves workers behind
that go on taking jobs. The kernel ends the services when the supervisor itself is killed.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from apps.sessions.runner.children import (
    RUN_SESSION,
    SLIM_SETTINGS,
    SOCKET_VARIABLE,
    WARM_COMMAND,
    can_fork,
    child_variables,
)
from apps.sessions.runner.process import kill_number, signal_group, suspicion_file
from quant_platform.supervisor.web import Web

POLL_SECONDS = 0.2
#: A service that dies sooner than this after its start waits longer before the next one.
HEALTHY_SECONDS = 5.0
#: What a session has to save and stop: seconds by the clock; on a machine that gives it none, as long as it takes
#: to work for so many, but no longer than ``STARVED_GRACE`` more.
CHILD_GRACE, CHILD_WORK, STARVED_GRACE = 10.0, 3.0, 30.0
#: The guard of a cluster that was ended may still have had something to say.
LAST_WORDS = 1.0
#: A cluster that was started less long ago may still be starting, on a busy machine.
START_SECONDS = 30.0


@dataclass
class Service:
    """One process that has to run: its command, and the process while it lives."""

    name: str
    command: list[str]
    environment: dict[str, str]
    grace: float
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    next_start: float = 0.0
    group: list[psutil.Process] = field(default_factory=list)
    #: Descriptors it inherits.
    inherits: tuple[int, ...] = ()

    def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own commands
            self.command, env=self.environment, start_new_session=True, pass_fds=self.inherits
        )
        self.started = time.monotonic()

    def dead(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill_group(self) -> None:
        """End whatever is left of this service; sessions' children get the time to save."""
        if self.process is not None:
            signal_group(self.process, kill_number())
            self.process.wait()


def remember(services: Sequence[Service]) -> None:
    """Write down the processes below each service, for the time after its death.

    One look at the machine's processes for all of them: it is done five times a second.
    """
    tops = {service.process.pid: service for service in services if service.process is not None and service.lives()}
    groups: dict[int, list[psutil.Process]] = {pid: [] for pid in tops}
    above = {pid: pid for pid in tops}
    for process in psutil.Process().children(recursive=True):  # a parent comes before its children
        with contextlib.suppress(psutil.NoSuchProcess):
            top = above.get(process.ppid())
            if top is not None and process.pid not in tops:
                above[process.pid] = top
                groups[top].append(process)
    for pid, service in tops.items():
        service.group = groups[pid]


class Supervisor:
    """Runs services until SIGTERM or SIGINT."""

    def __init__(
        self, services: list[Service], drain_file: Path, say: Callable[[str], None], *,
        listener: socket.socket | None = None,
    ) -> None:  # fmt: skip
        self.services, self.drain_file, self.say, self.listener = services, drain_file, say, listener
        self.stopping = self.renew_cluster = self.worker_died = self.called_deaf = False
        self.suspicion = suspicion_file(drain_file)

    def run(self) -> None:
        self.drain_file.unlink(missing_ok=True)
        self.suspicion.unlink(missing_ok=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "stopping", True))
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, lambda *_: setattr(self, "called_deaf", True))
        if hasattr(signal, "SIGUSR2"):
            signal.signal(signal.SIGUSR2, lambda *_: setattr(self, "worker_died", True))
        for service in self.services:
            service.start()
        try:
            while not self.stopping:
                self._look()
                time.sleep(POLL_SECONDS)
        finally:
            self._stop()

    def _look(self) -> None:
        remember(self.services)
        if self.worker_died:
            self.worker_died = False
            self._doubt_cluster()
        if self.called_deaf:
            self.called_deaf = False
            self.renew_cluster = self._cluster_age() > START_SECONDS
        for service in self.services:
            if self.renew_cluster and service.name == "cluster" and service.process is not None:
                self.renew_cluster = False
                self.suspicion.unlink(missing_ok=True)
                self.say("the cluster does not answer; starting another")
                self._end_sessions(service)
                signal_group(service.process, kill_number())
                service.process.wait()
            if service.dead():
                self._restart(service)

    def _cluster_age(self) -> float:
        """Return the seconds since the cluster was started; infinite where none runs."""
        ages = (time.monotonic() - service.started for service in self.services if service.name == "cluster")
        return min(ages, default=math.inf)

    def _doubt_cluster(self) -> None:
        """A launcher was killed, and the cluster may be deaf. Where nothing runs another costs nothing;
        else whoever waits in vain is believed sooner than usual."""
        if self._cluster_age() < LAST_WORDS:
            return
        if any(is_session(process) for service in self.services for process in service.group):
            self.suspicion.parent.mkdir(parents=True, exist_ok=True)
            self.suspicion.touch()
        else:
            self.renew_cluster = True

    def _restart(self, service: Service) -> None:
        now = time.monotonic()
        if service.process is not None and not service.next_start:
            code = service.process.returncode
            service.kill_group()
            lived = now - service.started
            service.failures = 0 if lived > HEALTHY_SECONDS else service.failures + 1
            service.next_start = now + min(30.0, 0.5 * 2**service.failures - 0.5)
            self.say(f"{service.name} ended with {code}; starting it again")
        if now >= service.next_start:
            service.next_start = 0.0
            service.start()

    def _stop(self) -> None:
        """No new jobs, then the sessions, then the cluster, then the web."""
        if self.listener is not None:  # The port closes with the last web process.
            self.listener.close()
        self.drain_file.parent.mkdir(parents=True, exist_ok=True)
        self.drain_file.touch()
        for service in self.services:
            if service.name in {"cluster", "warm"}:
                self._end_sessions(service)
        for service in reversed(self.services):
            if service.process is not None:
                service.process.send_signal(signal.SIGTERM)
        for service in reversed(self.services):
            if service.process is not None:
                try:
                    service.process.wait(service.grace)
                except subprocess.TimeoutExpired:
                    self.say(f"{service.name} did not stop within {service.grace:.0f} s and is ended")
                service.kill_group()
        self.drain_file.unlink(missing_ok=True)

    def _end_sessions(self, cluster: Service) -> None:
        """Ask the sessions' own processes to save and stop, and wait for them."""
        remember([cluster])
        running = [process for process in cluster.group if is_session(process)]
        for process in running:
            try:
                process.send_signal(signal.SIGTERM)
            except psutil.NoSuchProcess:
                continue
        for process in still_alive(running):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


def still_alive(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Give processes that were asked to stop their time, and return those that have not."""
    before = [worked(process) for process in processes]
    known = dict(zip(processes, before, strict=True))
    _, alive = psutil.wait_procs(processes, timeout=CHILD_GRACE)
    end = time.monotonic() + STARVED_GRACE
    while time.monotonic() < end and any(worked(process) - known[process] < CHILD_WORK for process in alive):
        _, alive = psutil.wait_procs(alive, timeout=POLL_SECONDS)
    return list(alive)


def worked(process: psutil.Process) -> float:
    """Return for how many seconds a process has worked; one that stands still or is gone has done all it will."""
    try:
        if process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            return math.inf
        times = process.cpu_times()
    except psutil.Error:
        return math.inf
    return float(times.user + times.system)


def is_session(process: psutil.Process) -> bool:
    """Tell whether a descendant of the cluster, or of the warm process, runs a session or an import."""
    try:
        return bool({RUN_SESSION, "run_import", WARM_COMMAND} & set(process.cmdline()))
    except psutil.Error:
        return False


def services(
    base: Path, *, drain_file: Path, web: Web | None = None, worker: bool = False, slots: int = 1, warm: bool = True
) -> list[Service]:
    """Return the services of this host; the web first, since it is up quickest."""
    environment = {**os.environ, "QP_SUPERVISOR_PID": str(os.getpid()), "QP_DRAIN_FILE": str(drain_file)}
    wrapped = [sys.executable, "-m", "quant_platform.supervisor.tied", str(os.getpid())]
    manage = str(base / "manage.py")
    found = []
    if web is not None:
        for number, more in enumerate(web.environments(), start=1):
            name = f"web {number}" if web.count > 1 else "web"
            found.append(Service(name, [*wrapped, *web.command()], environment | more, 8.0, inherits=web.inherits))
    if worker:
        if warm and can_fork():
            # A folder only we may enter: whoever reaches the socket may run sessions.
            environment[SOCKET_VARIABLE] = str(Path(tempfile.mkdtemp(prefix="quant-")) / "warm")
            # numpy's BLAS starts its threads on import, which a fork would lose; torch has its own.
            child = environment | child_variables(slots)
            found.append(Service("warm", [*wrapped, manage, WARM_COMMAND], child, grace=14.0))
        slim = environment | SLIM_SETTINGS
        found.append(Service("cluster", [*wrapped, manage, "launchers"], slim, grace=12.0))
        found.append(Service("reaper", [*wrapped, manage, "reap"], slim, grace=3.0))
    return found
