"""Our side of django-allauth: addresses, fresh log-ins, and second factors sealed in the vault."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest

from apps.accounts import vault
from apps.accounts.fresh import has_second_factor, is_fresh
from apps.accounts.requests import client_address


class AccountAdapter(DefaultAccountAdapter):
    """Log-in by name and password, no signing up: people are invited."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or "0.0.0.0"  # noqa: S104 - stands for "unknown"

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        request = context.request
        return request is None or not is_fresh(request)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """People with a second factor prove it, others their password."""
        methods = super().get_reauthentication_methods(user)
        if has_second_factor(user):
            return [one for one in methods if one["id"].startswith("mfa")]
        return methods


class MFAAdapter(DefaultMFAAdapter):
    """Second factors: their secrets lie encrypted in the database."""

    def encrypt(self, text: str) -> str:
        return vault.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return vault.open_sealed(encrypted_text).value

    def get_totp_label(self, user: Any) -> str:
        return str(user.get_username())
