"""Parallel coordinates in a real browser: one session is told from the others by pointer, click and keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import overflow

MAKE = """
from apps.accounts.models import User
from tests.sessions.live_fixtures import make_session, make_version, points, say
owner = User.objects.get(username="alice")
base = make_version(owner, name="Side by side")
made = []
for number in (1, 2, 3):
    changed = {"learning_rate": number / 1000, "gamma": 0.9 + number / 100, "window": 10 * number, "hidden": 16 * number,
               "batch": 32 * number, "seed": number}
    summary = {"test": {"sharpe": float(number), "total_return": number / 10, "max_drawdown": -number / 20}}
    session = make_session(owner, version=base, status="completed", config=base.config | changed, summary=summary)
    made.append(say(session, points(1, 2, 3)).pk)
print(*made)
"""


@pytest.fixture(scope="module")
def compared(server) -> list[int]:
    """The numbers of three sessions that differ in six settings and three results."""
    return [int(word) for word in server.manage(code=MAKE).split()[-3:]]


@pytest.fixture
def open_comparison(make_page, compared):
    def go(**how):
        page = make_page(**how)
        page.goto("/sessions/compare/?" + "&".join(f"s={pk}" for pk in compared))
        return page

    return go


def drawing(page):
    return page.locator("#coordinates svg:visible")


def lines(page):
    return drawing(page).locator("[data-line]")


def opacities(page) -> list[float]:
    return lines(page).evaluate_all("all => all.map(one => Number(getComputedStyle(one).opacity))")


def stands_out(page, number: int | None) -> None:
    """One line alone is at full strength; all are, where none is chosen."""
    expect(page.locator("#coordinates[data-chosen]")).to_have_count(int(number is not None))
    faint = [at for at, seen in enumerate(opacities(page)) if seen < 0.5]
    assert faint == ([] if number is None else [at for at in range(3) if at != number])


def axes(page) -> int:
    return drawing(page).locator("path.g0").count()


def test_the_line_that_is_pointed_at_stands_out_and_a_click_keeps_it(open_comparison, compared):
    page = open_comparison()
    assert axes(page) == 9
    assert lines(page).count() == 3
    stands_out(page, None)
    middle = lines(page).nth(1).locator("circle").first
    middle.hover()
    stands_out(page, 1)
    page.locator("h1").hover()
    stands_out(page, None)

    middle.click()
    page.locator("h1").hover()
    stands_out(page, 1)
    lines(page).nth(2).locator("circle").first.hover()
    stands_out(page, 2)
    page.locator("h1").hover()
    stands_out(page, 1)
    middle.click()
    page.locator("h1").hover()
    stands_out(page, None)
    assert f"{compared[1]}: " in lines(page).nth(1).locator("title").text_content()


def test_the_keyboard_chooses_a_line_by_its_key(open_comparison, axe):
    page = open_comparison()
    keys = page.locator(".head [data-line-of] a")
    keys.first.focus()
    stands_out(page, 0)
    page.keyboard.press("Tab")
    expect(keys.nth(1)).to_be_focused()
    stands_out(page, 1)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    stands_out(page, None)
    assert axe(page) == []


def test_a_narrow_window_shows_fewer_axes_and_keeps_the_choice(open_comparison):
    page = open_comparison()
    page.locator(".head .key i").first.click()
    stands_out(page, 0)
    page.set_viewport_size({"width": 390, "height": 844})
    assert 3 < axes(page) < 9
    assert overflow(page) == 0
    page.locator("h1").hover()
    stands_out(page, 0)


def test_without_scripts_the_drawing_and_the_tables_say_it_all(open_comparison, compared):
    page = open_comparison(scripts=False)
    assert axes(page) == 9
    assert opacities(page) == [1.0, 1.0, 1.0]
    for words in ("Learning rate", "Sharpe ratio"):
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=words, exact=True))
        expect(row.get_by_role("cell")).to_have_count(3)
