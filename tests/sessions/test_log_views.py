"""The full log of a session: its page and its download."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.sessions.logs import log_path
from tests.sessions.live_fixtures import make_session

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def url(name, pk):
    return reverse(f"sessions:{name}", args=[pk])


def body(response):
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("name", ["log", "log_download"])
def test_strangers_find_no_log(client, alice, bob, name):
    session = make_session(alice)
    client.force_login(bob)
    assert client.get(url(name, session.pk)).status_code == 404


def test_the_full_log_opens_at_its_end_and_downloads_whole(page, alice):
    session = make_session(alice)
    path = log_path(session.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"line {number}\n" for number in range(450)), encoding="utf-8")
    last = body(page.get(url("log", session.pk)))
    assert "line 449" in last
    assert "line 10\n" not in last
    assert "line 10\n" in body(page.get(url("log", session.pk) + "?page=1"))
    download = page.get(url("log_download", session.pk))
    assert b"".join(download.streaming_content).count(b"\n") == 450


def test_a_session_without_a_log_file_says_so(page, alice):
    session = make_session(alice)
    log_path(session.pk).unlink(missing_ok=True)
    assert "Nothing has been logged yet" in body(page.get(url("log", session.pk)))
    assert page.get(url("log_download", session.pk)).status_code == 404
