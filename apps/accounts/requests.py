"""The request in hand: where it came from, for whoever writes the audit."""

from __future__ import annotations

from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest

from apps.accounts.engine.addresses import client

#: Address of the request this code runs for; empty in commands and jobs.
current_address: ContextVar[str] = ContextVar("current_address", default="")


def client_address(request: HttpRequest) -> str:
    """Return the address a request came from; ``X-Forwarded-For`` counts behind our own proxies only."""
    hops = settings.QP_PROXY_HOPS if settings.BEHIND_PROXY else 0
    return client(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""), hops)
