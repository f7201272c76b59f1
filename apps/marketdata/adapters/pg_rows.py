"""Many rows to PostgreSQL in its binary form: COPY for new ones, an array a column for those that may be there.

Django's cursor writes parameters into the text of a statement; ten thousand numbers as text cost ten times as much.
Import it where the database is PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from struct import Struct
from typing import Any, LiteralString, cast

import psycopg
from django.db import connection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_LENGTH = Struct(">i").pack
_HEAD = Struct(">iiiii").pack
_NULL = _LENGTH(-1)


def _bytes(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


def _text(value: str) -> bytes:
    return _bytes(value.encode())


#: By type: its number, that of its array, and what packs a value with its length before it.
TYPES: Mapping[str, tuple[int, int, Callable[[Any], bytes]]] = {
    "bigint": (20, 1016, partial(Struct(">iq").pack, 8)),
    "integer": (23, 1007, partial(Struct(">ii").pack, 4)),
    "double precision": (701, 1022, partial(Struct(">id").pack, 8)),
    "text": (25, 1009, _text),
    "bytea": (17, 1001, _bytes),
}


def packed_array(kind: str, values: Sequence[Any]) -> bytes:
    """Return ``values`` as PostgreSQL's binary form of an array of ``kind`` (a key of ``TYPES``); None is NULL."""
    number, _array, pack = TYPES[kind]
    body = b"".join([_NULL if value is None else pack(value) for value in values])
    return _HEAD(1, int(None in values), number, len(values), 1) + body


class _Packed(bytes):
    """An array in binary form; each type of element has a class of its own, for psycopg asks the class."""


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer | None:
        return bytes(obj)


_CLASSES: Mapping[str, tuple[type[_Packed], type[_PackedDumper]]] = {
    kind: (type("_Packed", (_Packed,), {}), type("_PackedDumper", (_PackedDumper,), {"oid": array}))
    for kind, (_number, array, _pack) in TYPES.items()
}


def copy_rows(table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> None:
    """Append ``rows``, their values in the order of ``columns`` (name → type), in the caller's transaction."""
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    with (
        connection.wrap_database_errors,
        psycopg.Cursor(connection.connection) as cursor,
        cursor.copy(cast("LiteralString", statement)) as copy,
    ):
        copy.set_types([TYPES[kind][0] for kind in columns.values()])
        for row in rows:
            copy.write_row(row)


def run_with_arrays(statement: str, columns: Sequence[tuple[str, Sequence[Any]]]) -> None:
    """Run ``statement``: each of its parameters is an array, given as the type of its elements and the values."""
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        for made, dumper in _CLASSES.values():
            cursor.adapters.register_dumper(made, dumper)
        arrays = [_CLASSES[kind][0](packed_array(kind, values)) for kind, values in columns]
        cursor.execute(cast("LiteralString", statement), arrays)
