"""The vault: text sealed with Fernet under the newest of the installation's keys (ADR 0051).

Only the program opens a secret; no page, endpoint, admin or export does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from apps.accounts.engine.redact import remember
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


class Secret:
    """An opened secret: ``value`` is the text, every other way to look at it shows nothing."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def fernet(keys: Sequence[str] | None = None) -> MultiFernet:
    """Return the cipher of ``keys``, or of the installation's; the first key seals."""
    return _fernet(tuple(keys if keys is not None else settings.VAULT_KEYS))


def seal(text: str) -> str:
    """Return ``text`` encrypted."""
    remember(text)
    return fernet().encrypt(text.encode()).decode("ascii")


def open_sealed(sealed: str) -> Secret:
    """Return what was sealed; refuses (``vault_key``) where no key of ours opens it."""
    try:
        value = fernet().decrypt(sealed.encode("ascii")).decode()
    except (InvalidToken, UnicodeEncodeError) as error:
        raise Refusal(
            "vault_key",
            N_("The key that sealed this secret is not here. Restore QP_VAULT_KEYS, or enter the secret again."),
            status=409,
        ) from error
    remember(value)
    return Secret(value)


def reseal(sealed: str) -> str:
    """Return the same secret under the newest key."""
    return fernet().rotate(sealed.encode("ascii")).decode("ascii")
