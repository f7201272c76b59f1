"""Open, break, closed: by the calendar, with its end said aloud."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from apps.marketdata import market_api
from apps.marketdata.engine.market_status import market_status
from apps.ui.engine.refusal import Refusal


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "state", "opens", "closes"),
    [
        ("2024-01-02T01:29", "closed", "2024-01-02T01:30", "2024-01-02T07:00"),
        ("2024-01-02T01:30", "open", "2024-01-03T01:30", "2024-01-02T03:30"),
        ("2024-01-02T04:00", "break", "2024-01-02T05:00", "2024-01-02T07:00"),
        ("2024-01-02T05:00", "open", "2024-01-03T01:30", "2024-01-02T07:00"),
        ("2024-01-05T08:00", "closed", "2024-01-08T01:30", "2024-01-08T07:00"),  # a Friday evening
        ("2024-02-12T03:00", "closed", "2024-02-19T01:30", "2024-02-19T07:00"),  # New Year of the moon
    ],
)
def test_shanghai_has_a_break_and_holidays(now, state, opens, closes):
    found = market_status("XSHG", at(now))
    assert (found.state, found.next_open, found.next_close) == (state, at(opens), at(closes))


def test_a_status_lasts_until_the_next_change():
    assert market_status("XSHG", at("2024-01-02T02:00")).changes_at == at("2024-01-02T03:30")
    assert market_status("XSHG", at("2024-01-02T04:00")).changes_at == at("2024-01-02T05:00")
    assert market_status("24/7", at("2024-01-06T04:00")).changes_at is None
    assert market_status("24/7", at("2024-01-06T04:00")).state == "open"


@pytest.mark.django_db
def test_beyond_the_last_session_nothing_is_guessed():
    with pytest.raises(Refusal) as refused:
        market_status("XSHG", at("2099-01-05T02:00"))
    assert refused.value.code == "calendar_ended"
    with pytest.raises(Refusal) as refused:
        market_status("NOWHERE", at("2024-01-05T02:00"))
    assert refused.value.code == "unknown_calendar"


@pytest.mark.django_db
def test_the_api_tells_every_market_and_keeps_the_answer_until_it_changes(client, alice, monkeypatch):
    market_api.cache.clear()
    moment = {"now": at("2024-01-02T03:29")}
    monkeypatch.setattr(market_api.timezone, "now", lambda: moment["now"])
    asked = []
    real = market_api.market_status
    monkeypatch.setattr(market_api, "market_status", lambda name, now: asked.append(name) or real(name, now))
    document = market_api.known_status("XSHG")
    assert (document["state"], document["next_close"]) == ("open", "2024-01-02T03:30:00+00:00")
    market_api.known_status("XSHG")
    assert asked == ["XSHG"]


@pytest.mark.django_db
def test_the_api_needs_a_login_and_names_what_is_wrong(client, alice):
    market_api.cache.clear()
    assert client.get("/api/market/status").status_code == 401
    client.force_login(alice)
    names = [market["calendar"] for market in client.get("/api/market/status").json()["markets"]]
    assert names == ["XSHG", "XHKG", "XNYS", "24/7"]
    response = client.get("/api/market/status", {"calendar": "X\x01"})
    assert (response.status_code, response.json()["code"]) == (422, "unknown_calendar")


@pytest.mark.django_db
def test_the_command_prints_what_the_api_says(capsys):
    market_api.cache.clear()
    call_command("market_status", "24/7", "--json")
    assert json.loads(capsys.readouterr().out)["markets"][0]["state"] == "open"
    call_command("market_status")
    assert capsys.readouterr().out.startswith("XSHG")
    with pytest.raises(CommandError, match="no calendar"):
        call_command("market_status", "NOWHERE")
