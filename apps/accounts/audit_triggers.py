"""Database triggers: the audit's tables take new rows and nothing else, whoever asks.

They are set up after every ``migrate`` (SQLite loses a table's triggers when a migration rebuilds
it). A superuser of the database can drop them: the chain is what tells then.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connections

TABLES = ("accounts_auditentry", "accounts_auditlink")
MESSAGE = "audit rows are written once"

POSTGRES_FUNCTION = f"""
CREATE OR REPLACE FUNCTION quant_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'integrity_constraint_violation'; END $$
"""


def statements(vendor: str) -> list[str]:
    """Return the SQL that sets the triggers up; running it again changes nothing."""
    if vendor == "postgresql":
        made = [POSTGRES_FUNCTION]
        for table in TABLES:
            made += [
                f"CREATE OR REPLACE TRIGGER {table}_rows BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION quant_audit_refuse()",
                f"CREATE OR REPLACE TRIGGER {table}_all BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION quant_audit_refuse()",
            ]
        return made
    return [
        f"CREATE TRIGGER IF NOT EXISTS {table}_{act.lower()} BEFORE {act} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
        for table in TABLES
        for act in ("UPDATE", "DELETE")
    ]


def removal(vendor: str) -> list[str]:
    """Return the SQL that takes the triggers away; for tests that empty the tables."""
    if vendor == "postgresql":
        return [f"DROP TRIGGER IF EXISTS {table}_{kind} ON {table}" for table in TABLES for kind in ("rows", "all")]
    return [f"DROP TRIGGER IF EXISTS {table}_{act}" for table in TABLES for act in ("update", "delete")]


def present(using: str = "default") -> bool:
    """Tell whether every trigger is there."""
    connection = connections[using]
    names = "SELECT tgname FROM pg_trigger" if connection.vendor == "postgresql" else "SELECT name FROM sqlite_master"
    kinds = ("rows", "all") if connection.vendor == "postgresql" else ("update", "delete")
    with connection.cursor() as cursor:
        cursor.execute(names)
        known = {row[0] for row in cursor.fetchall()}
    return {f"{table}_{kind}" for table in TABLES for kind in kinds} <= known


def run(lines: list[str], using: str = "default") -> None:
    with connections[using].cursor() as cursor:
        for line in lines:
            cursor.execute(line)


def install_after_migrate(using: str = "default", **kwargs: Any) -> None:
    """Receiver of ``post_migrate``; not where the suite empties tables between tests."""
    connection = connections[using]
    if settings.AUDIT_TRIGGERS and set(TABLES) <= set(connection.introspection.table_names()):
        run(statements(connection.vendor), using)
