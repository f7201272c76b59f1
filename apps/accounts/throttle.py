"""How many API requests a token, an address or a browser may send in a minute.

A fixed window: in Redis where ``REDIS_URL`` is set, for all hosts, else in counters that the web
processes of this host share. Refused log-ins count against the address whatever token they carried, so that
guessing is as slow with a token in hand as without.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from apps.accounts.api_auth import bearer_of
from apps.accounts.engine.counters import SharedCounters
from apps.accounts.requests import client_address
from apps.ui.problems import problem

WINDOW = 60
#: Probes ask every few seconds and tell nothing that is worth guessing.
EXEMPT = frozenset({"/api/health", "/api/ready"})


@lru_cache(maxsize=1)
def _counters(folder: Path) -> SharedCounters:
    return SharedCounters(folder / "cache" / "requests")


def used(key: str, now: float) -> int:
    """Count one request of ``key`` in the running window and return how many that makes."""
    window = int(now // WINDOW)
    if not settings.REDIS_URL:
        return _counters(Path(settings.VAR_DIR)).count(key, window)
    slot = f"throttle:{window}:{key}"
    cache.add(slot, 0, WINDOW * 2)
    try:
        return int(cache.incr(slot))
    except ValueError:  # it ran out between the two
        cache.set(slot, 1, WINDOW * 2)
        return 1


def identity(request: HttpRequest) -> tuple[str, int]:
    """Return what the request is counted under and how many that may send."""
    address = client_address(request)
    if "Authorization" in request.headers:
        token = hashlib.sha256(bearer_of(request).encode("utf-8", "replace")).hexdigest()[:24]
        return f"token:{token}:{address}", settings.QP_API_RATE
    if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
        return f"session:{request.user.pk}:{address}", settings.QP_API_RATE_BROWSER
    return f"address:{address}", settings.QP_API_RATE


def refusal(now: float) -> HttpResponse:
    """Return the 429 with the seconds until the window ends."""
    wait = max(1, int(WINDOW - now % WINDOW) + 1)
    detail = gettext("Too many requests. Try again in %(seconds)s s.") % {"seconds": wait}
    answer = problem(429, "too_many_requests", detail, retry_after=wait)
    answer["Retry-After"] = str(wait)
    return answer


class ThrottleMiddleware:
    """Guards ``/api/``; 0 as a rate turns it off."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/api/") or request.path_info in EXEMPT or settings.QP_API_RATE <= 0:
            return self.get_response(request)
        now = time.time()
        key, most = identity(request)
        if most > 0 and used(key, now) > most:
            return refusal(now)
        answer = self.get_response(request)
        guessed = answer.status_code == 401 and key.startswith("token:")
        if guessed and used(f"address:{client_address(request)}", now) > settings.QP_API_RATE:
            return refusal(now)
        return answer
