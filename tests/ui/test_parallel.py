"""Parallel coordinates: where a value stands, what is said, and what fits."""

from __future__ import annotations

import re

from apps.ui.engine.charts import Dimension, parallel_chart
from apps.ui.engine.charts.svg import text_width


def ys(svg: str, line: int) -> list[float]:
    part = svg.split(f'<g data-line="{line}">')[1].split("</g>", maxsplit=1)[0]
    return [float(y) for y in re.findall(r'cy="([\d.]+)"', part)]


def test_the_highest_number_stands_at_the_top_and_equal_ones_in_the_middle():
    chart = parallel_chart([Dimension("a", [1.0, 3.0, 2.0]), Dimension("b", [5.0, 5.0, 5.0])], "xyz", label="x")
    svg = chart.svg(824)
    (low, mid), (high, _), (half, _) = (ys(svg, line) for line in range(3))
    assert high < half < low
    assert half == mid == (low + high) / 2


def test_words_stand_apart_and_one_word_makes_all_of_them_words():
    words = Dimension("optimiser", ["adam", "sgd", "adam"])
    assert words.places() == {"adam": 0.25, "sgd": 0.75}
    mixed = Dimension("limit", [3.0, "none", None])
    assert not mixed.numeric
    assert set(mixed.places()) == {"3", "none"}


def test_an_absent_value_breaks_the_line_and_is_said_as_a_dash():
    dimensions = [Dimension(name, [1.0, 2.0]) for name in "ab"] + [Dimension("c", [None, 1.0])]
    dimensions += [Dimension(name, [0.5, 1.0], percent=True) for name in "de"]
    svg = parallel_chart(dimensions, ["7", "8"], label="x").svg(824)
    first = svg.split('<g data-line="0">')[1].split("</g>")[0]
    assert first.count("<path") == 2
    assert "<title>7: a 1, b 1, c –, d 50%, e 50%</title>" in first


def test_what_does_not_fit_a_phone_is_left_out_of_the_middle():
    dimensions = [Dimension(f"q{number}", [0.0, 1.0]) for number in range(12)]
    svg = parallel_chart(dimensions, ["a", "b"], label="x").svg(358)
    shown = [f"q{number}" for number in range(12) if f">q{number}<" in svg]
    assert shown[-2:] == ["q10", "q11"]
    assert 3 < len(shown) < 7


def test_what_people_wrote_is_escaped():
    svg = parallel_chart([Dimension("<b>", ["<i>", "x"]), Dimension("c", [1.0, 2.0])], ["&", "b"], label="x").svg(824)
    assert "<b>" not in svg
    assert "<i>" not in svg
    assert "&amp;: &lt;b&gt; &lt;i&gt;, c 1" in svg


def test_words_at_neighbouring_axes_never_run_into_each_other():
    names = ["Learning rate", "Learning rate over time", "Orders above the market's maximum", "学习率随时间的变化方式"]
    dimensions = [Dimension(name, ["a very long value of it", "another value"]) for name in names * 3]
    svg = parallel_chart(dimensions, ["a", "b"], label="x").svg(824)
    written = re.findall(r'<text class="(?:lb|tk)" x="([\d.]+)"[^>]*>([^<]+)</text>', svg)
    xs = sorted({float(x) for x, _ in written})
    room = xs[1] - xs[0]
    assert all(text_width(words) < room for _, words in written)
    assert ">Learning<" in svg, "a title of several words stands on two lines"
    assert ">rate<" in svg
