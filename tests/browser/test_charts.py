"""Candles in a real browser: movable where the library is, the server's drawing where it or scripts are not."""

from __future__ import annotations

import gzip

import pytest
from playwright.sync_api import expect

from apps.ui import npm_finder

from .conftest import overflow

needs_library = pytest.mark.skipif(not npm_finder.available(), reason="the chart libraries are absent: npm ci")


@pytest.fixture(scope="session")
def dataset(server) -> str:
    """The address of the built-in raw daily bars."""
    number = server.manage(
        code="""
from apps.marketdata.services import load_builtin_catalogue
load_builtin_catalogue()
from apps.marketdata.models import Dataset
print(Dataset.objects.get(name="us-daily-raw").pk)
"""
    )
    return f"/data/{int(number.split()[-1])}/"


@needs_library
@pytest.mark.parametrize("phone", [False, True])
def test_candles_can_be_moved_and_say_whose_library_they_are(make_page, axe, dataset, phone):
    page = make_page(phone=phone)
    page.goto(dataset)
    figure = page.locator("[data-candles]")
    expect(figure.locator("canvas").first).to_be_visible()
    expect(figure.locator("[data-fallback]")).to_be_hidden()
    expect(figure.get_by_role("link", name="tradingview.com")).to_be_visible()
    assert overflow(page) == 0
    assert axe(page) == []
    page.emulate_media(color_scheme="dark")
    expect(figure.locator("canvas").first).to_be_visible()


@needs_library
def test_a_page_with_candles_is_light(make_page, dataset):
    page = make_page()
    sizes: list[int] = []
    page.on("response", lambda r: r.status == 200 and sizes.append(len(gzip.compress(r.body(), 6))))
    page.goto(dataset)
    page.wait_for_load_state("networkidle")
    assert sum(sizes) < 220_000


@needs_library
def test_the_drawing_stays_when_the_bars_do_not_come(make_page, dataset):
    page = make_page()
    page.expected.add(500)
    page.route("**/bars.json*", lambda route: route.fulfill(status=500, body="no"))
    page.goto(dataset)
    page.wait_for_load_state("networkidle")
    expect(page.locator("[data-candles] .only-d svg")).to_be_visible()
    expect(page.locator("[data-notice]")).to_be_hidden()


def test_without_scripts_the_candles_are_the_servers_drawing(make_page, dataset):
    page = make_page(scripts=False)
    page.goto(dataset)
    drawing = page.locator("[data-candles] .only-d svg")
    expect(drawing).to_be_visible()
    assert drawing.get_attribute("role") == "img"
    assert drawing.locator("path.kd").count() > 10
    assert page.locator("table").count() >= 2
