"""The handler of requests: one visit to a thread, ended when the answer is whole or its reader is gone."""

from __future__ import annotations

import asyncio
import threading

from django.http import HttpResponse, StreamingHttpResponse

from quant_platform import handler

SCOPE = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"host", b"testserver")]}


async def pieces():
    yield b"one"
    yield b"two"


class Chain:
    """Stands for the views behind the handler: answers ``response``, and notes what happened in which thread."""

    def __init__(self, monkeypatch, response):
        self.seen, self.sent, self.left = [], [], asyncio.Event()
        self.made = handler.RequestHandler()
        for name in ("request_started", "request_finished"):
            signal = handler.signals.__dict__[name]
            monkeypatch.setattr(signal, "receivers", [])
            monkeypatch.setattr(signal, "send", lambda *args, name=name, **more: self.note(name))

        def answer(request):
            self.note("view")
            return response

        monkeypatch.setattr(self.made, "get_response", answer)

    def note(self, what):
        self.seen.append((what, threading.get_ident()))

    async def ask(self, send=None, messages=({"type": "http.request"},)):
        queue = list(messages)

        async def receive():
            if queue:
                return queue.pop(0)
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def keep(message):
            self.sent.append(message)
            self.note(message["type"])

        await self.made(SCOPE, receive, send or keep)
        return [what for what, _ in self.seen]


async def test_a_request_is_one_visit_that_ends_before_the_answer_travels(monkeypatch):
    chain = Chain(monkeypatch, HttpResponse(b"whole"))
    happened = await chain.ask()
    assert happened == ["request_started", "view", "request_finished", "http.response.start", "http.response.body"]
    assert len({thread for what, thread in chain.seen if not what.startswith("http.")}) == 1
    assert chain.sent[0]["status"] == 200
    assert chain.sent[1] == {"type": "http.response.body", "body": b"whole", "more_body": False}


async def test_an_answer_in_pieces_ends_after_the_last(monkeypatch):
    chain = Chain(monkeypatch, StreamingHttpResponse(pieces()))
    happened = await chain.ask()
    assert happened[-1] == "request_finished"
    assert [message.get("body") for message in chain.sent[1:]] == [b"one", b"two", None]


async def test_a_reader_who_goes_away_ends_an_answer_in_pieces(monkeypatch):
    response = StreamingHttpResponse(pieces())
    chain = Chain(monkeypatch, response)

    async def send(message):
        if message["type"] == "http.response.body":
            chain.left.set()
            await asyncio.Event().wait()  # The socket takes nothing more.

    assert (await chain.ask(send))[-1] == "request_finished"
    assert response.closed


async def test_an_address_that_is_no_text_is_refused_and_the_request_ends(monkeypatch):
    chain = Chain(monkeypatch, None)
    monkeypatch.setattr(chain.made, "create_request", lambda scope, body: (None, HttpResponse(status=400)))
    assert (await chain.ask())[:2] == ["request_started", "request_finished"]
    assert chain.sent[0]["status"] == 400


async def test_a_reader_who_goes_away_before_all_is_said_is_not_answered(monkeypatch):
    chain = Chain(monkeypatch, HttpResponse(b"whole"))
    assert await chain.ask(messages=[{"type": "http.disconnect"}]) == []
