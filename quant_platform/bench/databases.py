"""Which database a benchmark measures on: SQLite, or a scratch database of a PostgreSQL server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_
from quant_platform.scratch import scratch_database

CHOICES = ("sqlite", "postgres")


def server_of(database: str = "") -> str:
    """Return the address of the server to measure on, empty for SQLite; without a choice what is in use."""
    address = os.environ.get("DATABASE_URL", "")
    if database == "sqlite":
        return ""
    if database == "postgres" and not address.startswith("postgres"):
        raise Refusal(
            "no_postgres", N_("Set DATABASE_URL to a PostgreSQL server; a database of its own is made there.")
        )
    return address


def kind_of(server: str) -> str:
    return "PostgreSQL" if server else "SQLite"


@contextmanager
def installation(server: str, word: str) -> Iterator[dict[str, str]]:
    """Yield the environment of an installation of its own, without data, that is gone afterwards."""
    with TemporaryDirectory(prefix=f"quant-{word}-") as folder, scratch_database(server, "bench") as database:
        yield {**os.environ, "VAR_DIR": str(Path(folder)), "DATABASE_URL": database, "QP_ENV": "development"}
