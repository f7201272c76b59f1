"""Times: the ways vendors write them, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from apps.marketdata.engine.readers.clock import Where, bar_times, is_daily, parse_times
from apps.ui.engine.refusal import Refusal


def where(count):
    return Where("a.csv", "Date", np.arange(count) + 2)


def walls(*texts, **options):
    return [str(time)[:23] for time in parse_times(pd.Series(texts, dtype=str), where(len(texts)), **options).wall]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-28", "2024-03-28T00:00:00.000"),
        ("2024/3/8", "2024-03-08T00:00:00.000"),
        ("2024.03.08", "2024-03-08T00:00:00.000"),
        ("2024年3月8日", "2024-03-08T00:00:00.000"),
        ("20240328", "2024-03-28T00:00:00.000"),
        ("20240328.0", "2024-03-28T00:00:00.000"),
        ("20110103 090100", "2011-01-03T09:01:00.000"),
        ("19980102 00:00", "1998-01-02T00:00:00.000"),
        ("202403281459", "2024-03-28T14:59:00.000"),
        ("20240328145930", "2024-03-28T14:59:30.000"),
        ("20200102093500000", "2020-01-02T09:35:00.000"),
        ("01.01.2017 22:00:00.000", "2017-01-01T22:00:00.000"),
        ("12/31/1999", "1999-12-31T00:00:00.000"),
        ("31/12/1999", "1999-12-31T00:00:00.000"),
        ("12/31/1999 4:05 PM", "1999-12-31T16:05:00.000"),
        ("12/31/1999 12:05 am", "1999-12-31T00:05:00.000"),
        ("Jan 1 2000", "2000-01-01T00:00:00.000"),
        ("January 15, 2000", "2000-01-15T00:00:00.000"),
        ("15-Jan-2000", "2000-01-15T00:00:00.000"),
        ("2015-09-23T20:57:42.146", "2015-09-23T20:57:42.146"),
        ("2015-09-23 20:57:42,5", "2015-09-23T20:57:42.500"),
        ("1504908000", "2017-09-08T22:00:00.000"),
        ("1504908000000", "2017-09-08T22:00:00.000"),
        ("1504908000000000", "2017-09-08T22:00:00.000"),
        ("1504908000000000000", "2017-09-08T22:00:00.000"),
    ],
)
def test_known_ways_to_write_a_time(text, expected):
    assert walls(text) == [expected]


def test_one_day_above_twelve_decides_the_order_of_all():
    assert walls("3/4/2024", "3/14/2024") == ["2024-03-04T00:00:00.000", "2024-03-14T00:00:00.000"]
    assert walls("3/4/2024", "14/4/2024") == ["2024-04-03T00:00:00.000", "2024-04-14T00:00:00.000"]


def test_an_undecidable_order_is_refused_and_can_be_said():
    with pytest.raises(Refusal) as caught:
        walls("3/4/2024", "5/6/2024")
    assert (caught.value.code, caught.value.params["line"]) == ("ambiguous_dates", 2)
    assert walls("3/4/2024", date_order="dmy") == ["2024-04-03T00:00:00.000"]
    assert walls("3/4/2024", date_order="mdy") == ["2024-03-04T00:00:00.000"]


@pytest.mark.parametrize(
    "bad",
    ["2023-02-30", "2024-13-01", "2024-01-01 24:00", "2024-01-01 10:60", "yesterday", "2024-1", "2024-01-01 13:00 PM"],
)
def test_the_odd_time_is_named_with_line_column_and_value(bad):
    with pytest.raises(Refusal) as caught:
        walls("2024-01-02", "2024-01-03", bad)
    assert caught.value.code == "bad_time"
    assert str(caught.value).startswith(f"a.csv, line 4, column Date: “{bad}” is not a time like “2024-01-02”.")


@pytest.mark.parametrize("bad", ["", "abc", "12", "0001-01-01", "9999-12-31", "99999999999999999999", "20241399"])
def test_a_first_time_of_no_known_form_is_refused(bad):
    with pytest.raises(Refusal) as caught:
        walls(bad)
    assert (caught.value.code, caught.value.params["line"]) == ("bad_time", 2)


def test_an_empty_time_is_named_with_its_line():
    with pytest.raises(Refusal) as caught:
        walls("2024-01-02", "2024-01-03", " ")
    assert caught.value.params["line"] == 4


def test_no_times_at_all_are_refused_not_a_crash():
    with pytest.raises(Refusal):
        parse_times(pd.Series([], dtype=str), where(1))


def test_repeated_times_keep_their_places():
    assert walls("2024-01-03", "2024-01-02", "2024-01-03")[::2] == ["2024-01-03T00:00:00.000"] * 2


@pytest.mark.parametrize(
    ("times", "daily"),
    [
        (["2024-01-01", "2024-01-02"], True),
        (["2024-01-01T23:59:59", "2024-01-02T23:59:59"], True),
        (["2024-01-01T09:30"], False),
        (["2024-01-01"], True),
        (["2024-01-01T09:30", "2024-01-01T09:31"], False),
    ],
)
def test_daily_means_one_clock_time_on_many_days(times, daily):
    assert is_daily(np.array(times, dtype="datetime64[ns]")) is daily


def times_of(*texts, zone="UTC"):
    parsed = parse_times(pd.Series(texts, dtype=str), where(len(texts)))
    times, daily = bar_times(parsed, where(len(texts)), time_zone=zone)
    return [str(time)[:19] for time in times], daily


def test_daily_bars_keep_their_local_date_whatever_the_offset():
    assert times_of("2024-01-01T00:00:00+08:00", "2024-01-02T00:00:00+08:00") == (
        ["2024-01-01T00:00:00", "2024-01-02T00:00:00"], True,
    )  # fmt: skip


def test_intraday_times_become_utc_by_their_offset_or_the_zone_given():
    assert times_of("2024-01-02T09:30:00+08:00", "2024-01-02 09:31:00Z")[0] == [
        "2024-01-02T01:30:00",
        "2024-01-02T09:31:00",
    ]
    local = times_of("2024-01-02 09:30", "2024-07-02 09:31", zone="America/New_York")
    assert local == (["2024-01-02T14:30:00", "2024-07-02T13:31:00"], False)


def test_an_hour_that_clocks_skip_is_refused_with_its_zone():
    with pytest.raises(Refusal) as caught:
        times_of("2024-03-10 01:30", "2024-03-10 02:30", zone="America/New_York")
    assert caught.value.params["line"] == 3
    assert "America/New_York" in str(caught.value)
