"""Log-in with a lock after repeated wrong passwords.

Names are counted whether or not they exist and every refusal reads the same, so that nobody
learns which names are real. The counting is one UPDATE, right under parallel guesses.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import LoginLock, User
from apps.accounts.requests import client_address
from apps.accounts.services import audit
from apps.ui.prepared import prepared

FORGOTTEN_AFTER = timedelta(days=7)


def locked(username: str, address: str = "") -> bool:
    """Tell whether ``username``, or anybody from ``address``, may not try at present."""
    names = Q(kind="name", username=_key(username))
    if address:
        names |= Q(kind="address", username=address)
    return LoginLock.objects.filter(names, locked_until__gt=timezone.now()).exists()


def _key(username: str) -> str:
    return username.strip().lower()[:150]


def note_failure(username: str, address: str = "") -> None:
    """Count a wrong password or code; the last one allowed locks the name, and the address at its own limit."""
    _count("name", _key(username), settings.QP_LOGIN_FAILURES)
    if address and settings.QP_ADDRESS_FAILURES > 0:
        _count("address", address, settings.QP_ADDRESS_FAILURES)


def _count(kind: str, key: str, most: int) -> None:
    """Count one failure; old ones are forgotten."""
    now, window = timezone.now(), timedelta(seconds=settings.QP_LOGIN_LOCK_SECONDS)
    LoginLock.objects.get_or_create(kind=kind, username=key)
    row = LoginLock.objects.filter(kind=kind, username=key)
    row.filter(last_failure__lt=now - window).update(failures=0, locked_until=None)
    row.update(failures=F("failures") + 1, last_failure=now)
    if row.filter(failures__gte=most, locked_until=None).update(locked_until=now + window):
        audit(None, "login.lock", None, {kind: key}, key if kind == "address" else None)
        # Guessed names would pile up; the days-old ones count for nothing.
        LoginLock.objects.filter(last_failure__lt=now - max(window, FORGOTTEN_AFTER)).delete()


@prepared
def _person(pk: int) -> QuerySet[User]:
    return User.objects.filter(pk=pk)


class LockingModelBackend(ModelBackend):
    """Checks the lock before the password, and counts what was wrong."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        username = username if username is not None else kwargs.get("username")
        if username is None or password is None:
            return None
        address = client_address(request) if request is not None else ""
        if "\x00" in username or locked(username, address):
            # As slow as a real check, so that the time does not tell a locked name from an open one.
            # PostgreSQL refuses NUL in a text, and no name has one.
            User().set_password(password)
            return None
        user = super().authenticate(request, username=username, password=password)
        if user is None:
            note_failure(username, address)
            return None
        LoginLock.objects.filter(kind="name", username=_key(username)).delete()
        return user  # type: ignore[return-value]

    def get_user(self, user_id: int) -> User | None:
        """Return the person of a browser's session; a statement of every request."""
        user = _person.first(user_id)
        return user if user is not None and self.user_can_authenticate(user) else None
