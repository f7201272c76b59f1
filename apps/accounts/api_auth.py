"""Who is calling the API: a token or JWT in ``Authorization: Bearer``, or the browser's session.

A token reaches only what its scopes name; the browser's session reaches all its person may.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie
from ninja.security.base import AuthBase

from apps.accounts.engine.scopes import EVERYTHING, allows, scope_needed
from apps.accounts.models import User
from apps.accounts.requests import client_address
from apps.accounts.tokens import Caller, caller_of
from apps.accounts.tokens import digest as token_digest
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

__all__ = ["SessionOrToken", "token_digest", "user_for_token"]
PREFIX = "/api/"


def user_for_token(token: str, address: str = "", scope: str = "sessions:read") -> User | None:
    """Return the active user of a valid token that covers ``scope`` (the live socket's by default)."""
    caller = caller_of(token, address)
    return caller.user if caller is not None and allows(caller.scopes, scope) else None


def bearer_of(request: HttpRequest) -> str:
    """Return the bearer token of a request, empty where there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class _Cookie(APIKeyCookie):
    """The browser's session; unsafe methods need the CSRF token."""

    def __init__(self) -> None:
        self.param_name = settings.SESSION_COOKIE_NAME
        super().__init__()

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        return request.user if request.user.is_authenticated else None  # type: ignore[return-value]


class SessionOrToken(AuthBase):
    """Sets ``request.user`` from whichever of the two is present, and ``request.token_scopes``."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self) -> None:
        super().__init__()
        self.cookie = _Cookie()

    def __call__(self, request: HttpRequest) -> Any:
        if "Authorization" in request.headers:
            caller = caller_of(bearer_of(request), client_address(request))
            return None if caller is None else self._within(request, caller)
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return None
        user = self.cookie(request)
        if user:
            request.user = user
            request.token_scopes = None  # type: ignore[attr-defined]
        return user

    def _within(self, request: HttpRequest, caller: Caller) -> User:
        needed = scope_needed(request.method or "GET", request.path_info.removeprefix(PREFIX))
        if not allows(caller.scopes, needed):
            raise Refusal(
                "scope_missing",
                N_("This token may not do that: it lacks the scope %(scope)s."),
                status=403,
                scope=needed,
            )
        request.user = caller.user
        request.token_scopes = caller.scopes  # type: ignore[attr-defined]
        return caller.user


def scopes_of(request: HttpRequest) -> tuple[str, ...]:
    """Return what the caller's token covers; the browser's session covers everything."""
    held: tuple[str, ...] | None = getattr(request, "token_scopes", None)
    return (EVERYTHING,) if held is None else held
