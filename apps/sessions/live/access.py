"""Who is at the other end of a socket, and what that person may watch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.security.websocket import OriginValidator
from django.conf import settings
from django.http import parse_cookie

from apps.accounts.api_auth import user_for_token
from apps.accounts.engine.addresses import client
from apps.accounts.fresh import must_enrol
from apps.accounts.models import User
from apps.accounts.services import ticket_use
from apps.sessions.live.follower import Look
from apps.sessions.live.frames import PROTOCOLS
from apps.sessions.selectors import session_visible

FORBIDDEN_IN_QUERY = frozenset({"token", "access_token", "bearer", "authorization", "ticket", "api_key"})
Scope = Mapping[str, Any]


class BadAddress(Exception):
    """The socket's address cannot be understood; ``code`` says why."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


@dataclass(frozen=True)
class Address:
    """What the query string asks for: cursors by session, and how partials should look."""

    cursors: dict[int, int]
    view: str
    language: str
    quotes: bool = False


def parse_address(query: bytes) -> Address:
    """Read ``session=7&after=120&session=9&after=0``: an ``after`` belongs to the session before it.

    ``quotes=1`` asks to be told when quotes came.
    """
    cursors: dict[int, int] = {}
    view, language, current, quotes = "detail", "", None, False
    for name, value in parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True):
        if name.lower() in FORBIDDEN_IN_QUERY:
            raise BadAddress("token_in_query")
        if name == "session":
            current = _number(value)
            cursors[current] = 0
        elif name == "after" and current is not None:
            cursors[current] = _number(value)
        elif name == "view":
            view = value
        elif name == "quotes":
            quotes = value == "1"
        elif name == "language" and value in dict(settings.LANGUAGES):
            language = value
    return Address(cursors, view, language, quotes)


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise BadAddress("bad_query")
    return int(text)


def header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope.get("headers", ()) if key == name), "")


def protocol_of(scope: Scope) -> tuple[str, str | None]:
    """Return the protocol to speak and the one to confirm; programs that name none speak json."""
    offered = [name for name in scope.get("subprotocols", ()) if name in PROTOCOLS]
    return (offered[0], offered[0]) if offered else ("json", None)


def _credential(scope: Scope, prefix: str) -> str:
    """Return what follows ``prefix`` in the Authorization header or in a sub-protocol."""
    scheme, _, value = header(scope, b"authorization").partition(" ")
    if scheme.lower() == prefix:
        return value.strip()
    marked = (name for name in scope.get("subprotocols", ()) if name.startswith(f"{prefix}."))
    return next(marked, "").removeprefix(f"{prefix}.")


def address_of(scope: Scope) -> str:
    """Return the address at the other end; behind our own proxies the one they saw."""
    hops = settings.QP_PROXY_HOPS if settings.BEHIND_PROXY else 0
    return client((scope.get("client") or [""])[0], header(scope, b"x-forwarded-for"), hops)


@database_sync_to_async
def _user_of_program(token: str, ticket: str, address: str = "") -> User | None:
    return user_for_token(token, address) if token else ticket_use(ticket)


def session_key(scope: Scope) -> str:
    """Return the key of the browser's session, empty without one."""
    return parse_cookie(header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME, "")


async def user_of_browser(scope: Scope) -> User | None:
    """Return the person whose browser session the cookie names, read afresh."""
    key = session_key(scope)
    if not key:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = await get_user({"session": store})
    if not isinstance(user, User) or await database_sync_to_async(must_enrol)(user):
        return None
    return user


async def authenticate(scope: Scope) -> User | None:
    """Return the active user of a token, a single-use ticket or the browser's session."""
    token, ticket = _credential(scope, "bearer"), _credential(scope, "ticket")
    if token or ticket:
        return await _user_of_program(token, ticket, address_of(scope))
    return await user_of_browser(scope)


async def still_welcome(scope: Scope, user: User) -> bool:
    """Tell whether the log-in or token that opened the socket is still good."""
    if token := _credential(scope, "bearer"):
        return await _user_of_program(token, "", address_of(scope)) is not None
    if _credential(scope, "ticket"):
        return await User.objects.filter(pk=user.pk, is_active=True, session_epoch=user.session_epoch).aexists()
    return await user_of_browser(scope) == user


async def same_rights(user: User) -> bool:
    """Tell whether role and limits are what they were when the socket opened."""
    now = await User.objects.filter(pk=user.pk).values_list("role", "trading_enabled").afirst()
    return now == (user.role, user.trading_enabled)


@database_sync_to_async
def may_watch(user: User, sessions: Iterable[int]) -> bool:
    """Tell whether every one of ``sessions`` is there and this person's, in one query."""
    wanted = set(sessions)
    return not wanted or session_visible(user).filter(pk__in=wanted).count() == len(wanted)


def look_of(scope: Scope, user: User, address: Address) -> Look:
    cookie = parse_cookie(header(scope, b"cookie")).get(settings.LANGUAGE_COOKIE_NAME, "")
    known = dict(settings.LANGUAGES)
    choices = (address.language, user.language, cookie, settings.LANGUAGE_CODE)
    return Look(address.view, next(choice for choice in choices if choice in known), user.time_zone)


class SameSite(OriginValidator):
    """Browsers always say where a socket comes from and must come from this site; programs say
    nothing, carry no cookie of a stranger, and are let through to be authenticated."""

    def __init__(self, application: Any) -> None:
        super().__init__(application, settings.ALLOWED_HOSTS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if not header(scope, b"origin"):
            return await self.application(scope, receive, send)
        return await super().__call__(scope, receive, send)
