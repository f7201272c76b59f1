"""How much goes over the sockets of this process."""

from __future__ import annotations

import time
from collections import deque

#: Seconds over which the rate is taken.
WINDOW = 60


class Traffic:
    """Messages sent, in all and by second. The event loop counts; pages of other threads only read."""

    def __init__(self) -> None:
        self.messages = 0
        self.opened = 0
        self._started = time.monotonic()
        self._seconds: deque[tuple[int, int]] = deque(maxlen=WINDOW)

    def sent(self) -> None:
        self.messages += 1
        second = int(time.monotonic())
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + 1)
        else:
            self._seconds.append((second, 1))

    def per_second(self) -> float:
        """Return the messages a second over the last minute, or since the process started."""
        now = time.monotonic()
        recent = sum(count for second, count in tuple(self._seconds) if now - second <= WINDOW)
        return recent / max(1.0, min(float(WINDOW), now - self._started))


traffic = Traffic()
