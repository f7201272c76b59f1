"""The session page in a real browser: it moves by itself, finds its way back, and reads without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import overflow

MAKE = """
from apps.accounts.models import User
from tests.sessions.live_fixtures import make_session, make_version, points, say
owner = User.objects.get(username="{user}")
session = make_session(owner, name="{name}", status="{status}", kind="{kind}", progress=0.2,
    progress_info={{"done": 2, "total": 10, "unit": "episode", "rate": 50.0}})
for step in range(1, 40):
    say(session, points(step, reward=float(step % 7), epsilon=1.0 / step, valid_sharpe=step / 40))
print(session.pk)
"""
SAY = """
from apps.sessions.services.log import append
from django.utils import timezone
line = {{"time": timezone.now().isoformat(), "level": "info", "text": "hello from step {step}"}}
info = {{"done": 5, "total": 10, "unit": "episode", "rate": 50.0}}
point = {{"step": {step}, "epoch": {step}, "values": {{"loss": 0.5, "epsilon": {epsilon}}}}}
append({pk}, {{"points": [point], "logs": [line], "progress": info}}, attempt=1,
    changes={{"progress": {progress}, "progress_info": info}})
"""

HIDE = """
window.hide = (hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
};
"""


@pytest.fixture(scope="module")
def running(server):
    """Return a function that makes a session of its own for a test."""
    made = []

    def make(user="alice", status="running", kind="training"):
        made.append(user)
        code = MAKE.format(user=user, name=f"Live {len(made)}", status=status, kind=kind)
        return int(server.manage(code=code).split()[-1])

    return make


@pytest.fixture
def tell(server):
    def say(pk, step, *, epsilon=0.125, progress=0.5):
        server.manage(code=SAY.format(pk=pk, step=step, epsilon=epsilon, progress=progress))

    return say


def exploration(page):
    return page.locator('[data-curve="epsilon"] [data-last]')


def listening(page, path: str) -> None:
    """Open a page and wait until its live line is heard."""
    heard = []
    page.on("websocket", lambda line: line.on("framereceived", lambda frame: heard.append(frame)))
    page.goto(path)
    for _ in range(600):  # half a minute
        if heard:
            return
        page.wait_for_timeout(50)
    raise AssertionError("the live line says nothing")


def drawn(page):
    expect(page.locator('[data-curve="loss"] canvas')).to_be_visible()


def test_points_progress_and_log_arrive_by_themselves(page, running, tell):
    pk = running()
    page.goto(f"/sessions/{pk}/")
    drawn(page)
    expect(page.locator("[data-live-word]")).to_have_text("Updating live")
    tell(pk, 40)
    expect(exploration(page)).to_have_text("0.125")
    expect(page.locator("#session-progress progress")).to_have_attribute("value", "50")
    expect(page.locator("#session-log")).to_contain_text("hello from step 40")


def test_a_lost_connection_comes_back_at_the_last_point_seen(page, running, tell):
    pk, addresses, sockets = running(), [], []

    def relay(ws):
        addresses.append(ws.url)
        sockets.append(ws)
        ws.connect_to_server()

    page.route_web_socket(re.compile(r"/ws/live/"), relay)
    page.goto(f"/sessions/{pk}/")
    expect(page.locator("[data-live-word]")).to_have_text("Updating live")
    tell(pk, 40, epsilon=0.25)
    expect(exploration(page)).to_have_text("0.25")
    sockets[0].close(code=4012)
    expect(page.locator("[data-live-word]")).to_contain_text("Reconnecting")
    tell(pk, 41, epsilon=0.5)
    expect(exploration(page)).to_have_text("0.5")
    expect(page.locator("[data-live-word]")).to_have_text("Updating live")
    assert "after=39" in addresses[0]
    assert "after=40" in addresses[-1]


def test_a_final_code_is_not_tried_again(page, running):
    pk, opened = running(), []

    def refuse(ws):
        opened.append(ws)
        ws.close(code=4403)

    page.route_web_socket(re.compile(r"/ws/live/"), refuse)
    page.goto(f"/sessions/{pk}/")
    expect(page.locator("[data-live-word]")).to_contain_text("refused")
    page.wait_for_timeout(2500)
    assert len(opened) == 1


def test_a_line_that_died_without_a_close_is_opened_anew(page, running, tell):
    pk, opened = running(), []

    def relay(ws):
        opened.append(ws.url)
        if len(opened) > 1:
            ws.connect_to_server()
            return
        ws.send('{"type": "connection_established", "heartbeat_s": 0.4}')  # and never a word more

    page.route_web_socket(re.compile(r"/ws/live/"), relay)
    page.goto(f"/sessions/{pk}/")
    tell(pk, 40, epsilon=0.25)
    expect(exploration(page)).to_have_text("0.25")
    expect(page.locator("[data-live-word]")).to_have_text("Updating live")
    assert len(opened) == 2
    page.wait_for_timeout(2000)
    assert len(opened) == 2, "the next line speaks at the pace that it said itself"


def test_where_sockets_are_blocked_the_page_asks_and_offers_to_retry(page, running, tell):
    pk, blocked = running(), [True]

    def relay(ws):
        if blocked[0]:
            ws.close(code=1011)
        else:
            ws.connect_to_server()

    page.route_web_socket(re.compile(r"/ws/live/"), relay)
    page.goto(f"/sessions/{pk}/")
    expect(page.locator("[data-live-word]")).to_contain_text("Reconnecting")
    tell(pk, 40, epsilon=0.75)
    expect(exploration(page)).to_have_text("0.75", timeout=20_000)
    expect(page.locator("#session-progress progress")).to_have_attribute("value", "50")
    retry = page.locator("[data-live-retry]")
    expect(retry).to_be_visible(timeout=60_000)
    blocked[0] = False
    retry.click()
    expect(page.locator("[data-live-word]")).to_have_text("Updating live")
    expect(retry).to_be_hidden()


def test_without_scripts_the_page_reads_with_the_servers_drawings(make_page, running):
    page = make_page(scripts=False)
    page.goto(f"/sessions/{running()}/")
    expect(page.locator('[data-curve="loss"] svg').first).to_be_visible()
    expect(page.locator("#session-progress")).to_contain_text("episode 2 of 10")
    expect(page.locator("#act-pause")).to_be_visible()
    page.locator("#act-cancel").click()
    expect(page.locator("h1")).to_contain_text("Cancel session")


def test_without_the_chart_library_the_servers_drawings_are_pushed(page, running, tell):
    pk = running()
    page.route(re.compile(r"uPlot\.iife"), lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(f"/sessions/{pk}/")
    expect(page.locator("[data-live-word]")).to_have_text("Updating live")
    tell(pk, 40, epsilon=0.125)
    expect(exploration(page)).to_have_text("0.125")
    expect(page.locator('[data-curve="loss"] svg').first).to_be_visible()


END = """
from apps.sessions.services.log import append
append({pk}, {{"status": "completed", "result": {{}}, "resources": {{}}}}, attempt=1, changes={{"status": "completed"}})
"""


@pytest.mark.parametrize("kind", ["training", "backtest"])
def test_a_run_that_ends_before_our_eyes_is_no_longer_said_to_be_live(server, page, running, kind):
    pk = running(kind=kind)
    page.goto(f"/sessions/{pk}/")
    expect(page.locator("[data-live-word]")).to_have_text("Updating live")
    server.manage(code=END.format(pk=pk))
    expect(page.locator("#session-status")).to_contain_text("Completed")
    expect(page.locator(".livebar")).to_be_hidden()


def test_pausing_changes_state_and_buttons_in_place(page, running):
    page.goto(f"/sessions/{running()}/")
    drawn(page)
    page.locator("#act-pause").click()
    expect(page.locator("#session-status")).to_contain_text("Pausing")
    expect(page.locator("#act-pause")).to_have_count(0)
    drawn(page)


def test_cancelling_asks_in_a_dialog_and_leaves_on_no(page, running):
    page.goto(f"/sessions/{running()}/")
    page.locator("#act-cancel").click()
    expect(page.locator("#confirm-cancel")).to_be_visible()
    page.locator("#confirm-cancel [data-close]").click()
    expect(page.locator("#confirm-cancel")).to_be_hidden()
    page.locator("#act-cancel").click()
    page.locator("#confirm-cancel-yes").click()
    expect(page.locator("#session-status")).to_contain_text("Cancelling")


def test_a_failure_is_told_above_any_page_and_covers_nothing_of_it(page, server):
    listening(page, "/strategies/")
    server.manage(
        code="""
from apps.accounts.models import User
from apps.accounts.notices import notify
notify(User.objects.get(username="alice"), "session.failed", "error", "/sessions/", id=7, title="DQN on AAPL")
"""
    )
    told = page.locator("#notices .note.bad")
    expect(told).to_contain_text("DQN on AAPL has failed")
    box, main = told.bounding_box(), page.locator("main").bounding_box()
    assert box["y"] + box["height"] <= main["y"]
    expect(page.locator("#notice-count")).not_to_be_empty()


def test_the_list_moves_by_itself(page, running, tell):
    pk = running()
    listening(page, "/sessions/")
    tell(pk, 40, progress=0.75)
    expect(page.locator(f"#session-row-{pk} progress")).to_have_attribute("value", "75")


@pytest.mark.parametrize("width", [1440, 390, 360])
def test_the_page_has_no_barrier_and_never_scrolls_sideways(page, axe, running, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"/sessions/{running()}/")
    drawn(page)
    assert overflow(page) == 0
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert axe(page) == []


def test_the_page_speaks_chinese(make_page, running):
    page = make_page(user="bob")
    pk = running("bob")
    page.goto(f"/sessions/{pk}/")
    page.locator(".top .lang button", has_text="中文").click()
    expect(page.locator("#session-checkpoints h2")).to_have_text("检查点")
    expect(page.locator("[data-live-word]")).to_have_text("实时更新中")
    page.locator(".top .lang button", has_text="EN").click()


def test_a_stranger_finds_no_page(make_page, running):
    page = make_page(user="bob")
    page.expected.add(404)
    assert page.goto(f"/sessions/{running()}/").status == 404


def test_a_laptop_that_was_closed_finds_the_curve_whole(server, make_page, running, tell):
    """The socket is cut, the tab hidden, the web process restarted; what was missed is there, each point once."""
    pk, addresses = running(), []
    page = make_page()
    page.on("websocket", lambda ws: addresses.append(ws.url))
    page.add_init_script(HIDE)
    page.goto(f"/sessions/{pk}/")
    expect(page.locator("[data-live-word]")).to_have_text("Updating live")
    tell(pk, 40, epsilon=0.25)
    expect(exploration(page)).to_have_text("0.25")
    page.evaluate("hide(true)")
    server.restart()
    for step in (41, 42, 43):
        tell(pk, step, epsilon=step / 100)
    page.evaluate("hide(false)")
    expect(exploration(page)).to_have_text("0.43", timeout=30_000)
    expect(page.locator("[data-live-word]")).to_have_text("Updating live")
    assert "after=40" in addresses[-1], "the tail begins where the page stopped"
    stored = page.request.get(f"/sessions/{pk}/curves/").json()
    (curve,) = [figure for figure in stored["figures"] if figure["name"] == "epsilon"]
    (seed,) = curve["seeds"]
    assert seed["x"] == list(range(1, 44))
    expect(page.locator('[data-curve="epsilon"]')).to_have_attribute("data-points", "43")
