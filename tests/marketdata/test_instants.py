"""Days far away: nobody's 9999-12-31 may come out as a day of 1816."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pytest

from apps.marketdata.engine.features.explore import span
from apps.marketdata.engine.instants import EARLIEST, LATEST, instant
from apps.marketdata.historical import parse_moment
from apps.ui.engine.refusal import Refusal
from tests.marketdata.conftest import bars


@pytest.mark.parametrize("moment", ["2024-01-02", date(2024, 1, 2), datetime(2024, 1, 2), np.datetime64("2024-01-02")])
def test_a_day_is_its_midnight_in_nanoseconds(moment):
    found = instant(moment)
    assert (found, found.dtype) == (np.datetime64("2024-01-02T00:00"), np.dtype("datetime64[ns]"))


def test_what_nanoseconds_cannot_count_is_the_first_or_last_that_they_can():
    assert (instant("0001-01-01"), instant(date(9999, 12, 31))) == (EARLIEST, LATEST)


def test_a_moment_in_nanoseconds_keeps_each_of_them():
    moment = np.datetime64("2024-01-02T03:04:05.123456789", "ns")
    assert instant(moment) == moment


def test_without_end_is_to_the_last_bar_and_after_all_of_them_is_none():
    panel = bars([1.0, 2.0, 3.0])
    always, never = date(9999, 12, 31), date(1, 1, 1)
    assert panel.select(start=never, end=always).close.tolist() == panel.close.tolist()
    assert panel.select(start=always).close.shape == (1, 0)
    assert span(panel, never, always) == slice(0, 3)
    with pytest.raises(Refusal, match="no bar between"):
        span(panel, always, None)


def test_a_query_may_end_in_the_year_9999():
    assert parse_moment("9999-12-31", "end", last=True) == LATEST
    assert parse_moment("0001-01-01", "start") == EARLIEST
