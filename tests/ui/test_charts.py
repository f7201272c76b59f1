"""Charts: the same bytes for the same input, nothing unescaped, every colour a class."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ui.engine.charts import (
    PHONE,
    Band,
    Bar,
    Event,
    Marker,
    Series,
    Shade,
    bar_chart,
    candles,
    distribution,
    dot_line,
    drawdown_chart,
    heat_class,
    heat_table,
    line_chart,
    lttb,
    sparkline,
)
from apps.ui.engine.charts.candles import merge
from apps.ui.engine.charts.scale import log_ticks, nice_ticks, time_ticks, value_axis, x_number, x_numbers
from apps.ui.engine.charts.svg import c, polyline, spread, wrap

DAYS = [date(2011, 1, 3) + timedelta(days=i) for i in range(500)]
RISING = [100 + i * 0.3 + 5 * math.sin(i / 9) for i in range(500)]
ALLOWED = re.compile(r"style=|fill=\"#|stroke=\"#|<script|\son\w+=|var\(")


def full_chart():
    return line_chart(
        [
            Series("Own", DAYS, RISING, short="O"),
            Series("Hold", DAYS, [v - 3 for v in RISING], "bench"),
            Series("", DAYS, [v + 1 for v in RISING], "thread"),
        ],
        label='A "finding" <b>',
        base=100,
        bands=[Band(DAYS, [v - 5 for v in RISING], [v + 5 for v in RISING])],
        markers=[
            Marker(DAYS[9], RISING[9], "buy", "Buy <1>"),
            Marker(DAYS[40], RISING[40], "sell"),
            Marker(DAYS[60], RISING[60], "dot", "spike"),
            Marker(DAYS[1], RISING[1], "dot", "a long remark at the very start"),
        ],
        shades=[Shade(DAYS[100], DAYS[150], "one trade", "in spring")],
        events=[Event(DAYS[200], "split", "2 for 1"), Event(DAYS[499], "an event at the right edge of it all")],
        now=DAYS[499],
        now_text="now",
        x_end=DAYS[499] + timedelta(days=90),
    )


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("width", [824, 396, PHONE])
def test_a_chart_is_well_formed_coloured_by_classes_and_the_same_every_time(width, language):
    drawn = full_chart().svg(width, language)
    root = ElementTree.fromstring(drawn)
    assert root.get("width") == str(width)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'A "finding" <b>'
    assert not ALLOWED.search(drawn)
    assert drawn == full_chart().svg(width, language)


def test_a_chart_gives_a_desktop_and_a_phone_drawing_at_true_width():
    html = full_chart().html()
    assert re.findall(r'<div class="(only-.)"><svg width="(\d+)"', html) == [("only-d", "824"), ("only-p", "358")]


def test_the_phone_uses_the_short_name():
    assert ">O<" in full_chart().svg(PHONE)
    assert ">Own<" in full_chart().svg(824)


def test_labels_at_the_ends_do_not_meet():
    series = [Series(f"s{i}", DAYS, [v + i * 0.01 for v in RISING], "own" if not i else "bench") for i in range(3)]
    root = ElementTree.fromstring(line_chart(series, label="x").svg(824))
    ys = sorted(float(t.get("y")) for t in root.iter("text") if t.get("class") in {"l1", "l2"})
    assert len(ys) == 6
    assert min(b - a for a, b in pairwise(ys)) >= 12.9


@pytest.mark.parametrize("name", ["Equal parts, held", "等份买入并持有全部标的"])
def test_a_long_name_is_broken_into_the_margin_and_does_not_lie_over_its_line(name):
    chart = line_chart([Series("Own", DAYS, RISING, "own"), Series(name, DAYS, RISING, "bench")], label="x")
    root = ElementTree.fromstring(chart.svg(PHONE))
    labels = [t for t in root.iter("text") if t.get("class") in {"l1", "l2"}]
    assert {t.get("text-anchor") for t in labels} == {"start"}
    assert min(float(t.get("x")) for t in labels) > PHONE - 64
    assert "".join(t.text for t in labels if t.get("class") == "l2").startswith(name.replace(" ", "")[:5])
    ys = sorted(float(t.get("y")) for t in labels)
    assert min(b - a for a, b in pairwise(ys)) >= 12.9


def test_words_break_at_blanks_and_between_chinese_characters_only():
    assert wrap("Equal parts, held", 60) == ["Equal", "parts, held"]
    assert wrap("沪深300指数", 40) == ["沪深300", "指数"]
    assert wrap("Unbreakable", 10) == ["Unbreakable"]
    assert wrap("", 10) == [""]


def test_a_missing_value_breaks_the_line_and_never_becomes_zero():
    drawn = line_chart([Series("a", [0, 1, 2, 3, 4], [5, 6, None, math.nan, 7.0])], label="x").svg(824)
    assert drawn.count('class="ln s1"') == 1
    assert drawn.count('class="d-s1"') == 1
    assert "nan" not in drawn


@pytest.mark.parametrize("values", [[], [None], [math.nan], [3.0], [3.0, 3.0, 3.0]])
def test_nothing_one_value_or_a_flat_line_still_makes_a_chart(values):
    xs = list(range(len(values)))
    for drawn in (line_chart([Series("a", xs, values)], label="x").svg(824), sparkline(values)):
        ElementTree.fromstring(drawn)
        assert "nan" not in drawn


def test_a_log_chart_leaves_out_what_has_no_logarithm():
    drawn = line_chart([Series("loss", [0, 1, 2, 3], [1.0, 0.0, -1.0, 0.01])], label="x", log=True).svg(824)
    assert ">0.1<" in drawn
    assert drawn.count('class="d-s1"') == 2


def test_a_long_line_is_thinned_to_the_width():
    xs = list(range(100_000))
    drawn = line_chart([Series("a", xs, [math.sin(x / 500) for x in xs])], label="x").svg(824)
    assert len(drawn) < 14_000


def test_drawdown_is_filled_from_zero():
    drawn = drawdown_chart([Series("a", DAYS, [-0.1 * abs(math.sin(i / 30)) for i in range(500)])], label="x").svg(824)
    assert 'class="bd"' in drawn
    assert ">0%<" in drawn
    assert "−" in drawn


def bars(count):
    return [
        Bar(d, v, v + 2, v - 2, v + (1 if i % 3 else -1), 1000 + i)
        for i, (d, v) in enumerate(zip(DAYS, RISING, strict=True))
    ][:count]


def test_candles_are_hollow_up_and_filled_down_with_events_and_volume():
    events = [Event(DAYS[30], "split <2:1>", "note"), Event(DAYS[89], "words at the edge of it")]
    chart = candles(bars(90), label="x", events=events,
                    price_text="Price, USD", volume_text="Volume")  # fmt: skip
    drawn = chart.svg(824)
    ElementTree.fromstring(drawn)
    assert (drawn.count('class="ku"'), drawn.count('class="kd"'), drawn.count('class="vol"')) == (60, 30, 90)
    assert "split &lt;2:1&gt;" in drawn
    assert "Price, USD" in drawn
    assert "Price, USD" not in chart.svg(PHONE)


def test_bars_that_do_not_fit_are_joined_and_broken_ones_left_out():
    joined = merge(bars(10), 4)
    assert [len(joined), joined[0].high, joined[0].volume] == [4, max(b.high for b in bars(3)), 3003]
    broken = [*bars(3), Bar(DAYS[3], math.nan, 1, 1, 1)]
    assert candles(broken, label="x").svg(824).count('class="k') == 3
    assert candles([], label="x").svg(824).startswith("<svg")
    assert "vol" not in candles([Bar(DAYS[0], 1, 1, 1, 1)], label="x").svg(824)


def test_bars_from_zero_and_distributions():
    drawn = bar_chart(["up", "down", "none"], [0.5, -0.2, None], label="x", text=lambda v: f"{v}").svg(352)
    assert (drawn.count("m-buy"), drawn.count("m-sell")) == (1, 1)
    spread_of = distribution([math.sin(i) for i in range(200)], label="x", mark=0.9, mark_text="here")
    assert ">here<" in spread_of.svg(352)
    assert distribution([math.nan], label="x").svg(352).count("vol") == 0


def test_a_result_beside_its_baseline():
    assert 'class="ln su"' in dot_line(0.5, 0.3, -0.1, 0.6)
    assert 'class="ln sdn"' in dot_line(0.1, 0.3, -0.1, 0.6)
    assert "ln " not in dot_line(0.1, None, 0.0, 0.0)
    assert "<circle" not in dot_line(None, 0.2, 0.0, 0.2)


def test_heat_cells_have_five_steps_a_side():
    assert [heat_class(v, 10) for v in (0.1, 2, 2.1, 10, 99, -0.1, -10)] == [
        "hu1",
        "hu1",
        "hu2",
        "hu5",
        "hu5",
        "hd1",
        "hd5",
    ]
    assert [heat_class(v, s) for v, s in ((None, 1), (math.nan, 1), (0, 1), (1, 0))] == [""] * 4


def test_a_heat_table_turns_for_the_phone_and_keeps_empty_months_empty():
    table = heat_table(
        ["Jan", "Feb"],
        {"2011": [4.1, None], "2012": [-2.0, 1.0]},
        totals={"2011": 4.1, "2012": -1.0},
        total_head="Year",
    )
    assert table.columns == ("Jan", "Feb", "Year")
    assert [c.text for c in table.rows[0][1]] == ["+4.1", "·", "+4.1"]
    assert [c.css for c in table.rows[1][1]] == ["hd3", "hu2", "down"]
    (turned,) = table.turned()
    assert turned.columns == ("2011", "2012")
    assert [c.text for c in turned.rows[0][1]] == ["+4.1", "−2.0"]


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_round_few_and_inside(low, width):
    ticks = nice_ticks(low, low + width, 5)
    slack = max(abs(low), width) * 1e-6
    assert 1 <= len(ticks) <= 7
    assert all(low - slack <= t <= low + width + slack for t in ticks)


def test_log_ticks_thin_out():
    assert log_ticks(0.02, 2) == pytest.approx([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2])
    assert log_ticks(0.001, 1000) == pytest.approx([0.001, 0.01, 0.1, 1, 10, 100, 1000])
    assert len(log_ticks(1e-12, 1e12)) <= 7


@pytest.mark.parametrize(
    ("days", "language", "first"),
    [
        (0.02, "en", "00:05"),
        (2, "en", "3 Jan"),
        (20, "zh-hans", "1-06"),
        (700, "en", "Jul 2011"),
        (700, "zh-hans", "2011-07"),
        (9000, "en", "2015"),
    ],
)
def test_time_ticks_follow_the_calendar_and_the_language(days, language, first):
    low = x_number(date(2011, 1, 3))
    ticks = time_ticks(low, low + days * 86_400, 6, language)
    assert 2 <= len(ticks) <= 8
    assert any(first == words for _, words in ticks)


def test_moments_without_a_zone_are_utc():
    assert x_number(datetime(2011, 1, 3)) == x_number(datetime(2011, 1, 3, tzinfo=UTC)) == x_number(date(2011, 1, 3))


def test_down_sampling_keeps_ends_and_peaks():
    ys = [0.0] * 1_000_000
    ys[123_456] = 9.0
    keep = lttb(range(1_000_000), ys, 2_000)
    assert len(keep) == 2_000
    assert {0, 123_456, 999_999} <= set(keep.tolist())
    assert lttb([1, 2], [1, 2]).tolist() == [0, 1]
    assert lttb(range(10), range(10), 2).tolist() == [0, 9]


def test_labels_are_pushed_back_into_the_plot():
    assert spread([10, 10, 10], 5, 0, 100) == [10, 15, 20]
    assert spread([99, 99], 5, 0, 100) == [95, 100]


def test_the_base_is_always_in_sight():
    axis = value_axis([5.0, 6.0], 100, 0, log=False, include=0.0)
    assert axis.low == 0.0


def test_many_years_come_in_pieces_of_a_phones_width():
    pieces = heat_table(["Jan", "Feb"], {str(year): [1.0, 2.0] for year in range(2000, 2013)}).turned()
    assert [len(piece.columns) for piece in pieces] == [6, 6, 1]
    assert all(len(cells) == len(piece.columns) for piece in pieces for _, cells in piece.rows)


def test_ten_years_have_more_than_one_tick_even_where_there_is_little_room():
    low = x_number(date(2005, 1, 3))
    assert len(time_ticks(low, low + 98 * 30.44 * 86_400, 3, "en")) >= 2


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_a_line_is_written_as_its_coordinates_are(points):
    assert polyline(points) == "M" + "L".join(f"{c(x)} {c(y)}" for x, y in points)


@given(st.lists(st.dates(date(1900, 1, 1)), max_size=20), st.booleans())
def test_days_become_numbers_together_as_they_do_alone(days, mixed):
    xs = [*days, datetime(2020, 1, 2, 3, tzinfo=UTC), 5.0] if mixed else days
    assert x_numbers(xs) == [x_number(x) for x in xs]


def test_values_and_places_must_be_as_many():
    with pytest.raises(ValueError, match="'short'"):
        line_chart([Series("short", [1, 2, 3], [1.0])], label="x").html()


def test_a_heat_table_names_its_axes_and_frames_the_marked_cell():
    table = heat_table(["2", "3"], {"9": [1.0, None], "12": [-1.0, 0.5]}, axes=("Fast", "Slow"), marked=(1, 1))
    assert table.axes == ("Fast", "Slow")
    assert [cell.css for _, cells in table.rows for cell in cells] == ["hu5", "", "hd5", "hu3 own"]
    (turned,) = table.turned()
    assert turned.axes == ("Slow", "Fast")
    assert turned.rows[1][1][1].css == "hu3 own"
    assert heat_table(["Jan"], {"2011": [1.0]}).turned()[0].axes is None
