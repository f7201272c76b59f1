"""Codes of a second factor: a wrong one counts like a wrong password and locks like one."""

from __future__ import annotations

from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as base

from apps.accounts.backends import locked
from apps.accounts.requests import client_address


class LockedCode:
    """Refuses every code of a locked person, the right one too, with the words of a wrong one."""

    def clean_code(self) -> str:
        address = client_address(context.request) if context.request is not None else ""
        if locked(self.user.get_username(), address):  # type: ignore[attr-defined]
            raise get_adapter().validation_error("incorrect_code")
        code: str = super().clean_code()  # type: ignore[misc]
        return code


class AuthenticateForm(LockedCode, base.AuthenticateForm):
    """The code at log-in."""


class ReauthenticateForm(LockedCode, base.ReauthenticateForm):
    """The code before something sensitive."""
