"""A database for one run: made on a PostgreSQL server, gone afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from django.core.management.base import CommandError


@contextmanager
def scratch_database(server: str, word: str) -> Iterator[str]:
    """Yield the URL of an empty database ``<word>_…`` on the server of ``server``; empty for SQLite (no server)."""
    if not server:
        yield ""
        return
    import psycopg

    name = f"{word}_{secrets.token_hex(6)}"
    try:
        connection = psycopg.connect(server, autocommit=True)
    except psycopg.ProgrammingError:  # its text would repeat the address, with the password in it
        raise CommandError("--database is no address like postgres://user@host:5432/name.") from None
    except psycopg.OperationalError as error:
        raise CommandError(str(error).strip()) from error
    with connection as admin:
        admin.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[arg-type]
