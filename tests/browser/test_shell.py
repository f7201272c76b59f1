"""The shell in a real browser: both languages and themes, keyboard, phone, screen readers, weight."""

from __future__ import annotations

import gzip

import pytest
from playwright.sync_api import expect

from .conftest import log_in, overflow

PAGES = [
    "/",
    "/search/?q=data",
    "/monitoring/",
    "/strategies/",
    "/strategies/gallery/",
    "/strategies/new/?type=rule",
    "/sessions/",
    "/data/",
    "/data/import/",
    "/accounts/profile/",
    "/accounts/tokens/",
    "/accounts/notices/",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_error_no_barrier_and_no_sideways_scroll(make_page, axe, path):
    page = make_page()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(path)
        page.wait_for_load_state("networkidle")
        expect(page.locator("h1")).to_have_count(1)
        assert overflow(page) == 0
        assert axe(page) == []


@pytest.mark.parametrize("width", [360, 390])
@pytest.mark.parametrize("path", PAGES)
def test_the_phone_never_scrolls_sideways(make_page, axe, path, width):
    page = make_page(phone=True)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(path)
    assert overflow(page) == 0
    expect(page.locator(".bnav")).to_be_visible()
    expect(page.locator(".rail")).to_be_hidden()
    if width == 390:
        assert axe(page) == []


@pytest.mark.parametrize("path", PAGES)
def test_chinese_pages_are_chinese(make_page, path):
    page = make_page(user="bob")
    page.goto(path)
    page.locator(".top .lang button", has_text="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.locator("html")).to_have_attribute("data-up", "red")
    expect(page.locator(".rail")).to_contain_text("总览")
    assert overflow(page) == 0
    page.locator(".top .lang button", has_text="EN").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_the_first_page_is_light(page):
    sizes: list[int] = []
    page.on("response", lambda r: r.status == 200 and sizes.append(len(gzip.compress(r.body(), 6))))
    page.goto("/")
    page.wait_for_load_state("networkidle")
    assert 4 <= len(sizes) <= 20
    assert sum(sizes) < 150_000


def test_the_theme_changes_at_once_and_stays(page):
    page.goto("/")
    button = page.locator(".top .thm button")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    with page.expect_response("**/accounts/theme/"):
        button.click()
    with page.expect_response("**/accounts/theme/"):
        button.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(background) == "rgb(16, 18, 22)"
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    with page.expect_response("**/accounts/theme/"):
        button.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "")


def test_the_palette_by_keyboard(page):
    page.goto("/sessions/")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Control+k")
    field = page.locator(".find input")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.type("monitor")
    option = page.locator("#palette [role=option]")
    expect(option).to_have_count(1)
    expect(option).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", "hit-1-1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/monitoring/")


def test_the_palette_moves_closes_and_falls_back_to_the_page(page):
    page.goto("/")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Control+k")
    options = page.locator("#palette [role=option]")
    expect(options.nth(3)).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    page.fill(".find input", "nothing like it")
    expect(page.locator("#palette .none")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url("**/search/?q=nothing+like+it")
    expect(page.locator("main")).to_contain_text("Nothing is called “nothing like it”.")


def test_the_skip_link_comes_first(page):
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_menus_close_on_escape_and_elsewhere(page):
    page.goto("/")
    summary = page.locator(".top .menu summary")
    menu = page.locator(".top .menu")
    summary.click()
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    expect(summary).to_be_focused()
    summary.click()
    page.locator("h1").click()
    expect(menu).not_to_have_attribute("open", "")


def test_the_phones_more_menu_leads_to_everything(make_page):
    page = make_page(phone=True)
    page.goto("/")
    page.locator(".bnav summary").click()
    page.locator(".bnav .sheet a", has_text="Monitoring").click()
    page.wait_for_url("**/monitoring/")


def test_a_toast_for_a_notice_and_an_error_stays(page):
    page.goto("/")
    say = "detail => document.dispatchEvent(new CustomEvent('live:notice', {detail}))"
    page.evaluate(say, {"level": "error", "text": "<b>It failed</b>", "url": "/sessions/", "unread": 3})
    page.evaluate(say, {"level": "info", "text": "Done", "url": "javascript:alert(1)", "unread": 4})
    toasts = page.locator("#toasts > .note")
    expect(toasts).to_have_count(2)
    expect(toasts.first).to_contain_text("<b>It failed</b>")
    assert page.locator("#toasts > .note a").count() == 1
    expect(page.locator("#notice-count")).to_have_text("4")
    toasts.first.locator("button").click()
    expect(toasts).to_have_count(1)


def test_pages_read_and_work_without_scripts(make_page):
    page = make_page(user=None, scripts=False)
    log_in(page, "alice")
    expect(page.locator("h1")).to_have_text("Dashboard")
    page.fill(".find input", "monitoring")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search/?q=monitoring")
    page.locator(".hit", has_text="Monitoring").first.click()
    page.wait_for_url("**/monitoring/")
    page.locator(".top .thm button").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.locator(".top .thm button").click()
    page.locator(".top .thm button").click()
    page.locator(".top .menu summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/accounts/login/**")


def test_error_pages_are_whole_pages(make_page, axe):
    page = make_page()
    page.expected.add(404)
    page.goto("/nowhere/")
    expect(page.locator("h1")).to_have_text("There is nothing here")
    assert axe(page) == []
    page.get_by_role("link", name="To the dashboard").click()
    page.wait_for_url("**/")


def test_before_log_in_the_page_has_languages_and_themes(make_page, axe):
    page = make_page(user=None, locale="zh-CN")
    page.goto("/accounts/login/")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    assert axe(page) == []
    page.locator("button", has_text="EN").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.locator(".thm button").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


SESSIONS = """
from apps.accounts.models import User
from tests.sessions.live_fixtures import make_session
make_session(User.objects.get(username="alice"), name="Columns to choose", status="completed")
"""


def test_a_reader_chooses_the_columns_of_a_list_and_it_remembers(server, page):
    server.manage(code=SESSIONS)
    page.goto("/sessions/")
    heads = page.locator("#session-table thead th:visible")
    count = heads.count()
    page.get_by_text("Columns", exact=True).click()
    choices = page.locator("[data-columns] label")
    expect(choices.first).to_have_text("State")  # What a row is cannot be hidden.
    page.get_by_label("Sharpe", exact=True).uncheck()
    page.get_by_label("Created", exact=True).uncheck()
    expect(heads).to_have_count(count - 2)
    row = page.locator("#session-table tbody tr").first
    expect(row.locator("td:visible")).to_have_count(count - 2)
    page.reload()
    expect(heads).to_have_count(count - 2)
    # Rows that come later are cut like the others.
    page.evaluate("htmx.trigger('#session-table', 'every 15s'); htmx.ajax('GET', '/sessions/', '#session-table')")
    expect(row.locator("td:visible")).to_have_count(count - 2)
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Sharpe", exact=True).check()
    expect(heads).to_have_count(count - 1)
    assert page.evaluate("localStorage.getItem('columns:sessions')").count(",") == 0


def test_what_another_program_left_under_the_name_of_a_list_hides_nothing(page):
    page.add_init_script("localStorage.setItem('columns:catalogue', '{not json')")
    page.goto("/data/")
    expect(page.locator("#datasets thead th").first).to_be_visible()
    expect(page.locator("[data-columns] label").first).to_be_attached()
