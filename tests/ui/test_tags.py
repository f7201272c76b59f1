"""Filters and tags: numbers, dates and states as people read them, in both languages."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.paginator import Paginator
from django.template import Context, Template
from django.utils import timezone, translation

from apps.ui.engine import icons, numbers
from apps.ui.engine.charts import Series, heat_table, line_chart
from apps.ui.templatetags import ui


def render(source, request=None, **context):
    return Template("{% load i18n ui %}" + source).render(Context({"request": request, **context}))


@pytest.mark.parametrize(
    ("source", "value", "text"),
    [
        ("{{ v|num:1 }}", -1234.56, "−1,234.6"),
        ("{{ v|num }}", "12", "12"),
        ("{{ v|num:2 }}", None, "–"),
        ("{{ v|num }}", "many", "–"),
        ("{{ v|num }}", math.nan, "–"),
        ("{{ v|num:1 }}", -0.04, "0.0"),
        ("{{ v|signed }}", 731, "+731"),
        ("{{ v|signed:1 }}", 0.01, "0.0"),
        ("{{ v|pct }}", 0.123, "12.3%"),
        ("{{ v|pct }}", math.inf, "–"),
        ("{{ v|signed_pct }}", -0.067, "−6.7%"),
        ("{{ v|points }}", 0.222, "+22.2 pp"),
        ("{{ v|points }}", None, "–"),
        ('{{ v|money:"USD" }}', 1014810.4, "USD 1,014,810"),
        ('{{ v|money:"USD" }}', 37.241, "USD 37.24"),
        ('{{ v|money:"USD" }}', None, "–"),
        ("{{ v|figure }}", 0.000095, "9.5e−5"),
        ("{{ v|figure }}", 64.0, "64"),
        ("{{ v|figure }}", None, "–"),
        ("{{ v|figure }}", 123456.789, "123,456.79"),
        ("{{ v|size }}", 1_800_000, "1.8 MB"),
        ("{{ v|size }}", 12, "12 B"),
        ("{{ v|size }}", None, "–"),
        ("{{ v|direction }}", -0.1, "down"),
        ("{{ v|direction }}", 3, "up"),
        ("{{ v|direction }}", None, ""),
        ("{{ v|percent_int }}", 1.7, "100"),
        ("{{ v|percent_int }}", None, "0"),
        ("{{ v|drop }}", 0.23, "−23.0%"),
        ("{{ v|drop }}", None, "–"),
        ("{{ v|duration }}", 1122, "18:42"),
        ("{{ v|duration }}", timedelta(hours=1, minutes=2, seconds=3), "1:02:03"),
        ("{{ v|duration }}", None, "–"),
        ("{{ v|span }}", 42, "42 s"),
        ("{{ v|span }}", 671, "11 min"),
        ("{{ v|span }}", 13_320, "3 h 42 min"),
        ("{{ v|span }}", 7200, "2 h"),
        ("{{ v|span }}", timedelta(days=5013), "13 y"),
        ("{{ v|span }}", timedelta(days=700), "700 d"),
        ("{{ v|span }}", None, "–"),
        ("{{ v|day }}", date(2011, 1, 3), "3 Jan 2011"),
        ("{{ v|day }}", None, "–"),
        ("{{ v|bar_day }}", datetime(2011, 1, 3, tzinfo=UTC), "3 Jan 2011"),
        ("{{ v|bar_day }}", None, "–"),
        ("{{ v|moment }}", datetime(2011, 1, 3, 15, 42, tzinfo=UTC), "3 Jan 2011, 15:42"),
        ("{{ v|moment }}", None, "–"),
        ("{{ v|zone_name }}", datetime(2011, 1, 3, tzinfo=UTC), "UTC"),
        ("{{ v|zone_name }}", None, ""),
        ("{{ v|ago }}", None, "–"),
        ("{{ v|heat:10 }}", -7, "hd4"),
    ],
)
def test_filters(source, value, text):
    assert render(source, v=value) == text


def test_days_are_written_as_their_readers_do():
    with translation.override("zh-hans"):
        assert ui.day(date(2011, 1, 3)) == "2011-01-03"


def test_a_moment_is_in_the_readers_time_zone_but_a_bars_day_never_moves():
    midnight = datetime(2011, 1, 3, tzinfo=UTC)
    with timezone.override("America/New_York"):
        assert ui.day(midnight) == "2 Jan 2011"
        assert ui.bar_day(midnight) == "3 Jan 2011"
        assert ui.moment(midnight) == "2 Jan 2011, 19:00"


def test_how_long_ago():
    assert ui.ago(timezone.now()) == "just now"
    assert ui.ago(timezone.now() - timedelta(seconds=9)) == "9 s ago"


@pytest.mark.parametrize("status", icons.STATES)
def test_every_state_has_a_shape_and_a_word(status):
    drawn = render("{% state s %}", s=status)
    look = icons.STATES[status]
    assert f'class="st {look.shape}"' in drawn
    assert drawn.endswith(f"{look.word}</span>")
    assert render("{{ s|state_word }}", s=status) == look.word


def test_every_state_of_the_models_is_drawn():
    from apps.marketdata.models import Severity, Verdict
    from apps.sessions.models import Status
    from apps.strategies.models import Stage

    for choices in (Status, Verdict, Severity, Stage):
        assert set(choices.values) <= set(icons.STATES)


def test_an_unknown_state_and_a_label_are_shown_as_text():
    assert "&lt;odd&gt;" in render("{% state s %}", s="<odd>")
    assert render("{{ s|state_word }}", s="odd") == "odd"
    assert "62% &lt;b&gt;" in render('{% state "running" label %}', label="62% <b>")


@pytest.mark.parametrize("name", icons.ICONS)
def test_icons_are_hidden_from_screen_readers(name):
    assert 'aria-hidden="true"' in render("{% icon n %}", n=name)


def test_a_shape_is_drawn_by_state_or_by_name():
    assert render('{% shape "completed" %}') == render('{% shape "pass" %}')
    with pytest.raises(KeyError):
        render('{% shape "nothing" %}')


def test_pagination_keeps_the_rest_of_the_address(rf):
    page = Paginator(range(60), 25).page(2)
    drawn = render("{% pagination page %}", rf.get("/x/", {"q": "a&b", "page": "2"}), page=page)
    assert 'href="?q=a%26b&amp;page=1"' in drawn
    assert 'href="?q=a%26b&amp;page=3"' in drawn
    assert "60 rows" in drawn
    assert "page 2 of 3" in drawn


def test_two_tables_on_a_page_have_pages_of_different_names(rf):
    page = Paginator(range(60), 25).page(1)
    assert 'aria-label="Pages, Trades"' in render('{% pagination page "trades" "Trades" %}', rf.get("/"), page=page)


def test_one_page_has_no_links(rf):
    drawn = render("{% pagination page %}", rf.get("/"), page=Paginator([1], 25).page(1))
    assert "href" not in drawn
    assert "1 row" in drawn


@pytest.mark.parametrize(
    ("now", "target", "aria"),
    [
        ("", "created", ""),
        ("created", "-created", "ascending"),
        ("-created", "created", "descending"),
        ("x", "created", ""),
    ],
)
def test_a_column_head_turns_the_order_and_starts_at_page_one(rf, now, target, aria):
    request = rf.get("/", {"sort": now, "page": "3", "q": "x"})
    drawn = render('{% sort_header "created" label "l" %}', request, label="Cre<ated")
    assert f"sort={target}" in drawn
    assert "page=" not in drawn
    assert "q=x" in drawn
    assert "Cre&lt;ated" in drawn
    assert (f'aria-sort="{aria}"' in drawn) == bool(aria)


def test_tags_work_without_a_request():
    assert 'href="?sort=a"' in render('{% sort_header "a" "A" %}')


def test_a_chart_and_a_heat_table_in_a_template():
    chart = line_chart([Series("a", [0, 1], [1.0, 2.0])], label="finding")
    assert render("{% chart_svg c %}", c=chart) == chart.html("en")
    table = heat_table(["Jan"], {"2011": [1.0]}, corner="Year")
    drawn = render("{% heat_table t %}", t=table)
    assert drawn.count("<table") == 2
    assert 'class="hu5">+1.0<' in drawn


def test_numbers_of_every_size():
    assert numbers.size(2.5e12) == "2.5 TB"
    assert numbers.size(3e9) == "3.0 GB"
    assert numbers.size(4_000) == "4.0 kB"
    assert numbers.clock(-5) == "0:00"
    assert numbers.defined(0.0)
    assert not numbers.defined(None)
