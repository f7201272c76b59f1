"""The dashboard: only what is true, only what is yours, in a fixed number of statements."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from apps.accounts.models import Notice
from apps.accounts.notices import notify
from apps.marketdata.models import Dataset
from apps.monitoring.selectors.dashboard import baseline_return, dashboard, figure
from apps.sessions.models import Session, Worker
from apps.strategies.models import Strategy

pytestmark = pytest.mark.django_db


def page(client, user, url="/", **extra):
    client.force_login(user)
    response = client.get(url, **extra)
    assert response.status_code == 200
    return response.content.decode()


def test_strangers_are_sent_to_the_log_in_page(client):
    response = client.get("/")
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


def test_an_empty_house_says_what_to_do_next(client, alice):
    html = page(client, alice)
    assert "Nothing runs. Choose a strategy" in html
    assert "There is no market data yet." in html
    assert "No run has finished yet." in html
    assert "Nothing needs you" in html


def test_what_runs_waits_and_came_out_is_shown(client, alice, make_session):
    make_session(alice, "running", title="Running one", progress=0.62, seconds_used=62.0, step=5)
    make_session(alice, "queued", title="Waiting one")
    summary = {"test": {"max_drawdown": 0.23}, "baselines": {"buy_and_hold": {"total_return": 0.341}}}
    make_session(
        alice, title="Done one", result_return=0.563, result_sharpe=1.11, summary=summary, finished_at=timezone.now()
    )
    html = page(client, alice)
    for text in (
        "Running one",
        "62%",
        "38 s",
        "Waiting one",
        "No worker answers; it starts when one runs.",
        "Done one",
        "+56.3%",
        "+22.2 pp",
        "1.11",
        "−23.0%",
    ):
        assert text in html
    board = dashboard(alice)
    assert (board.running, board.waiting) == (1, 1)


def test_what_waits_says_for_what_in_the_words_of_its_own_page(client, alice, make_session, settings):
    settings.SLOTS = 1
    Worker.objects.create(name="here", host="here", pid=1)
    make_session(alice, "running", progress=0.5, seconds_used=60.0)
    waits = make_session(alice, "queued", queued_at=timezone.now())
    html = page(client, alice)
    sentence = "Every slot is in use: 1 of 1. It is next. It should start in about 1 min."
    assert sentence in html
    assert sentence in page(client, alice, "/sessions/")
    assert sentence in page(client, alice, f"/sessions/{waits.pk}/")


def test_what_others_run_is_not_shown_except_to_administrators(client, alice, bob, root, make_session):
    make_session(bob, "running", title="Secret run")
    make_session(bob, title="Secret result", result_return=0.5, finished_at=timezone.now())
    assert "Secret" not in page(client, alice)
    html = page(client, root)
    assert "Secret run" in html
    assert "Secret result" in html


def test_failures_interruptions_and_blocked_data_ask_for_attention(client, alice, bob, make_session, make_dataset):
    interrupted = make_session(alice, "interrupted", title="Broken off")
    make_dataset("bad-data", verdict="blocked")
    make_dataset("bobs-data", verdict="blocked", owner=bob)
    notify(alice, "session.failed", "error", url="/sessions/7/", title="My run", id=7)
    notify(alice, "session.completed", "info", title="Fine", id=8)
    notify(bob, "session.failed", "error", title="His run", id=9)
    html = page(client, alice)
    assert "My run has failed (session 7)." in html
    assert 'href="/sessions/7/"' in html
    assert f"Session {interrupted.pk} was interrupted" in html
    assert "bad-data@1 blocks runs" in html
    assert "His run" not in html
    assert "bobs-data" not in html
    assert dashboard(alice).refused == 2
    Notice.objects.update(read_at=timezone.now())
    assert "My run has failed" not in page(client, alice)


def test_data_shows_its_last_bar_and_age(client, alice, make_dataset):
    make_dataset()
    make_dataset("future", end=timezone.now() + timedelta(days=1))
    html = page(client, alice)
    assert "last 1 Mar 2013" in html
    assert dashboard(alice).data[0].age == timedelta()


def test_the_number_of_statements_does_not_grow(
    client, alice, make_session, make_dataset, django_assert_max_num_queries
):
    def fill(count):
        for i in range(count):
            make_session(alice, "running", title=f"r{i}")
            make_session(alice, title=f"d{i}", result_return=0.1 * i, finished_at=timezone.now())
            make_session(alice, "interrupted")
            make_dataset(f"set-{Dataset.objects.count()}", verdict="blocked")
            notify(alice, "session.failed", "error", title="x", id=i)

    fill(1)
    page(client, alice)
    for count in (0, 8):
        fill(count)
        with django_assert_max_num_queries(9):
            assert client.get("/").status_code == 200


def test_figures_are_read_from_what_a_run_wrote():
    assert figure({"test": {"sharpe": 1.0}}, "sharpe") == 1.0
    assert figure({"metrics": {"sharpe": 2.0}}, "sharpe") == 2.0
    assert figure({"test": {"sharpe": None}}, "sharpe") is None
    assert figure({"test": "broken"}, "sharpe") is None
    assert baseline_return({"benchmark_metrics": {"total_return": 0.3}}) == 0.3
    assert baseline_return({"baselines": {"buy_and_hold": {"total_return": 0.2}}}) == 0.2
    assert baseline_return({"baselines": []}) is None
    assert baseline_return({}) is None


def test_the_rail_counts_what_is_mine(client, alice, bob, root, make_session, make_strategy, make_dataset):
    make_session(alice, "running")
    make_session(bob, "running")
    make_strategy(bob, "another")
    notify(alice, "session.failed", "error", title="x", id=1)
    html = page(client, alice, "/search/")
    assert 'aria-label="Notices, 1 unread"' in html
    assert html.count('<span class="c">1</span>') == 3
    assert ">2 / " in html
    assert "Admin</a>" not in html
    assert "Admin</a>" in page(client, root, "/search/")
    assert Strategy.objects.count() == 3
    assert Session.objects.count() == 2


def test_the_shell_costs_one_statement(client, alice, django_assert_num_queries):
    client.force_login(alice)
    with django_assert_num_queries(3):  # The browser's session, the person, the shell.
        assert client.get("/search/").status_code == 200


@pytest.mark.parametrize(("language", "up"), [("en", "green"), ("zh-hans", "red")])
def test_the_page_carries_theme_and_market_colours(client, alice, language, up):
    alice.language, alice.theme = language, "dark"
    alice.save()
    html = page(client, alice)
    assert f'data-theme="dark" data-up="{up}"' in html
    assert 'value=""' in html
    alice.up_color = "green"
    alice.save()
    assert 'data-up="green"' in page(client, alice)
    translation.activate("en")


def test_a_cookie_gives_the_theme_before_log_in(client):
    client.cookies["theme"] = "light"
    assert 'data-theme="light"' in client.get("/accounts/login/").content.decode()
    client.cookies["theme"] = '"><script>'
    assert 'data-theme=""' in client.get("/accounts/login/").content.decode()


def test_the_banner_names_every_system_but_production(client, alice, settings):
    assert "This is not the production system." in page(client, alice)
    settings.PRODUCTION = True
    assert "This is not the production system." not in page(client, alice)


def test_initials_come_from_the_name(client, alice):
    alice.first_name, alice.last_name = "Maria", "Keller"
    alice.save()
    assert 'class="av">MK</span>' in page(client, alice)


def test_administrators_are_warned_of_a_full_machine(client, alice, root, settings):
    settings.QP_ALERT_MEMORY = settings.QP_ALERT_DISK = 0.0
    for person, told in ((root, True), (alice, False)):
        client.force_login(person)
        text = client.get("/").content.decode()
        assert ("Memory runs out" in text, "The disk fills up" in text) == (told, told)
        assert "The processors are busy" not in text


def test_a_machine_with_room_warns_nobody(client, root, settings):
    settings.QP_ALERT_CPU = settings.QP_ALERT_MEMORY = settings.QP_ALERT_DISK = 1.1
    client.force_login(root)
    assert "the warning starts at" not in client.get("/").content.decode()
