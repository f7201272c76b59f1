"""Fresh log-ins: what is sensitive wants a proof of who sits there, not older than a quarter of an hour.

People with a second factor prove it with that factor; a password alone is not enough for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.core.exceptions import ReauthenticationRequired
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

View = Callable[..., HttpResponse]


def has_second_factor(user: Any) -> bool:
    """Tell whether ``user`` has an authenticator app or a passkey."""
    from allauth.mfa.models import Authenticator

    kinds = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
    return bool(user.is_authenticated and is_mfa_enabled(user, kinds))


def must_enrol(user: Any) -> bool:
    """Tell whether ``QP_SECOND_FACTOR`` asks ``user`` for a second factor that is not there yet."""
    wanted = settings.QP_SECOND_FACTOR
    asked = wanted == "all" or (wanted == "administrators" and getattr(user, "is_administrator", False))
    return bool(asked and user.is_authenticated and not has_second_factor(user))


def is_fresh(request: HttpRequest) -> bool:
    """Tell whether this browser's person proved who they are within ``QP_REAUTH_SECONDS``."""
    user: Any = request.user
    if not user.is_authenticated or not hasattr(request, "session"):
        return False
    oldest = time.time() - settings.QP_REAUTH_SECONDS
    recent = [one for one in get_authentication_records(request, user) if one.get("at", 0) > oldest]
    if not recent:
        return False
    return any(one.get("method") == "mfa" for one in recent) or not has_second_factor(user)


def fresh_login_required(view: View) -> View:
    """Ask for a fresh proof before ``view``; the person comes back to where they were."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        require_fresh(request)
        return view(request, *args, **kwargs)

    return guarded


def require_fresh(request: HttpRequest) -> None:
    """Raise allauth's ``ReauthenticationRequired``, which its middleware turns into the page that asks."""
    if not is_fresh(request):
        raise ReauthenticationRequired


def require_fresh_api(request: HttpRequest) -> None:
    """For the API: a browser's session must be fresh; a token has its scopes instead."""
    if getattr(request, "token_scopes", None) is None and not is_fresh(request):
        raise Refusal(
            "reauthentication_required",
            N_("Confirm who you are first: your last proof is too old for this."),
            status=403,
            url="/accounts/reauthenticate/",
        )
