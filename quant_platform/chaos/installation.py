"""A real installation in a folder of its own: ``serve`` with its processes, and a console beside it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

BASE = Path(__file__).resolve().parents[2]
#: Generous: other work may share the machine. Nothing waits longer than it has to.
DEADLINE = 180.0
PLUG = BASE / "quant_platform" / "chaos" / "plug"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PromiseBroken(AssertionError):
    """Something that has to hold did not."""


class Installation:
    """Starts and ends processes; ``took`` collects how long each recovery took, in seconds.

    Its faults (clock, disk) are files in ``faults``, read by the plug that every process loads.
    """

    def __init__(self, folder: Path, database_url: str = "") -> None:
        self.folder, self.port, self.took = folder, free_port(), dict[str, float]()
        self.faults, self.others = folder / "faults", list[subprocess.Popen[bytes]]()
        #: Processes beside the installation, which no fault may hit.
        self.helpers = list[subprocess.Popen[str]]()
        self.faults.mkdir(exist_ok=True)
        self.sqlite = not database_url
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("QP_", "DJANGO_"))}
        self.env = {
            **kept, "VAR_DIR": str(folder), "DATABASE_URL": database_url, "QP_ENV": "development", "SLOTS": "2",
            "QP_WEB_PROCESSES": "1",  # The web that is killed is all of it.
            "QP_CPU_BUSY_SECONDS": "86400",  # Two sessions run at once, also on a machine that others keep busy.
            "SESSION_RUNNER": "process", "LOG_LEVEL": "WARNING", "QP_CHECKPOINT_SECONDS": "0.5",
            "QP_DISK_RESERVE_MB": "1", "QP_RETRY_SECONDS": "1", "QP_RETRY_LIMIT": "20",
            "PYTHONPATH": str(PLUG), "FAULT_FOLDER": str(self.faults),
        }  # fmt: skip
        self.server: subprocess.Popen[bytes] | None = None
        self.console = subprocess.Popen(
            [sys.executable, "-m", "quant_platform.chaos.console"],
            env=self.env, cwd=BASE, text=True, start_new_session=True,  # A Ctrl-C is for whoever started us.
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log("console"),
        )  # fmt: skip
        self.helpers.append(self.console)
        if self.console.stdin is None or self.console.stdout is None:
            raise RuntimeError("the console has no pipes")
        self._input, self._output = self.console.stdin, self.console.stdout

    def log(self, name: str) -> Any:
        return (self.folder / f"{name}.log").open("ab")

    def ask(self, name: str, *arguments: Any) -> Any:
        self._input.write(json.dumps([name, *arguments]) + "\n")
        self._input.flush()
        line = self._output.readline()
        if not line:
            raise PromiseBroken(f"the console ended\n{(self.folder / 'console.log').read_text()[-3000:]}")
        return json.loads(line)["answer"]

    def serve(self) -> None:
        self.server = self._supervisor("--port", str(self.port))
        self.until(self.healthy, "the site answering")

    def serve_another(self) -> subprocess.Popen[bytes]:
        """Start a second worker, as on another host that shares database and folder."""
        other = self._supervisor("--worker", QP_WARM_START="0")
        self.others.append(other)
        return other

    def _supervisor(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        log = self.log("serve")
        return subprocess.Popen(  # noqa: S603 - our own interpreter and command
            [sys.executable, "manage.py", "serve", *arguments],
            env={**self.env, **settings}, cwd=BASE, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def until(self, condition: Callable[[], Any], what: str | Callable[[], str], note: str = "") -> Any:
        """Return the first true value of ``condition()``; note how long it took under ``note``.

        ``what`` was waited for, in words or as a function that finds them once it did not come.
        """
        start = time.monotonic()
        while time.monotonic() - start < DEADLINE:
            value = condition()
            if value:
                if note:
                    self.took[note] = round(time.monotonic() - start, 2)
                return value
            time.sleep(0.05)
        missed = what if isinstance(what, str) else what()
        raise PromiseBroken(f"{missed} did not happen within {DEADLINE:.0f} s\n{self.words()}")

    def words(self) -> str:
        logs = [path for path in self.folder.rglob("*") if path.suffix in {".log", ".txt"}]
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in logs)

    # -- processes -------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Return every living process of this installation except its helpers, by its environment."""
        found, helpers = [], {helper.pid for helper in self.helpers}
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("VAR_DIR") == str(self.folder)
                if mine and process.pid not in helpers and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def service(self, word: str) -> psutil.Process:
        """Return the supervisor's child whose command holds ``word``."""

        def find() -> psutil.Process | None:
            for child in psutil.Process(self.running_server().pid).children():
                try:
                    if word in child.cmdline():
                        return child
                except psutil.Error:
                    continue
            return None

        return self.until(find, f"a process {word}")

    def nothing_left(self) -> None:
        self.until(lambda: not self.processes(), lambda: f"the end of every process: {self.processes()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        server = self.running_server()
        server.send_signal(number)
        return server.wait(DEADLINE)

    def running_server(self) -> subprocess.Popen[bytes]:
        """Return the supervisor that ``serve`` started."""
        if self.server is None:
            raise RuntimeError("serve() first")
        return self.server

    def close(self) -> None:
        self._input.close()
        self.console.wait(20)
        self._output.close()
        for helper in self.helpers:
            helper.kill()
            helper.wait()
        for process in self.processes():
            try:
                process.kill()
            except psutil.Error:
                continue
        for supervisor in [*self.others, *([self.server] if self.server else [])]:
            supervisor.wait(DEADLINE)


def curves(log: list[Any]) -> dict[str, list[tuple[int, float]]]:
    """Return metric -> (step, value) as a reader sees it: rewinds applied, each point once.

    The log must have no hole, and no attempt may speak after a later one has begun.
    """
    attempts = [attempt for _, attempt, _ in log]
    if [seq for seq, _, _ in log] != list(range(1, len(log) + 1)):
        raise PromiseBroken("the log has a hole or a row twice")
    if attempts != sorted(attempts):
        raise PromiseBroken("an attempt spoke after a later one had begun")
    found: dict[str, list[tuple[int, float]]] = {}
    for _, _, payload in log:
        if "rewind" in payload:
            found = {name: [p for p in points if p[0] <= payload["rewind"]] for name, points in found.items()}
        for point in payload.get("points", ()):
            for name, value in point["values"].items():
                found.setdefault(name, []).append((point["step"], value))
    return found
