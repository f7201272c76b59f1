"""Sockets of the tests: opening one as somebody, waiting for a message, leaving nothing behind."""

from __future__ import annotations

import asyncio
import json

from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.test import Client

from apps.sessions.live import tailer
from apps.sessions.live.access import SameSite
from apps.sessions.routing import websocket_urlpatterns
from tests.sessions.live_fixtures import say

application = SameSite(URLRouter(websocket_urlpatterns))
said = sync_to_async(say)
#: How long anything may take on a machine that does much else.
PATIENCE = 20.0


class Socket(WebsocketCommunicator):
    """A socket that waits for its consumer to have left: one that is cut short leaves its seat taken."""

    async def connect(self, timeout=PATIENCE):
        return await super().connect(timeout)

    async def disconnect(self, code=1000, timeout=PATIENCE):
        await super().disconnect(code, timeout)


def cookie_of(user) -> bytes:
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}".encode()


def socket(query="", *, cookie=b"", headers=(), protocols=("json",), origin=b"http://testserver"):
    sent = [*headers]
    if origin:
        sent.append((b"origin", origin))
    if cookie:
        sent.append((b"cookie", cookie))
    return Socket(application, f"/ws/live/{query}", headers=sent, subprotocols=list(protocols))


async def opened(query, user, **more):
    ws = socket(query, cookie=await sync_to_async(cookie_of)(user), **more)
    connected, protocol = await ws.connect()
    assert connected
    assert protocol == (more.get("protocols") or ("json",))[0]
    return ws


async def until(ws, wanted, *, seconds=PATIENCE):
    """Return the first message for which ``wanted`` holds, and all before it."""
    seen = []
    async with asyncio.timeout(seconds):
        while True:
            text = await ws.receive_from(timeout=seconds)
            message = {"html": text} if text.startswith("<") else json.loads(text)
            seen.append(message)
            if wanted(message):
                return message, seen


def of_type(kind):
    return lambda message: message.get("type") == kind


async def watched(count=1):
    """Wait until ``count`` readers have caught up and follow live."""
    async with asyncio.timeout(PATIENCE):
        while sum(map(len, tailer.tailer().watchers.values())) < count:
            await asyncio.sleep(0.01)


async def eventually(holds):
    """Wait until ``holds()`` is true."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


async def close_code(ws):
    """Return the code the socket is closed with, and say like a server that it is."""
    message = await ws.receive_output(timeout=PATIENCE)
    while message["type"] != "websocket.close":
        message = await ws.receive_output(timeout=PATIENCE)
    await ws.disconnect(message["code"])
    return message["code"]
