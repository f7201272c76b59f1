"""A report is read on the screen, on a phone and on paper, in both languages."""

from __future__ import annotations

import re

import pytest

from .conftest import PASSWORD, overflow

#: Content of A4 between margins of 12 mm, in px at 96 dpi.
PAPER = {"width": 703, "height": 1017}
MAKE = """
import os
os.environ["OMP_NUM_THREADS"] = "1"
from django.conf import settings
settings.SESSION_RUNNER = "inline"
from apps.accounts.models import User
from apps.marketdata.services import load_builtin_catalogue
from apps.sessions.models import Session
from apps.sessions.runner.launcher import launch
from apps.sessions.services.claim import claim
from apps.sessions.services.sessions import session_create
from apps.strategies.services import strategy_create

load_builtin_catalogue()
owner = User.objects.create_user("li", "li@example.com", "PASSWORD", role="administrator", language="zh-hans")
config = {"symbol": "IBM", "rule": "sma_cross", "test_start": "2005-01-03"}
strategy = strategy_create(owner=owner, name="On paper", type_key="rule", config=config)
params = {"start": "2005-01-03", "end": "2008-12-31"}
session = session_create(owner=owner, version=strategy.versions.get(), kind="backtest", params=params)
assert claim(session.pk, session.attempt, "test")
launch(Session.objects.select_related("version__strategy", "dataset").get(pk=session.pk))
session = Session.objects.get(pk=session.pk)
assert session.status == "completed", session.reason
print(session.pk)
"""
#: What stands on every report: verdict, return, costs, chance, glossary; alice reads English, li, whose it is, Chinese.
WORDS = {
    "alice": (
        "Verdict",
        "Net return",
        "Costs and stress",
        "If chance had dealt otherwise",
        "Rolling beta",
        "chance deals",
        "Cash left over",
        "All metrics",
    ),
    "li": ("结论", "净收益", "成本与压力", "假如运气不同", "滚动贝塔", "随机抽样", "剩余现金", "全部指标"),
}


@pytest.fixture(scope="module")
def address(server) -> str:
    return f"/sessions/{int(server.manage(code=MAKE.replace('PASSWORD', PASSWORD)).split()[-1])}/report/"


def shown(page, selector: str) -> int:
    return page.locator(selector).locator("visible=true").count()


@pytest.mark.parametrize("reader", WORDS)
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_the_report_reads_on_a_screen(make_page, axe, address, reader, phone):
    page = make_page(reader, phone=phone)
    page.goto(address)
    text = page.inner_text("main")
    assert [word for word in WORDS[reader] if word not in text] == []
    assert shown(page, "main figure svg") >= 6
    assert overflow(page) == 0
    assert axe(page) == []


@pytest.mark.parametrize("reader", WORDS)
def test_the_report_reads_on_paper(make_page, address, reader):
    """The charts and tables of the desk, none of the frame, nothing beyond the edge, and black on white in a dark theme too."""
    page = make_page(reader, scheme="dark")
    page.goto(address)
    charts, tables = shown(page, "main figure svg"), shown(page, "main table")
    page.emulate_media(media="print")
    page.set_viewport_size(PAPER)
    text = page.inner_text("main")
    assert [word for word in WORDS[reader] if word not in text] == []
    assert (shown(page, "main figure svg"), shown(page, "main table")) == (charts, tables)
    assert shown(page, ".rail, .top, .bnav, main .btn") == 0
    assert overflow(page) == 0
    beyond = page.evaluate(
        """width => [...document.querySelectorAll("main *")].filter((one) => {
        const box = one.getBoundingClientRect();
        return box.width && box.right > width + 1 && !one.closest("svg, .vh");
    }).map((one) => one.outerHTML.slice(0, 80))""",
        PAPER["width"],
    )
    assert beyond == []
    assert overlapping(page) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in {
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    }
    pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True)))
    assert 3 <= pages <= 20


def overlapping(page) -> list[str]:
    """Return the sections and figures that lie over one another."""
    return page.evaluate("""() => {
        const boxes = [...document.querySelectorAll("main section, main figure")].filter((one) => one.offsetWidth)
            .map((one) => [one, one.getBoundingClientRect()]);
        const found = [];
        boxes.forEach(([one, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
            if (one.contains(other)) return;
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (wide > 2 && high > 2) found.push(`${one.className} over ${other.className}`);
        }));
        return found;
    }""")
