"""A server that is slow, busy, broken or not itself: what is tried again, and what is not."""

from __future__ import annotations

import gzip
import json
import time

import pytest

from quant_platform.client import (
    AsyncClient,
    Client,
    NotAllowed,
    RateLimited,
    Retry,
    ServerFault,
    TooSlow,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)

BUSY = (503, {"Content-Type": "text/html"}, b"<html>down for a moment")
RULE = {"dataset": "bars", "symbol": "S001"}


def limited(seconds, status=429):
    body = json.dumps({"status": status, "code": "too_many_requests", "detail": "Too many requests."}).encode()
    return status, {"Content-Type": "application/problem+json", "Retry-After": str(seconds)}, body


@pytest.fixture
def waits():
    return []


@pytest.fixture
def client(relay, token, waits):
    with Client(relay.url, token) as opened:
        opened._sleep = waits.append
        yield opened


def test_a_busy_server_is_asked_again_with_growing_pauses(client, relay, waits):
    relay.script = [BUSY, BUSY, BUSY]
    assert client.system.me().username == "alice"
    assert waits == [0.3, 0.6, 1.2]


def test_after_three_more_tries_the_error_is_told(client, relay, waits):
    relay.script = [BUSY] * 4
    with pytest.raises(Unavailable) as error:
        client.system.me()
    assert (error.value.status, len(waits), relay.asked("/api/me")) == (503, 3, 4)


def test_a_limit_is_waited_for_as_long_as_the_server_says(client, relay, waits):
    relay.script = [limited(17)]
    assert client.system.me().username == "alice"
    assert waits == [17.0]


def test_a_limit_too_far_away_is_told_at_once(client, relay, waits):
    relay.script = [limited(3600)]
    with pytest.raises(RateLimited) as error:
        client.system.me()
    assert (error.value.retry_after, waits) == (3600.0, [])


@pytest.mark.parametrize("step", [BUSY, limited(1), "hang up", "cut"])
def test_what_starts_something_is_never_sent_twice(client, relay, waits, step):
    relay.script = [step]
    with pytest.raises((Unavailable, RateLimited, Unreachable)):
        client.strategies.create(f"Once {step}"[:40], "rule", RULE)
    assert (relay.asked("/api/strategies/"), waits) == (1, [])


@pytest.mark.parametrize("step", ["hang up", "cut"])
def test_a_broken_answer_is_asked_for_again(client, relay, waits, step):
    relay.script = [step, step]
    assert client.strategies.types()
    assert waits == [0.3, 0.6]


def test_an_answer_that_cannot_be_unpacked_is_asked_for_again(client, relay, waits):
    broken = gzip.compress(b'{"a": 1}' * 500)[:-20]
    relay.script = [(200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, broken)]
    assert client.strategies.types()
    assert waits == [0.3]


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"Content-Type": "text/html"}, b"<html>a hotel asks you to log in"),
        ({"Content-Type": "application/json"}, b'{"username": 3}'),
        ({"Content-Type": "application/json"}, b"[1, 2"),
    ],
)
def test_an_answer_of_another_form_is_told_and_not_asked_for_again(client, relay, waits, headers, content):
    relay.script = [(200, headers, content)]
    with pytest.raises(UnexpectedAnswer):
        client.system.me()
    assert waits == []


def test_a_table_that_is_none_is_told(client, relay):
    relay.script = [(200, {"Content-Type": "application/vnd.apache.arrow.file"}, b"ARROW1\0\0nonsense")]
    with pytest.raises(UnexpectedAnswer, match="Arrow"):
        client.data.historical("S001", dataset="bars")


def test_a_redirect_is_not_followed_with_the_token(client, relay):
    relay.script = [(302, {"Location": "https://elsewhere.example/"}, b"")]
    with pytest.raises(UnexpectedAnswer, match="elsewhere"):
        client.system.me()


def test_a_fault_of_the_server_is_not_asked_for_again(client, relay, waits):
    relay.script = [(500, {"Content-Type": "text/html"}, b"oops")]
    with pytest.raises(ServerFault):
        client.system.me()
    assert waits == []


def test_a_refusal_is_final(client, relay, waits):
    relay.script = [limited(1, status=403)]
    with pytest.raises(NotAllowed):
        client.system.me()
    assert waits == []


def test_a_server_that_does_not_answer_is_given_up_in_time(relay, token):
    relay.script = ["hang"] * 2
    start = time.monotonic()
    with Client(relay.url, token, timeout=0.3, retry=Retry(tries=1, base=0.0)) as client, pytest.raises(TooSlow):
        client.system.me()
    assert time.monotonic() - start < 5
    assert relay.asked("/api/me") == 2


def test_a_server_that_does_not_read_packed_bodies_gets_them_plain(client, relay):
    refused = json.dumps({"status": 415, "code": "unsupported_encoding", "detail": "No."}).encode()
    relay.script = [(415, {"Content-Type": "application/problem+json"}, refused)]
    config = {**RULE, "note": "x" * 2_000}
    assert not client.strategies.validate("rule", config).valid
    assert [seen[2].get("content-encoding") for seen in relay.seen] == ["zstd", None]
    client.strategies.validate("rule", config)
    assert relay.seen[-1][2].get("content-encoding") is None, "once told is enough"


def test_bodies_and_answers_travel_packed(client, relay):
    assert not client.strategies.validate("rule", {**RULE, "note": "x" * 2_000}).valid
    _, _, headers, body = relay.seen[-1]
    assert headers["content-encoding"] == "zstd"
    assert len(body) < 200
    assert headers["accept-encoding"] == "zstd, gzip"


async def test_the_same_awaited(relay, token, waits):
    async def note(seconds):
        waits.append(seconds)

    async with AsyncClient(relay.url, token) as client:
        client._sleep = note
        relay.script = [BUSY, "hang up", limited(2)]
        assert (await client.system.me()).username == "alice"
        assert waits == [0.3, 0.6, 2.0]
        relay.script = [BUSY]
        with pytest.raises(Unavailable):
            await client.strategies.create("Once awaited", "rule", RULE)
        assert len(waits) == 3
    async with AsyncClient(relay.url, token, timeout=0.3, retry=Retry(tries=0)) as client:
        relay.script = ["hang"]
        with pytest.raises(TooSlow):
            await client.system.me()
