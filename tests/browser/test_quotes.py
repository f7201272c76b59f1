"""The board of quotes in a real browser while a replay runs: prices move by themselves, old ones say so, a phone reads it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.installation import ROOT

from .conftest import overflow

#: A day of minutes of three symbols, each close another, replayed a bar a second; and a quote of long ago.
MAKE = """
import time
import numpy as np
from datetime import UTC
from apps.marketdata.engine.bars import BarPanel
from apps.marketdata.engine.quotes import Quote
from apps.marketdata.engine.store import write_panel
from apps.marketdata.models import Dataset, DatasetSymbol, Feed, Frequency
from apps.marketdata.selectors import dataset_root
from apps.marketdata.services.feeds import feed_claim, replay_create
from apps.marketdata.services.quotes import Progress, QuoteWriter
names = ("AAA", "BBB", "CCC")
times = np.datetime64("2024-01-02T09:31", "ns") + np.arange(2000) * np.timedelta64(60, "s")
close = 20.0 + np.arange(3)[:, None] * 100 + np.arange(2000) / 8
fields = {name: close.copy() for name in ("open", "high", "low", "close")} | {"volume": np.ones(close.shape)}
panel = BarPanel(names, times, fields, frequency="1min")
start, end = (times[at].astype("datetime64[s]").item().replace(tzinfo=UTC) for at in (0, -1))
dataset = Dataset.objects.create(
    name="board-minutes", content_hash=write_panel(panel, dataset_root()).name, source="seeded", symbol_count=3,
    rows=6000, start=start, end=end, columns=list(fields), frequency=Frequency.MINUTE,
)
DatasetSymbol.objects.bulk_create(
    DatasetSymbol(dataset=dataset, symbol=name, position=at, rows=2000, start=start, end=end)
    for at, name in enumerate(names)
)
replay_create(actor=None, dataset=dataset, speed=60.0, loop=True, name="board-replay")
writer = QuoteWriter(feed_claim(Feed.objects.create(name="board-old", kind="websocket", wanted=True)))
then = time.time() - 3600
writer.take([[Quote("OLD", 9.5, then, then, ((9.4, 100.0),), ((9.6, 300.0),), prev_close=10.0)]])
writer.store(Progress())
Feed.objects.filter(name="board-old").update(wanted=False, state="stopped", lease_until=None)
"""
WORDS = {
    "EN": {"expired": "expired", "replay": "replay", "market": "open|closed|midday break"},
    "中文": {"expired": "已过期", "replay": "回放", "market": "开盘|休市|午间休市"},
}


@pytest.fixture(scope="module")
def replay(server):
    """A replay that runs as long as these tests do."""
    server.manage(code=MAKE)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "quotes", "run", "--feed", "board-replay"], cwd=ROOT, env=server.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def row(page, symbol):
    return page.locator("#board tbody tr", has=page.locator("td.l.b", has_text=symbol))


@pytest.mark.parametrize("language", ["EN", "中文"])
def test_prices_move_by_themselves_and_an_old_one_says_so(make_page, replay, axe, language):
    page, words = make_page(), WORDS[language]
    page.goto("/data/quotes/")
    page.locator(".top .lang button", has_text=language).click()
    last = row(page, "AAA").locator("td").nth(1)
    expect(last).to_be_visible()
    for _ in range(2):
        expect(last).not_to_have_text(last.inner_text())
    expect(row(page, "AAA")).to_contain_text(words["replay"])
    expect(row(page, "AAA")).not_to_contain_text(words["expired"])
    expect(row(page, "OLD")).to_contain_text(words["expired"])
    expect(row(page, "OLD")).to_contain_text(re.compile("[-−]5.00 ?%"))
    for market in page.locator("#board .figs .fig").all():
        expect(market).to_contain_text(re.compile(words["market"]))
    assert axe(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert overflow(page) == 0
    expect(row(page, "AAA").locator("td").nth(1)).to_be_visible()
    expect(row(page, "OLD")).to_contain_text(words["expired"])
    expect(last).not_to_have_text(last.inner_text())


def test_a_filter_stays_while_the_board_moves(page, replay):
    page.goto("/data/quotes/?search=BB&sort=-last")
    last = row(page, "BBB").locator("td").nth(1)
    expect(last).not_to_have_text(last.inner_text())
    expect(page.locator("#board tbody tr")).to_have_count(1)
