"""The web as several processes that accept from one socket (ADR 88).

The supervisor opens the port and keeps it open: a process that ends loses the connections it had, never those
that wait, which the others accept. daphne takes the socket the way systemd hands one over.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

#: Where a process that is started finds the descriptor of the socket; ``tied`` reads it.
LISTEN_VARIABLE = "QP_LISTEN_FD"
#: Which of the web processes this is, from 1; another one in the same place is its successor.
SLOT_VARIABLE = "QP_WEB_SLOT"
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
#: Connections that may wait to be accepted.
BACKLOG = 1024
#: By the protocol between systemd and those it starts.
FIRST_DESCRIPTOR = 3


def can_share() -> bool:
    """Tell whether a child may inherit a socket here; Windows has no such descriptors."""
    return os.name == "posix" and sys.platform != "cygwin"


def listen(bind: str, port: int) -> socket.socket:
    """Open the port. Raises ``OSError`` where the address is not ours or is taken."""
    family, kind, protocol, _name, address = socket.getaddrinfo(
        bind.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


@dataclass(frozen=True)
class Web:
    """How the web is served: ``count`` processes on one socket, or one that opens the port itself (``listener`` None).

    ``metrics`` is the folder where several keep their counters, to be added up when somebody asks for them.
    """

    bind: str
    port: int
    count: int = 1
    listener: socket.socket | None = None
    metrics: Path | None = None

    @property
    def inherits(self) -> tuple[int, ...]:
        return (self.listener.fileno(),) if self.listener is not None else ()

    def command(self) -> list[str]:
        """Return the arguments of Python that start one web process."""
        where = ["-b", self.bind, "-p", str(self.port)]
        if self.listener is not None:
            domain = "INET6" if self.listener.family == socket.AF_INET6 else "INET"
            where = ["-e", f"systemd:domain={domain}:index=0"]
        return ["-m", "daphne", *where, "--application-close-timeout", "3", "quant_platform.asgi:application"]

    def environments(self) -> list[dict[str, str]]:
        """Return what each process finds in its environment beside what all services do."""
        common = {LISTEN_VARIABLE: str(self.listener.fileno())} if self.listener is not None else {}
        if self.count > 1 and self.metrics is not None:
            common[METRICS_VARIABLE] = str(self.metrics)
        return [{**common, SLOT_VARIABLE: str(slot)} for slot in range(1, self.count + 1)]


def adopt_listener() -> None:
    """Put an inherited socket where systemd would, for the program that replaces this one."""
    descriptor = os.environ.pop(LISTEN_VARIABLE, "")
    if descriptor:
        os.dup2(int(descriptor), FIRST_DESCRIPTOR)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
