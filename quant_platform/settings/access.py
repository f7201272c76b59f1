"""Settings of log-in, second factors, sharing across origins, and the vault's keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from quant_platform.settings.env import SettingError

APPS = ["corsheaders", "allauth", "allauth.account", "allauth.mfa", "allauth.usersessions"]


def allauth(values: dict[str, Any], *, production: bool) -> dict[str, Any]:
    """Return django-allauth's settings: its log-in stages and second factors, our pages and lock-out."""
    return {
        "ACCOUNT_ADAPTER": "apps.accounts.adapters.AccountAdapter",
        "ACCOUNT_LOGIN_METHODS": {"username"},
        "ACCOUNT_SIGNUP_FIELDS": ["username*", "email*", "password1*", "password2*"],
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_EMAIL_NOTIFICATIONS": True,
        "ACCOUNT_REAUTHENTICATION_TIMEOUT": values["QP_REAUTH_SECONDS"],
        # Guessing is counted in the database (apps.accounts.backends), right across processes and restarts.
        "ACCOUNT_RATE_LIMITS": False,
        "MFA_ADAPTER": "apps.accounts.adapters.MFAAdapter",
        "MFA_FORMS": {
            "authenticate": "apps.accounts.factor_forms.AuthenticateForm",
            "reauthenticate": "apps.accounts.factor_forms.ReauthenticateForm",
        },
        "MFA_SUPPORTED_TYPES": ["totp", "recovery_codes", "webauthn"],
        "MFA_PASSKEY_LOGIN_ENABLED": True,
        "MFA_ALLOW_UNVERIFIED_EMAIL": True,
        "MFA_TOTP_ISSUER": "Quant Platform",
        "MFA_TOTP_TOLERANCE": 1,
        # Browsers treat http://localhost as secure; anything else needs TLS anyway.
        "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN": not production,
        "USERSESSIONS_TRACK_ACTIVITY": False,
    }


def cors(origins: list[str]) -> dict[str, Any]:
    """Return the settings of django-cors-headers: closed, but for the named origins, on the API, without cookies."""
    return {
        "CORS_ALLOWED_ORIGINS": origins,
        "CORS_URLS_REGEX": r"^/api/.*$",
        "CORS_ALLOW_CREDENTIALS": False,
        "CORS_EXPOSE_HEADERS": ["Retry-After"],
    }


def vault_keys(given: list[str], var_dir: Path) -> list[str]:
    """Return the vault's keys, newest first: the given ones, else those of this installation, made once."""
    keys = given or _kept(var_dir / "vault_keys")
    for key in keys:
        try:
            Fernet(key)
        except ValueError as error:
            raise SettingError("QP_VAULT_KEYS holds something that is no Fernet key; make one with "
                               "`manage.py secrets new-key`.") from error  # fmt: skip
    return keys


def _kept(path: Path) -> list[str]:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").split()
    key = Fernet.generate_key().decode("ascii")
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key + "\n")
    return [key]


def cache(redis_url: str, var_dir: Path) -> dict[str, Any]:
    """Return the cache that all web processes share: Redis where several hosts serve the web, else files."""
    if redis_url:
        return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}
    return {
        "BACKEND": "apps.ui.shared_cache.SharedCache",
        "LOCATION": str(var_dir / "cache" / "shared"),
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
