"""A hint that the live log grew. It may be lost; whoever waits also polls.

PostgreSQL has ``NOTIFY``; with SQLite everybody shares a machine, so a datagram to each
waiting process does: a unix socket, or UDP on the loopback where Python has none (Windows).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

logger = logging.getLogger(__name__)
CHANNEL = "quant_log"
HAS_UNIX = hasattr(socket, "AF_UNIX") and os.name != "nt"


def folder() -> Path:
    path = Path(settings.VAR_DIR) / "wakeup"
    path.mkdir(parents=True, exist_ok=True)
    return path


def poke() -> None:
    """Wake every process that waits. Never raises: a lost hint costs one poll."""
    if connection.vendor == "postgresql":
        with contextlib.suppress(Exception), connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")
        return
    for address in folder().iterdir():
        _send(address)


def _send(address: Path) -> None:
    family = socket.AF_UNIX if HAS_UNIX else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            sender.sendto(b"1", str(address) if HAS_UNIX else ("127.0.0.1", int(address.name)))
        except (ConnectionRefusedError, FileNotFoundError):
            # Its owner died without tidying up.
            address.unlink(missing_ok=True)


class Waiter:
    """Waits for pokes on the running event loop; ``close`` it when done."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._socket: socket.socket | None = None
        self._address: Path | None = None
        self._listener: asyncio.Task[None] | None = None

    async def open(self) -> Waiter:
        if connection.vendor == "postgresql":
            self._listener = asyncio.create_task(self._listen())
            return self
        try:
            self._bind()
        except OSError as error:  # such as a folder whose name is longer than a socket's may be
            logger.warning(
                "No hints of a growing log (%s); it is looked at every %d ms.", error, settings.QP_TAIL_POLL_MS
            )
            return self
        asyncio.get_running_loop().add_reader(self._socket, self._drain)  # type: ignore[arg-type]
        return self

    async def wait(self, timeout: float) -> bool:
        """Return true on a poke, false after ``timeout`` seconds without one."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout)
        except TimeoutError:
            return False
        self._event.clear()
        return True

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._listener
        if self._socket is not None:
            if self._address is not None:
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        if self._address is not None:
            self._address.unlink(missing_ok=True)

    def _bind(self) -> None:
        family = socket.AF_UNIX if HAS_UNIX else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        if HAS_UNIX:
            address = folder() / f"{os.getpid()}-{id(self):x}"
            self._socket.bind(str(address))
            self._address = address
        else:
            self._socket.bind(("127.0.0.1", 0))
            self._address = folder() / str(self._socket.getsockname()[1])
            self._address.touch()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._socket is not None and self._socket.recv(64):
                self._event.set()

    async def _listen(self) -> None:
        """Listen on a connection of its own; a lost one is opened again, polling covers the gap."""
        import psycopg

        while True:
            try:
                async with await psycopg.AsyncConnection.connect(**_parameters(), autocommit=True) as listening:
                    await listening.execute(f"LISTEN {CHANNEL}")
                    async for _ in listening.notifies():
                        self._event.set()
            except psycopg.OperationalError:
                await asyncio.sleep(1.0)


def _parameters() -> dict[str, Any]:
    config = connection.settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return {name: config[key] for name, key in names.items() if config.get(key)}
