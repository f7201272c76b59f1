"""The database and the channel layer that the environment asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from quant_platform.settings.env import SettingError

SQLITE_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;"


def database(url: str, var_dir: Path, *, pooled: bool = True) -> dict[str, Any]:
    """Return the Django database that ``DATABASE_URL`` names; SQLite in ``var_dir`` without one.

    SQLite runs in WAL with IMMEDIATE transactions: a deferred transaction that upgrades
    fails at once whatever its timeout (ADR 0003). PostgreSQL uses psycopg's pool in the web
    process, since persistent connections leak under ASGI; nowhere else (``pooled`` false),
    since the cluster forks and a pool does not survive that.
    """
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": var_dir / "quant.sqlite3",
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": SQLITE_PRAGMAS},
        }
    parts = urlparse(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise SettingError(f"DATABASE_URL begins with {parts.scheme!r}; expected postgres://.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 20, "timeout": 10}} if pooled else {},
    }


def channel_layer(redis_url: str) -> dict[str, Any]:
    """Return the channel layer: this process's memory, or Redis where several hosts serve.

    redis-py 8 caps its pool at 100 connections and raises beyond it, hence the explicit limit.
    """
    if not redis_url:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    return {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": redis_url, "max_connections": 1000}]},
    }


def mail(url: str) -> dict[str, Any]:
    """Return Django's mail settings for ``EMAIL_URL``; the console without one."""
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    parts = urlparse(url)
    if parts.scheme not in {"smtp", "smtps"}:
        raise SettingError(f"EMAIL_URL begins with {parts.scheme!r}; expected smtp:// or smtps://.")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname or "localhost",
        "EMAIL_PORT": parts.port or (465 if parts.scheme == "smtps" else 587),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_USE_TLS": parts.scheme == "smtp" and bool(parts.username),
    }
