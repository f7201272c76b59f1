"""The thread of a web process that keeps its rows true and does what other processes ask of it."""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading

from django.db import DatabaseError, connection

from apps.sessions.live.presence import presence
from apps.sessions.live.registry import close_here, seats_here

logger = logging.getLogger(__name__)
#: Seconds between two looks for orders; every ``BEAT`` looks this process says that it lives.
LOOK_SECONDS, BEAT = 1.0, 2


class Keeper:
    """Runs until the process ends; a database that is away is tried again."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._looks = 0
        self._failing = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="web-keeper", daemon=True).start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Leave no row behind; a database that is away keeps it until its lease is over."""
        self._stopped.set()
        with contextlib.suppress(Exception):
            presence.end()
            connection.close()

    def _run(self) -> None:
        while True:
            self.turn()
            if self._stopped.wait(LOOK_SECONDS):
                return

    def turn(self) -> None:
        """Look once."""
        try:
            seats = seats_here()
            if self._looks % BEAT == 0:
                presence.beat(seats)
                self._failing = False
            for one in presence.look(seats):
                close_here(one)
        except DatabaseError as error:
            if not self._failing:
                logger.warning("The table of live connections cannot be kept: %s", error)
            self._failing = True
            connection.close()
        self._looks += 1
