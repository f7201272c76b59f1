"""Between the panel's numpy times and Django's aware datetimes (UTC)."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from apps.marketdata.engine.instants import instant


def as_datetime(time: np.datetime64) -> datetime:
    """Return ``time`` (UTC) as an aware datetime, to the microsecond."""
    seconds: datetime = time.astype("datetime64[us]").astype(object)
    return seconds.replace(tzinfo=UTC)


def as_datetime64(time: datetime) -> np.datetime64:
    """Return an aware datetime as datetime64[ns] in UTC; one beyond those counts as the last they can tell."""
    return instant(time.astimezone(UTC).replace(tzinfo=None))
