"""A process with Django and torch imported, never executed: it forks the children of sessions in milliseconds.

A launcher connects to its unix socket, is greeted, sends one line of JSON and keeps the connection
for the life of the child: it is told the pid, then the exit code. A connection that breaks means that
the launcher is gone: the child is asked to save and stop. Who is not greeted in time leaves without an
order and starts a process by itself, beside which no child may write the same attempt. Nothing here
touches the database or runs a tensor operation, since neither a connection nor torch's thread pool
survives a fork.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

#: What a run imports before its first point.
PRELOADED = (
    "torch", "safetensors.torch", "numba",
    "apps.sessions.runner.child", "apps.sessions.jobs.training", "apps.sessions.jobs.backtest",
    "apps.strategies.engine.training.algorithmic", "apps.strategies.engine.training.portfolio",
    "apps.strategies.engine.backtesting",
)  # fmt: skip
LAST_CHANCE_SECONDS = 10.0
#: The first word of the server: from here on it is the one that makes the child.
GREETING = b"ready\n"
Run = Callable[[int, int], int]


def preload() -> None:
    """Import what children need, so that they share it."""
    for name in PRELOADED:
        import_module(name)
    # The code that was imported just now is the code that children run, whatever the files become later.
    import_module("apps.sessions.capsules").code()
    gc.collect()
    gc.freeze()  # A collection in a child would copy every shared page.


@dataclass
class Child:
    pid: int
    connection: socket.socket


class WarmServer:
    """Forks a child for each connection and passes its end on."""

    def __init__(self, path: Path, run: Run) -> None:
        self.path, self.run, self.stopping = path, run, False
        self.children: dict[int, Child] = {}
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def serve(self) -> None:
        """Answer until SIGTERM; then ask every child to save and stop, and wait for them."""
        self.path.unlink(missing_ok=True)
        self.listener.bind(str(self.path))
        self.path.chmod(0o600)
        self.listener.listen(64)
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopping", True))
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        self.selector.register(reader, selectors.EVENT_READ, lambda: _drain(reader))
        self.keep_open = reader, writer
        while not self.stopping:
            self._turn(None)
        self._stop()

    def _turn(self, timeout: float | None) -> None:
        for key, _ in self.selector.select(timeout):
            key.data()
        self._reap()

    def _stop(self) -> None:
        self.listener.close()
        self.path.unlink(missing_ok=True)
        for pid in self.children:
            _signal(pid, signal.SIGTERM)
        end = time.monotonic() + LAST_CHANCE_SECONDS
        while self.children and time.monotonic() < end:
            time.sleep(0.05)
            self._reap()
        for pid in self.children:
            _signal(pid, signal.SIGKILL)

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        connection.settimeout(5.0)
        try:
            connection.sendall(GREETING)
            order = json.loads(_line(connection))
            pid = self._fork(order, connection)
        except (OSError, ValueError, KeyError) as error:
            print(f"warm start: {error}", file=sys.stderr, flush=True)  # noqa: T201
            connection.close()
            return
        self.children[pid] = Child(pid, connection)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._hung_up(pid))
        with contextlib.suppress(OSError):  # Who has left is found out by its hanging up.
            connection.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        connection.setblocking(False)

    def _fork(self, order: dict[str, Any], connection: socket.socket) -> int:
        session, attempt, log = int(order["session"]), int(order["attempt"]), str(order["log"])
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            connection.close()
            self._become_child(server, session, attempt, log)
        return pid

    def _become_child(self, server: int, session: int, attempt: int, log: str) -> NoReturn:
        """Leave everything of the server behind and run; never return into its loop."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            self._close_all()
            _write_to(log)
            from apps.sessions.runner.process import be_modest, die_with_parent

            die_with_parent(server)
            be_modest()
            random.seed()
            code = self.run(session, attempt)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:  # noqa: BLE001 - whatever it is, it must not reach the server's loop
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _close_all(self) -> None:
        self.selector.close()
        self.listener.close()
        for child in self.children.values():
            child.connection.close()
        for end in self.keep_open:
            end.close()

    def _hung_up(self, pid: int) -> None:
        """The launcher says nothing more by itself: readable means that it is gone."""
        child = self.children.get(pid)
        if child is None:
            return
        with contextlib.suppress(OSError):
            if child.connection.recv(64):
                return
        self._forget(child)
        _signal(pid, signal.SIGTERM)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child is not None:
                with contextlib.suppress(OSError):
                    child.connection.sendall(json.dumps({"exit": os.waitstatus_to_exitcode(status)}).encode() + b"\n")
                self._forget(child)

    def _forget(self, child: Child) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(child.connection)
        child.connection.close()


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        part = connection.recv(4096)
        if not part or len(data) > 65_536:
            raise ValueError("the order was cut off")
        data += part
    return data


def _drain(reader: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while reader.recv(4096):
            pass


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _write_to(log: str) -> None:
    """Send what the child prints to the session's log file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
