"""No page is wider than the window, a phone's least of all, however long the names in it: every address that answers with a page, in both languages."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import TimeoutError

from .conftest import overflow

#: Names as long as they may be and without a place to break, runs that really ran, and the addresses of it all.
FURNISH = """
import json, os
os.environ["OMP_NUM_THREADS"] = "1"
from django.conf import settings
settings.SESSION_RUNNER = "inline"
from apps.accounts import groups
from apps.accounts.models import User
from apps.marketdata.models import Dataset
from apps.marketdata.services import load_builtin_catalogue
from apps.sessions.models import Session
from apps.sessions.runner.launcher import launch
from apps.sessions.services.claim import claim
from apps.sessions.services.labels import session_label
from apps.sessions.services.sessions import session_create
from apps.sessions.services.verifying import session_verify
from apps.strategies.services import strategy_create
from tests.platform.test_access_matrix import ROUTES, Things
from tests.sessions.live_fixtures import points, say

load_builtin_catalogue()
wide = User.objects.create_user("w" * 150, "wide@example.com", "correct horse 7", role="administrator", language="en")
things = Things(wide)

def run(session):
    assert claim(session.pk, session.attempt, "test")
    launch(Session.objects.select_related("version__strategy", "dataset").get(pk=session.pk))
    return Session.objects.get(pk=session.pk)

def label(session):
    session_label(session=session, actor=wide, tags=["t" * 32, "候选" * 16], notes="https://example.org/" + "n" * 900)

rule = {"dataset": "us-daily-adjusted", "symbol": "IBM", "rule": "sma_cross"}
strategy = strategy_create(owner=wide, name="S" * 120, type_key="rule", config=rule)
version = strategy.versions.get()
params = {"start": "2005-01-03", "end": "2006-12-29"}
done = run(session_create(owner=wide, version=version, kind="backtest", params=params))
again = run(session_verify(session=done, actor=wide))
assert (done.status, again.status) == ("completed", "completed"), (done.reason, again.reason)
live = Session.objects.get(pk=things.numbers["/sessions/"])
Session.objects.filter(pk=live.pk).update(title="L" * 160, reason="r" * 300)
for step in range(1, 30):
    line = {"time": "2026-01-02T03:04:05+00:00", "level": "info", "text": "x" * 400}
    say(live, {**points(step, reward=float(step % 7), epsilon=1 / step, valid_sharpe=step / 40), "logs": [line]})
label(live), label(done)
group = groups.group_save(actor=wide, name="g" * 150, permissions=["data.override"], members=[wide])
numbers = things.numbers
numbers["/accounts/groups/"] = group.pk
data = Dataset.objects.get(name="us-daily-adjusted", version=1)
Dataset.objects.filter(pk=things.numbers["/data/"]).update(name="d" * 64, title="D" * 120, source="s" * 200)
found = set()
for sessions, strategies, datasets in ((live.pk, numbers["/strategies/"], data.pk), (done.pk, strategy.pk, data.pk),
                                       (again.pk, strategy.pk, data.pk)):
    numbers |= {"/sessions/": sessions, "/strategies/": strategies, "/data/": datasets, "/accounts/share/": strategy.pk}
    found |= {things.fill(route.path) for route in ROUTES if not route.is_api}
found |= {f"/sessions/compare/?s={live.pk}&s={done.pk}", f"/sessions/reports/compare/?s={done.pk}&s={again.pk}",
          "/search/?q=SSSS", f"/data/{data.pk}/?symbol=IBM"}
print(json.dumps([wide.username, sorted(found)]))
"""


@pytest.fixture(scope="module")
def furnished(server) -> tuple[str, list[str]]:
    """A person of long names and the addresses of everything there is."""
    user, addresses = json.loads(server.manage(code=FURNISH).splitlines()[-1])
    return user, addresses


#: Nothing sideways to scroll, and no drawing or table that reaches from one column over the next.
FITS = """
() => document.documentElement.scrollWidth <= document.documentElement.clientWidth
  && ![...document.querySelectorAll(".cols > *, .cols.lift > * > *")].some(
    (one) => one.getClientRects().length && one.scrollWidth > one.clientWidth + 1)
"""


def too_wide(page) -> bool:
    """Whether the page stays wider than the window, or a column than its place: charts follow a moment later."""
    try:
        page.wait_for_function(FITS, timeout=5000)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("language", ["EN", "中文"])
def test_no_page_is_wider_than_the_window(make_page, furnished, language):
    user, addresses = furnished
    page = make_page(user=user)
    page.goto("/")
    page.locator(".top .lang button", has_text=language).click()
    page.expected |= {400, 403, 404, 405}
    seen, wide = 0, {}
    for address in addresses:
        answer = page.request.get(address, max_redirects=0)
        is_page = answer.status == 200 and "text/html" in answer.headers["content-type"]
        if not is_page or "attachment" in answer.headers.get("content-disposition", ""):
            continue
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(address)
        page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true })")
        seen += 1
        for width in (360, 390, 768, 1024, 1280, 1440):
            page.set_viewport_size({"width": width, "height": 844})
            if too_wide(page):
                wide[f"{address} at {width} px"] = overflow(page)
    assert wide == {}
    assert seen > 50, "few addresses answered with a page: is the person still logged in?"
