"""The browsers somebody is logged in with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.http import Http404, HttpRequest
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.requests import client_address
from apps.accounts.services import audit

#: How exact "last seen" is; it costs one small write per browser and minute.
SEEN_EVERY = 60


@dataclass(frozen=True)
class Device:
    """One logged-in browser, as its owner sees it."""

    id: int
    agent: str
    address: str
    since: datetime
    seen: datetime
    current: bool


def note_device(request: HttpRequest, user: User) -> None:
    """Remember the browser that just logged in."""
    if not request.session.session_key:
        request.session.save()
    UserSession.objects.update_or_create(
        session_key=request.session.session_key,
        defaults={
            "user": user,
            "ip": client_address(request) or "0.0.0.0",  # noqa: S104 - stands for "unknown"
            "user_agent": request.META.get("HTTP_USER_AGENT", "")[:200],
            "last_seen_at": timezone.now(),
        },
    )
    cache.set(_seen(request), 1, SEEN_EVERY)


def _seen(request: HttpRequest) -> str:
    return f"device-seen:{request.session.session_key}"


def note_seen(request: HttpRequest) -> None:
    """Note that this browser is in use."""
    if request.session.session_key and cache.add(_seen(request), 1, SEEN_EVERY):
        UserSession.objects.filter(session_key=request.session.session_key).update(
            last_seen_at=timezone.now(), ip=client_address(request) or "0.0.0.0"  # noqa: S104
        )  # fmt: skip


def forget_device(request: HttpRequest) -> None:
    UserSession.objects.filter(session_key=request.session.session_key).delete()


def devices_of(user: User, current_key: str | None = "") -> list[Device]:
    """Return where ``user`` is logged in, the browser at hand first; dead entries are cleared away."""
    rows = UserSession.objects.purge_and_list(user)
    found = [
        Device(
            row.pk, row.user_agent, "" if row.ip == "0.0.0.0" else row.ip, row.created_at, row.last_seen_at,  # noqa: S104
            row.session_key == current_key,
        )
        for row in rows
    ]  # fmt: skip
    return sorted(found, key=lambda one: (not one.current, -one.seen.timestamp()))


def device_end(user: User, pk: int) -> None:
    """Log one browser of ``user`` out; another's is not there."""
    row = UserSession.objects.filter(user=user, pk=pk).first() if pk < 2**63 else None
    if row is None:
        raise Http404
    row.end()
    audit(user, "login.end_device", user, {"agent": row.user_agent, "address": row.ip})
