"""System checks for our own mistakes: ``manage.py check`` names each by an id."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register

from apps.ui import npm_finder

HOST_CACHE = "apps.ui.shared_cache.SharedCache"


@register(Tags.compatibility)
def jobs(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """The cluster is a doorbell: it must never start a job twice or run out of launchers."""
    cluster = settings.Q_CLUSTER
    found: list[CheckMessage] = []
    if cluster["retry"] <= cluster["timeout"]:
        found.append(
            Error(
                f"Q_CLUSTER retry ({cluster['retry']} s) is not above its timeout ({cluster['timeout']} s).",
                hint="The broker would hand out a job that still runs. Make retry the larger one.",
                id="quant.E001",
            )
        )
    if cluster["workers"] < settings.SLOTS:
        found.append(
            Warning(
                f"Q_CLUSTER has {cluster['workers']} launchers for {settings.SLOTS} slots.",
                hint="Some slots can never be used. Give it one launcher more than slots.",
                id="quant.W002",
            )
        )
    return found


@register(Tags.files)
def folder(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Everything that is kept lies in ``VAR_DIR``."""
    path = Path(settings.VAR_DIR)
    if path.is_dir() and os.access(path, os.W_OK | os.X_OK):
        return []
    return [
        Error(f"VAR_DIR {path} is not a folder that can be written.", hint="Create it or set VAR_DIR.", id="quant.E002")
    ]


@register(Tags.database)
def transactions(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """A deferred SQLite transaction that becomes a write fails at once, whatever its time-out."""
    found: list[CheckMessage] = []
    for alias, database in settings.DATABASES.items():
        mode = database.get("OPTIONS", {}).get("transaction_mode")
        if database["ENGINE"].endswith("sqlite3") and mode != "IMMEDIATE":
            found.append(
                Error(
                    f"The SQLite database {alias!r} does not begin its transactions IMMEDIATE.",
                    hint='Set OPTIONS["transaction_mode"] to "IMMEDIATE".',
                    id="quant.E003",
                )
            )
    return found


@register(Tags.caches)
def cache(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """PostgreSQL is what several hosts share; a cache of files is what they should not."""
    shared = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
    if not shared or settings.CACHES["default"]["BACKEND"] != HOST_CACHE:
        return []
    return [
        Info(
            "Rate limits and used codes are counted on this host.",
            hint="Right for one web host. Set REDIS_URL where several hosts serve the web.",
            id="quant.I001",
        )
    ]


@register(Tags.security, deploy=True)
def transport(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """In production the site redirects to https; something must speak it."""
    found: list[CheckMessage] = []
    if not settings.PRODUCTION:
        return [Warning("QP_ENV is not production.", hint="Set QP_ENV=production.", id="quant.W001")]
    if not settings.BEHIND_PROXY:
        found.append(
            Warning(
                "Nothing here speaks TLS, and no proxy that does is announced.",
                hint="Put a proxy with TLS in front and set BEHIND_PROXY=1, or every page redirects for ever.",
                id="quant.W003",
            )
        )
    if not settings.METRICS_TOKEN:
        found.append(
            Warning(
                "/metrics has no token: only this machine may read it.",
                hint="Set METRICS_TOKEN if another machine scrapes it.",
                id="quant.W004",
            )
        )
    return found


@register(Tags.staticfiles)
def charts(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Node is optional."""
    if npm_finder.available():
        return []
    return [
        Info(
            "The chart libraries are not installed: charts are drawn by the server.",
            hint="Run npm ci for charts that can be zoomed.",
            id="quant.I002",
        )
    ]
