"""Since when the processors are busy: one wild second is no verdict."""

from __future__ import annotations

from collections import deque

#: Samples whose mean counts, about one a second.
SAMPLES = 10


class Load:
    """Fed the busy share of all cores (0 to 1); says since when its mean is above ``threshold``."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.since: float | None = None
        self._recent: deque[float] = deque(maxlen=SAMPLES)

    def feed(self, share: float, now: float) -> float | None:
        """Return the time ``since`` which the processors are busy, on the clock of ``now``; None while they are not."""
        self._recent.append(share)
        mean = sum(self._recent) / len(self._recent)
        if len(self._recent) < SAMPLES or mean <= self.threshold:
            self.since = None
        elif self.since is None:
            self.since = now
        return self.since
