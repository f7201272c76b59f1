"""Rubbish over the live socket: whatever is said, it is answered as documented and the socket lives; nothing leaks.

``QP_FUZZ_EXAMPLES`` sets how many conversations each sub-protocol gets; ``make fuzz`` asks for more.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import Counter

import pytest
from asgiref.sync import async_to_sync
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.sessions.live.connection import ERRORS
from apps.sessions.models import Session
from tests.conftest import ROOT
from tests.sessions.live_fixtures import make_session, points, say
from tests.sessions.sockets import cookie_of, socket

pytestmark = [pytest.mark.django_db(transaction=True)]
EXAMPLES = int(os.environ.get("QP_FUZZ_EXAMPLES", "3"))
FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
#: What a program may hear: the words of the document that tells programs.
TYPES = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs/api.md").read_text(encoding="utf-8")))
#: What must never be said: how the program failed, where it lies, whose the other session is.
LEAKS = re.compile(r"Traceback|site-packages|argon2\$|OperationalError|DataError|bobs-own-secret")
KINDS = ["subscribe_session", "unsubscribe_session", "ping", "pong", "connection_established", "hear", "__class__"]
NUMBERS = st.one_of(
    st.integers(-3, 12), st.integers(), st.sampled_from([2**31, 2**63 - 1, 2**63, -(2**63), 10**400]), st.booleans()
)
JSON = st.recursive(
    st.one_of(st.none(), NUMBERS, st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
#: Well formed, about a session that is there: MINE and OTHERS become their numbers.
AIMED = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["subscribe_session", "unsubscribe_session"]),
        "session_id": st.sampled_from(["MINE", "OTHERS"]),
    },
    optional={"after": NUMBERS},
).map(json.dumps)
MESSAGES = st.one_of(
    AIMED,
    AIMED,
    st.fixed_dictionaries(
        {"type": st.sampled_from(KINDS)}, optional={"session_id": st.one_of(NUMBERS, JSON), "after": st.one_of(NUMBERS, JSON)}
    ).map(json.dumps),
    st.fixed_dictionaries({"type": JSON}, optional={"session_id": JSON}).map(json.dumps),
    JSON.map(json.dumps),
    st.text(max_size=60),
    st.binary(max_size=60),
    st.sampled_from(["", "\x00", "[" * 5000, "9" * 5000, '{"type": "ping"' + " " * 5000, '{"a":' * 2000, "NaN", "\ud7ff"]),
)  # fmt: skip
SAID: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def told():
    """Say how much was said and heard; ``make fuzz`` shows it."""
    yield
    print(
        f"\n{SAID['said']:,} messages over the socket, answers: { {k: v for k, v in sorted(SAID.items()) if k != 'said'} }"
    )


async def conversation(protocol: str, cookie: bytes, query: str, messages: list[str | bytes], other: int) -> None:
    """Say all of it on one socket, then ask for a sign of life, and look at everything that was heard."""
    ws = socket(query, cookie=cookie, protocols=(protocol,))
    connected, chosen = await ws.connect(timeout=20)
    assert (connected, chosen) == (True, protocol)
    for message in messages:
        SAID["said"] += 1
        part = "bytes" if isinstance(message, bytes) else "text"
        await ws.send_input({"type": "websocket.receive", part: message})
    await ws.send_to(text_data='{"type": "unsubscribe_session", "session_id": 4242}')
    async with asyncio.timeout(60):
        while True:
            heard = await ws.receive_output(timeout=60)
            assert heard["type"] == "websocket.send", f"closed with {heard.get('code')} after {messages!r}"
            text = heard["text"]
            assert not LEAKS.search(text), (messages, text)
            if text.startswith("<"):
                assert protocol == "html"
                continue
            answer = json.loads(text)
            kind = answer.get("type", "points" if "points" in answer else "?")
            SAID[kind] += 1
            if protocol == "json":
                assert kind in TYPES, answer
            if kind != "session_unsubscribed":
                assert answer.get("session_id") != other, "heard of a session that is somebody else's"
            if kind == "error":
                assert answer["code"] in ERRORS
                assert answer["message"]
            if kind == "session_unsubscribed" and answer["session_id"] == 4242:
                break
    await ws.disconnect()


@pytest.mark.parametrize("protocol", ["json", "html"])
def test_whatever_is_said_is_answered_and_tells_nothing(protocol, alice, bob):
    mine = say(make_session(alice), points(1), points(2))
    other = make_session(bob, name="bobs-own-secret")
    say(other, points(1, reward=7.0))
    cookie, queries = cookie_of(alice), ["", f"?session={mine.pk}&after=0"]

    def told_of(message):
        if isinstance(message, bytes):
            return message
        return message.replace('"MINE"', str(mine.pk)).replace('"OTHERS"', str(other.pk))

    @FUZZ
    @given(messages=st.lists(MESSAGES, min_size=1, max_size=12), query=st.sampled_from(queries))
    def every(messages, query):
        async_to_sync(conversation)(protocol, cookie, query, [told_of(one) for one in messages], other.pk)

    every()
    assert Session.objects.filter(pk__in=[mine.pk, other.pk], status="running").count() == 2, "words changed a session"


QUERIES = st.one_of(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40),
    st.lists(
        st.tuples(st.sampled_from(["session", "after", "view", "token", "lang", "x"]), st.text(max_size=12)), max_size=5
    ).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)),
    st.sampled_from(["session=1" + "0" * 400, "session=1&after=-1", "session=" + "1&session=" * 300 + "1", "%00=%ff&session=%00"]),
)  # fmt: skip


@pytest.mark.parametrize("who", ["alice", None])
def test_whatever_address_is_asked_for_opens_or_closes_with_a_documented_code(request, who):
    cookie = cookie_of(request.getfixturevalue(who)) if who else b""

    async def ask(query: str) -> None:
        ws = socket("?" + query, cookie=cookie)
        connected, _protocol = await ws.connect(timeout=20)
        assert connected, "the socket accepts first, so that a browser can read the code"
        SAID["said"] += 1
        heard = await ws.receive_output(timeout=20)
        while heard["type"] == "websocket.send":
            assert not LEAKS.search(heard["text"])
            answer = json.loads(heard["text"])
            SAID[answer["type"]] += 1
            if answer["type"] == "connection_established":
                assert who, "nobody without a log-in comes this far"
                break
            heard = await ws.receive_output(timeout=20)
        if heard["type"] == "websocket.close":
            SAID[str(heard["code"])] += 1
            assert heard["code"] in {4400, 4401, 4403, 4429}
        await ws.disconnect()

    @FUZZ
    @given(query=QUERIES)
    def every(query):
        async_to_sync(ask)(query.encode("ascii", "ignore").decode())

    every()
