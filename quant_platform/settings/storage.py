"""The database and the mail that the environment asks for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from quant_platform.settings.env import SettingError

SQLITE_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;"


#: How long a thread of a web process keeps its connection to SQLite.
SQLITE_SECONDS = 60
#: Web processes without a declared number, and the connections to PostgreSQL that all of them together keep.
MOST_PROCESSES, CONNECTIONS = 4, 40
#: PostgreSQL keeps the plan of a statement that comes for the third time on a connection.
PREPARED_FROM = 2


def web_processes(declared: int) -> int:
    """Return how many processes serve the web: as declared, or one a core up to four. Raises ``SettingError``."""
    if declared < 0:
        raise SettingError(f"QP_WEB_PROCESSES is {declared}; expected 0 or the number of processes.")
    return declared or max(1, min(os.cpu_count() or 1, MOST_PROCESSES))


def pool_size(processes: int) -> int:
    """Return the most connections that one of ``processes`` pools."""
    return max(5, min(20, CONNECTIONS // processes))


def database(url: str, var_dir: Path, *, pool: int = 20, prepared: bool = True) -> dict[str, Any]:
    """Return the Django database that ``DATABASE_URL`` names; SQLite in ``var_dir`` without one.

    SQLite runs in WAL with IMMEDIATE transactions: a deferred transaction that upgrades
    fails at once whatever its timeout (ADR 0003). PostgreSQL uses psycopg's pool in the web
    processes, since persistent connections leak under ASGI; nowhere else (``pool`` 0), since
    the cluster forks and a pool does not survive that. ``prepared`` lets the server keep plans of
    what the web asks often; a pooler in between that deals connections by transaction forbids that.
    """
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": var_dir / "quant.sqlite3",
            # Opening is 1.5 ms of work; the threads of a web process are used again.
            "CONN_MAX_AGE": SQLITE_SECONDS if pool else 0,
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": SQLITE_PRAGMAS},
        }
    parts = urlparse(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise SettingError(f"DATABASE_URL begins with {parts.scheme!r}; expected postgres://.")
    options: dict[str, Any] = {"pool": {"min_size": 1, "max_size": pool, "timeout": 10}} if pool else {}
    if pool and prepared:
        options["prepare_threshold"] = PREPARED_FROM
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,
        "OPTIONS": options,
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
