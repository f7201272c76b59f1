"""What log-ins and second factors leave behind: an audit row, a device, a proof of who sat there."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.requests import client_address


def connect() -> None:
    """Connect the receivers; once, from the room's ``ready``."""
    from allauth.mfa import signals as factors

    user_logged_in.connect(on_login, dispatch_uid="accounts.login")
    user_logged_out.connect(on_logout, dispatch_uid="accounts.logout")
    factors.authenticator_added.connect(on_factor("factor.add"), weak=False, dispatch_uid="accounts.factor.add")
    factors.authenticator_removed.connect(on_factor("factor.remove"), weak=False, dispatch_uid="accounts.factor.remove")
    factors.authenticator_reset.connect(on_factor("factor.reset"), weak=False, dispatch_uid="accounts.factor.reset")
    factors.authentication_failed.connect(on_wrong_code, dispatch_uid="accounts.factor.failed")


def on_login(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    from apps.accounts.devices import note_device
    from apps.accounts.services import audit

    if request is None or not hasattr(request, "session"):
        return
    if not get_authentication_records(request, user):
        record_authentication(request, user, method="invitation")
    note_device(request, user)
    methods = sorted({str(one.get("type") or one["method"]) for one in get_authentication_records(request, user)})
    audit(user, "login.success", user, {"methods": methods}, client_address(request) or None)


def on_logout(sender: Any, request: HttpRequest | None, user: User | None, **kwargs: Any) -> None:
    from apps.accounts.devices import forget_device
    from apps.accounts.services import audit

    if request is not None and user is not None:
        forget_device(request)
        audit(user, "login.end", user, None, client_address(request) or None)


def on_factor(action: str) -> Any:
    def receive(sender: Any, request: HttpRequest, user: User, authenticator: Any, **kwargs: Any) -> None:
        from apps.accounts.services import audit

        audit(user, action, user, {"type": str(authenticator.type)})
        if action == "factor.add" and authenticator.type != "recovery_codes":
            # Whoever sets a factor up has just shown that they hold it.
            record_authentication(request, user, method="mfa", type=str(authenticator.type))

    return receive


def on_wrong_code(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    from apps.accounts.backends import note_failure

    note_failure(user.get_username(), client_address(request) if request is not None else "")
