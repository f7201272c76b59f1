"""When to try again, and after how long."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ClientError, Problem, Unreachable

#: Answers that say "not now": nothing is wrong with the request.
PASSING = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Retry:
    """``tries`` more attempts, ``base``·2ⁿ seconds apart; a longer ``Retry-After`` is obeyed up to ``most_wait``."""

    tries: int = 3
    base: float = 0.3
    most_wait: float = 61.0

    def wait(self, attempt: int, error: ClientError) -> float | None:
        """Return the seconds to wait after failed attempt number ``attempt`` (from 0); None gives up."""
        passing = isinstance(error, Unreachable) or (isinstance(error, Problem) and error.status in PASSING)
        if attempt >= self.tries or not passing:
            return None
        pause: float = self.base * 2**attempt
        asked = error.retry_after if isinstance(error, Problem) else None
        if asked is None:
            return pause
        return None if asked > self.most_wait else max(pause, asked)


@dataclass(frozen=True)
class BackOff:
    """Pauses of a live connection: from ``first`` to ``most`` seconds, doubled, with jitter; it never gives up."""

    first: float = 1.0
    most: float = 30.0

    def wait(self, failures: int, chance: float) -> float:
        """Return the pause after ``failures`` in a row (from 1); ``chance`` in [0, 1) spreads it by half."""
        whole = min(self.most, self.first * 2 ** min(failures - 1, 30))
        return whole * (0.5 + 0.5 * chance)
