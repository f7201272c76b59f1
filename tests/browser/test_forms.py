"""Forms that are refused, or sent after the log-in has ended, keep what was typed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

STRATEGY = """
from apps.accounts.models import User
from apps.marketdata.services import load_builtin_catalogue
from apps.strategies.services import strategy_create
load_builtin_catalogue()
made = strategy_create(owner=User.objects.get(username="alice"), name="{name}", type_key="rule", config={{}})
print(made.pk)
"""


@pytest.fixture
def strategy(server, request):
    return int(server.manage(code=STRATEGY.format(name=request.node.name[:100])).split()[-1])


def test_a_backtest_that_is_refused_is_said_beside_what_was_typed(page, strategy):
    page.expected.add(422)
    page.goto(f"/strategies/{strategy}/")
    page.fill("[name=capital]", "-5")
    page.fill("[name=benchmark]", "MSFT")
    page.get_by_role("button", name="Backtest").click()
    expect(page.get_by_role("alert")).to_contain_text("must be more than 0")
    expect(page.locator("[name=capital]")).to_have_value("-5")
    expect(page.locator("[name=benchmark]")).to_have_value("MSFT")


def test_a_form_in_the_middle_of_which_the_log_in_ends_says_so_and_keeps_its_text(page, strategy):
    page.expected.add(401)
    page.goto(f"/strategies/{strategy}/edit/")
    page.fill("[name=note]", "why this version exists")
    page.context.clear_cookies(name="sessionid")
    page.fill("[name=fast]", "7")
    told = page.locator("#toasts .note.bad")
    expect(told).to_contain_text("You are logged out")
    expect(told.locator("a")).to_have_attribute("target", "_blank")
    expect(page.locator("[name=note]")).to_have_value("why this version exists")
    expect(page.locator("#changes form")).to_have_count(0)
    page.watch.errors[:] = [one for one in page.watch.errors if "Status Error Code 401" not in one]  # htmx says it too
