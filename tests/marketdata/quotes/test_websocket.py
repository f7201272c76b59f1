"""The WebSocket feed against a real server on this machine: it reconnects, and rubbish does not end it."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from apps.marketdata.engine.quotes import FieldMap, WebSocketFeed
from apps.ui.engine.refusal import Refusal

NOW = 1_700_000_000.0
WITH_PASSWORD = "wss://me:secret@x"  # pragma: allowlist secret


def said(last: float, symbol: str = "A") -> str:
    return json.dumps({"symbol": symbol, "last": last, "time": NOW * 1000})


@asynccontextmanager
async def source(*scripts):
    """A server that says the next script to each connection and closes; what it was told is kept."""
    heard, waiting = [], list(scripts)

    async def speak(socket):
        script = waiting.pop(0) if waiting else ()
        heard.append((socket.request.headers.get("Authorization"), await socket.recv()))
        for text in script:
            await socket.send(text)

    async with serve(speak, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", heard


def feed_of(url, slept, **more):
    async def sleep(seconds):
        slept.append(seconds)

    return WebSocketFeed(
        url, FieldMap(), subscribe='{"subscribe": {symbols}}', sleep=sleep, clock=lambda: NOW, chance=lambda: 1.0, **more
    )  # fmt: skip


async def test_it_subscribes_reconnects_and_goes_on():
    async with source([said(1), said(2)], [], [said(3)]) as (url, heard):
        slept: list[float] = []
        feed = feed_of(url, slept, headers={"Authorization": "x"})
        lasts = []
        async for batch in feed.batches(["A"]):
            lasts += [quote.last for quote in batch]
            if len(lasts) == 3:
                assert feed.connected
                break
    assert lasts == [1.0, 2.0, 3.0]
    assert heard == [("x", '{"subscribe": ["A"]}')] * 3
    assert (feed.reconnects, slept) == (2, [1.0, 2.0])  # a connection without a quote doubles the wait


async def test_rubbish_is_counted_and_other_symbols_are_left_out():
    script = ["nonsense", "[1]", said(1, "B"), '{"hello": 1}', said(2)]
    async with source(script) as (url, _heard):
        feed = feed_of(url, [])
        async for batch in feed.batches(["A"]):
            assert [(quote.symbol, quote.last) for quote in batch] == [("A", 2.0)]
            break
    assert feed.rejected == {"not_json": 1, "not_understood": 1}


async def test_nobody_there_is_tried_again_ever_more_slowly():
    slept: list[float] = []

    class Enough(Exception):
        pass

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 7:
            raise Enough

    async with source() as (url, _heard):
        pass  # the port is closed again
    feed = WebSocketFeed(url, FieldMap(), sleep=sleep, chance=lambda: 1.0)
    with pytest.raises(Enough):
        async for _batch in feed.batches([]):
            pass
    assert slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert not feed.connected
    assert feed.last_error


@pytest.mark.parametrize("url", ["http://x", "ws://", WITH_PASSWORD, "ws://x:99999", "ws://x y", "", "ws://x\n"])
def test_an_address_that_is_none_or_holds_a_password_is_refused(url):
    with pytest.raises(Refusal) as caught:
        WebSocketFeed(url, FieldMap())
    assert caught.value.field == "url"
