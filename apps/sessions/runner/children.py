"""The two ways to a child process: forked by the warm server, or a fresh interpreter."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import psutil

#: The module that a fresh interpreter runs.
RUN_SESSION = "apps.sessions.runner.run_session"
#: The command of the warm server, which its children keep as their own.
WARM_COMMAND = "warm_children"
#: Set by the supervisor for its workers: where the warm server listens.
SOCKET_VARIABLE = "QP_WARM_SOCKET"
LOST = -9
#: How long a launcher waits for the warm server's greeting, and then for the child that it ordered.
GREETED_SECONDS, FORKED_SECONDS = 2.0, 30.0
#: For every process that serves no page: a third of the start of the whole program.
SLIM_SETTINGS = {"DJANGO_SETTINGS_MODULE": "quant_platform.settings.child"}


def can_fork() -> bool:
    """Tell whether a process that has imported torch may fork here; elsewhere children are spawned."""
    return sys.platform == "linux"


def child_variables(slots: int) -> dict[str, str]:
    """Return what a session's process finds in its environment besides ours: settings and its share of the cores."""
    threads = str(max(1, (os.cpu_count() or 1) // slots))
    return {
        **SLIM_SETTINGS, "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": "1",  # Its threads do not survive a fork, and every door should sum alike.
    }  # fmt: skip


class ChildProcess(Protocol):
    """What a launcher needs of a child; ``pid`` is also the number of its process group."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""


class WarmChild:
    """A child of the warm server, known by the connection that started it."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.pid, self._connection, self._data = pid, connection, b""
        self._code: int | None = None
        connection.setblocking(False)

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._read()
            if self._code is not None:
                self._connection.close()
        return self._code

    def _read(self) -> int | None:
        try:
            part = self._connection.recv(4096)
        except BlockingIOError:
            return None
        except OSError:
            part = b""
        self._data += part
        if self._data.endswith(b"\n"):
            return int(json.loads(self._data)["exit"])
        # The server is gone; its death told the child to save and stop, so wait for the child itself.
        return None if part or _alive(self.pid) else LOST


def _alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and that nobody has collected yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class OrderLost(Exception):
    """The warm server died over an order: the attempt is lost, not begun twice."""


def warm_child(session: int, attempt: int, log: Path) -> WarmChild | None:
    """Ask the warm server for a child; None where there is none, or it is too busy to greet.

    Once greeted there is no way back: the server may have made the child whatever became of its answer.
    Raises ``OrderLost`` when that answer does not come.
    """
    path = os.environ.get(SOCKET_VARIABLE, "")
    if not path or not hasattr(socket, "AF_UNIX"):
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(GREETED_SECONDS)
    try:
        connection.connect(path)
        _line(connection)
    except OSError:
        connection.close()
        return None
    connection.settimeout(FORKED_SECONDS)
    try:
        order = {"session": session, "attempt": attempt, "log": str(log)}
        connection.sendall(json.dumps(order).encode() + b"\n")
        return WarmChild(connection, int(json.loads(_line(connection))["pid"]))
    except (OSError, ValueError, KeyError) as error:
        connection.close()
        raise OrderLost from error


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(4096)
        if not part:
            raise ConnectionError("the warm server hung up")
        line += part
    return line


def fresh_child(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a new interpreter in a process group of its own."""
    with log.open("ab") as file:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and integers
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, start_new_session=True
        )
