"""Moments as the panel's times count them: in nanoseconds, which reach from 1677 to 2262 and wrap around beyond."""

from __future__ import annotations

from datetime import date

import numpy as np

EARLIEST = np.datetime64("1678-01-01", "us")
LATEST = np.datetime64("2261-12-31", "us")


def instant(moment: date | np.datetime64 | str) -> np.datetime64:
    """Return a day, or a moment in UTC without its zone, as datetime64[ns].

    People write 9999-12-31 for "without end": what nanoseconds cannot count becomes the first or
    last moment that they can. Raises ``ValueError`` for text that is no ISO date.
    """
    if isinstance(moment, np.datetime64) and moment.dtype == np.dtype("datetime64[ns]"):
        return moment
    exact = np.datetime64(moment, "us")  # type: ignore[call-overload]
    within: np.datetime64 = min(max(exact, EARLIEST), LATEST).astype("datetime64[ns]")
    return within
