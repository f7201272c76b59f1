"""A table or a query of a database: PostgreSQL by the network, SQLite below the import folder; read-only."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from apps.marketdata.engine.sources.config import FROM, SourceConfig, days_again, extra, first_day_asked
from apps.marketdata.engine.sources.folder import inside
from apps.marketdata.engine.sources.network import TryAgain
from apps.marketdata.engine.sources.port import MOST_SYMBOLS, Fetched, Job, Piece, Said
from apps.marketdata.engine.sources.sql_text import checked_name, checked_query, quoted
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

ONE_OF = N_("Name a table or write a query, one of the two.")
NO_HOST = N_("Name the host of the database.")
NO_FILE = N_("There is no file %(file)s below the import folder of the server.")
FAILED = N_("The database refused or failed: %(reason)s")
REACHED = N_("The database answers; the columns are %(columns)s.")
NO_COLUMN = N_("The result has no column %(column)s. It has %(known)s.")
TOO_LARGE = N_("The query brings more than %(most)s MB. An administrator can raise QP_SOURCE_LIMIT_MB.")
BATCH = 2_000
MEGABYTE = 1024 * 1024
SINCE = ":since"


class SqlConfig(SourceConfig):
    """Which database, and what of it."""

    engine: Literal["postgresql", "sqlite"] = Field(
        "postgresql",
        title=N_("Database"),
        description=N_("PostgreSQL over the network, or a SQLite file in the import folder."),
        json_schema_extra=extra(FROM),
    )
    host: str = Field(
        "",
        max_length=200,
        title=N_("Host"),
        description=N_("Its name; user and password are kept as a secret."),
        json_schema_extra=extra(FROM, only={"engine": "postgresql"}),
    )
    port: int = Field(
        5432,
        ge=1,
        le=65_535,
        title=N_("Port"),
        description=N_("Usually 5432."),
        json_schema_extra=extra(FROM, only={"engine": "postgresql"}),
    )
    encrypted: bool = Field(
        True,
        title=N_("Only encrypted"),
        description=N_("Refuse a server that offers no encryption."),
        json_schema_extra=extra(FROM, only={"engine": "postgresql"}),
    )
    database: str = Field(
        "",
        max_length=200,
        title=N_("Name of the database"),
        description=N_("For SQLite the file, like vendor/prices.sqlite3."),
        json_schema_extra=extra(FROM),
    )
    table: str = Field(
        "",
        max_length=200,
        title=N_("Table"),
        description=N_("Or a view, like prices or public.prices."),
        json_schema_extra=extra(FROM),
    )
    query: str = Field(
        "",
        max_length=20_000,
        title=N_("Query"),
        description=N_("Instead of a table: one SELECT; :since stands for the day of the newest bar."),
        json_schema_extra=extra(FROM, widget="text_area"),
    )
    date_column: str = Field(
        "date",
        max_length=63,
        title=N_("Column of the time"),
        description=N_("Rows of a table from the newest bar on are fetched by it."),
        json_schema_extra=extra(FROM),
    )
    symbol_column: str = Field(
        "symbol",
        max_length=63,
        title=N_("Column of the symbol"),
        description=N_("Used to list the symbols."),
        json_schema_extra=extra(FROM),
    )
    start: date = first_day_asked(date(1990, 1, 1), N_("What :since is on the first sync, like 1990-01-01."))
    overlap: int = days_again(5, 0, N_("Days before the newest bar, for corrections."))

    @field_validator("query")
    @classmethod
    def _one_select(cls, value: str) -> str:
        return checked_query(value) if value else ""

    @model_validator(mode="after")
    def _complete(self) -> SqlConfig:
        if bool(self.table) == bool(self.query):
            raise Refusal("table_or_query", ONE_OF, field="table")
        if self.table:
            checked_name(self.table, "table")
        checked_name(self.date_column, "date_column")
        checked_name(self.symbol_column, "symbol_column")
        if self.engine == "postgresql" and not self.host:
            raise Refusal("no_host", NO_HOST, field="host")
        return self


class SqlSource:
    """Reads with one SELECT in a read-only transaction, row by row."""

    label: ClassVar[str] = N_("SQL table or query")
    summary: ClassVar[str] = N_("PostgreSQL or SQLite, read-only, since the newest bar.")
    config: ClassVar[type[SourceConfig]] = SqlConfig
    secret: ClassVar[str] = N_("JSON with username and password of a role that may only read.")
    requires: ClassVar[str] = "sqlalchemy"

    def test(self, job: Job) -> Said:
        with _rows(job, self._select(job), limit=1) as (columns, _found):
            self._check_columns(job, columns)
        return Said(REACHED, {"columns": ", ".join(columns[:20])})

    def symbols(self, job: Job) -> Sequence[str]:
        column = quoted(job.config.symbol_column)
        inner = quoted(job.config.table) if job.config.table else f"({job.config.query}) AS asked"
        # Names are checked, the query is one SELECT: see sql_text.
        text = f"SELECT DISTINCT {column} FROM {inner} ORDER BY {column}"  # noqa: S608
        with _rows(job, text, limit=MOST_SYMBOLS) as (_columns, found):
            return [str(row[0]) for row in found]

    def fetch(self, job: Job) -> Fetched:
        path, digest, size, rows = job.folder / "rows.csv", hashlib.sha256(), 0, 0
        with _rows(job, self._select(job)) as (columns, found), path.open("w", newline="", encoding="utf-8") as file:
            self._check_columns(job, columns)
            writer = csv.writer(_Hashed(file, digest), lineterminator="\n")
            writer.writerow(columns)
            for row in found:
                writer.writerow([_cell(value) for value in row])
                rows += 1
                if rows % BATCH == 0:
                    job.progress(0.0, f"{rows:,}")
                    size = file.tell()
                    if size > job.network.limit:
                        most = job.network.limit // MEGABYTE
                        raise Refusal("too_large", TOO_LARGE, status=413, field="query", most=most)
        if not rows:
            return Fetched(marks=dict(job.marks))
        piece = Piece(self._what(job), digest.hexdigest(), path.stat().st_size, rows)
        return Fetched((path,), (piece,))

    @staticmethod
    def _select(job: Job) -> str:
        if job.config.query:
            return str(job.config.query)
        column = quoted(job.config.date_column)
        return f"SELECT * FROM {quoted(job.config.table)} WHERE {column} >= {SINCE} ORDER BY {column}"  # noqa: S608

    @staticmethod
    def _check_columns(job: Job, columns: Sequence[str]) -> None:
        if job.config.date_column not in columns:
            known = ", ".join(columns[:12])
            raise Refusal("no_column", NO_COLUMN, field="date_column", column=job.config.date_column, known=known)

    @staticmethod
    def _what(job: Job) -> str:
        config = job.config
        where = f"{config.host}:{config.port}/" if config.engine == "postgresql" else ""
        return f"{config.engine} {where}{config.database} {config.table or config.query}"


class _Hashed:
    """Writes through to a text file and hashes what is written."""

    def __init__(self, file: Any, digest: Any) -> None:
        self._file, self._digest = file, digest

    def write(self, text: str) -> int:
        self._digest.update(text.encode())
        return int(self._file.write(text))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)


@contextmanager
def _rows(job: Job, text: str, limit: int = 0) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
    """Yield the columns and the rows of a query; whatever it did is rolled back."""
    from sqlalchemy import create_engine
    from sqlalchemy import text as statement
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    sqlite = job.config.engine == "sqlite"
    address, arguments = _sqlite(job) if sqlite else _postgresql(job)
    asked = statement(text)
    values = {"since": str(job.watermark(job.config.overlap) or job.config.start)} if SINCE in text else {}
    if values and not sqlite:
        values = {"since": date.fromisoformat(values["since"])}  # type: ignore[dict-item]
    engine = create_engine(address, poolclass=NullPool, connect_args=arguments, hide_parameters=True)
    try:
        with engine.connect() as connection:
            if sqlite:
                _only_reading(connection.connection.driver_connection, job)
            options: dict[str, Any] = {"yield_per": BATCH, **({} if sqlite else {"postgresql_readonly": True})}
            result = connection.execution_options(**options).execute(asked, values)
            found: Iterator[Any] = iter(result)
            yield list(result.keys()), (row for _, row in zip(range(limit), found, strict=False)) if limit else found
            connection.rollback()
    except DBAPIError as error:
        wrong = TryAgain if error.connection_invalidated or "OperationalError" in type(error).__name__ else Refusal
        reason = str(error.orig).strip().splitlines()
        raise wrong("database_failed", FAILED, status=502, field="query", reason=(reason or ["?"])[0][:300]) from None
    except SQLAlchemyError as error:
        raise Refusal("database_failed", FAILED, field="query", reason=type(error).__name__) from None
    finally:
        engine.dispose()


def _sqlite(job: Job) -> tuple[Any, dict[str, Any]]:
    from urllib.parse import quote

    from sqlalchemy import URL

    path: Path = inside(job.root, job.config.database or ".")
    if not path.is_file():
        raise Refusal("no_such_file", NO_FILE, status=404, field="database", file=job.config.database[:80] or "–")
    return URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"}), {
        "timeout": 10
    }


def _only_reading(connection: Any, job: Job) -> None:
    """Let SQLite read tables and nothing else, and end when the time is over or somebody asks for it."""
    import sqlite3
    import time

    reads = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
    # Beginning and rolling back is how the reading itself is bracketed.
    reads.add(sqlite3.SQLITE_TRANSACTION)
    deadline = time.monotonic() + job.network.seconds
    connection.set_authorizer(lambda action, *_rest: sqlite3.SQLITE_OK if action in reads else sqlite3.SQLITE_DENY)
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)


def _postgresql(job: Job) -> tuple[Any, dict[str, Any]]:
    from sqlalchemy import URL

    config = job.config
    address = job.network.pin(config.host, config.port)
    milliseconds = int(job.network.seconds * 1000)
    arguments = {
        # The address that was checked; the name stays for the certificate.
        "hostaddr": address, "connect_timeout": 10, "sslmode": "require" if config.encrypted else "prefer",
        "options": f"-c default_transaction_read_only=on -c statement_timeout={milliseconds}",
        "application_name": "quant-platform sync",
    }  # fmt: skip
    url = URL.create(
        "postgresql+psycopg", username=job.secret.get("username") or None, password=job.secret.get("password") or None,
        host=config.host, port=config.port, database=config.database or None,
    )  # fmt: skip
    return url, arguments
