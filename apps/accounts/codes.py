"""Second factors of programs that log in by name and password: the code comes along."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from apps.accounts.backends import locked, note_failure
from apps.accounts.models import User
from apps.accounts.requests import client_address


def check_code(request: HttpRequest, user: User, code: str) -> bool:
    """Tell whether ``code`` is the app's or an unused recovery code of ``user``; a wrong one counts and locks."""
    address = client_address(request)
    if not code.strip() or locked(user.username, address):
        return False
    kinds = [Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES]
    for factor in Authenticator.objects.filter(user=user, type__in=kinds):
        if factor.wrap().validate_code(code.strip()):
            factor.record_usage()
            return True
    note_failure(user.username, address)
    return False
