"""Who is behind a request."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from apps.accounts.models import User


def signed_in(request: HttpRequest) -> User:
    """Return the person behind a request that passed ``login_required``, the admin or the API's authentication."""
    return cast(User, request.user)
