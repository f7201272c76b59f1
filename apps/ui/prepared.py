"""Queries whose SQL is written once.

The ORM takes longer to write the SQL of most of our statements than the database takes to answer them, and writes
the same one for every request. ``prepared`` writes it once, with placeholders where the values go::

    @prepared
    def _session(person: int, pk: int, *, role: str) -> QuerySet[Session]:
        return session_visible(User(pk=person, role=role)).filter(pk=pk)

    _session(user.pk, pk, role=user.role)  # a list

Positional arguments are values: whole numbers, moments, and texts, which may be looked for within others. Keywords
are what the statement's form depends on; each combination is written once, so they come from few possible values.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, overload

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet, prefetch_related_objects

from apps.ui.prepared_server import Keeping

Row = TypeVar("Row")
#: Writes the SQL of a query set: of its rows, or of their number.
Statement = Callable[[Any, Any], "tuple[str, Sequence[Any]] | None"]
#: Placeholders by position. Numbers fit into the smallest field that counts: the ORM leaves out a comparison whose
#: answer the field's range tells.
PLACEHOLDERS: dict[type, Callable[[int], Any]] = {
    int: lambda place: 31_001 + place,
    str: lambda place: f"\x02prepared_%\\{place}\x03",  # with all that a pattern escapes
    datetime: lambda place: datetime(1, 2, 3, 4, 5, 6, 7, UTC) + timedelta(microseconds=place),
}
#: Forms of one statement that are kept; more than these means that values were given as keywords.
MOST_FORMS = 64
#: The value that need not matter: an administrator sees every row.
READER = "person"


@dataclass(frozen=True)
class Place:
    """Where a value goes: as what kind of number, or within which pattern."""

    of: int
    kind: type
    before: str | None = None
    after: str = ""

    def bound(self, value: Any, connection: Any) -> Any:
        if self.before is not None:
            return f"{self.before}{connection.ops.prep_for_like_query(value)}{self.after}"
        if isinstance(value, datetime):
            return connection.ops.adapt_datetimefield_value(value)
        # PostgreSQL's driver is told how wide a number is by its type.
        return self.kind(value) if isinstance(value, int) else value


def _place(param: Any, holders: Sequence[Any], connection: Any) -> Place | None:
    """Return which of ``holders`` a parameter was made of."""
    for of, holder in enumerate(holders):
        wanted = connection.ops.adapt_datetimefield_value(holder) if isinstance(holder, datetime) else holder
        if param == wanted and isinstance(param, type(wanted)):
            return Place(of, type(param))
        if isinstance(holder, str) and isinstance(param, str):
            before, found, after = param.partition(connection.ops.prep_for_like_query(holder))
            if found:
                return Place(of, str, before, after)
    return None


@dataclass(frozen=True)
class Plan:
    """A statement that was written: its SQL, and by parameter what to put in, or the place of its value."""

    queryset: Any
    compiler: Any
    sql: str
    params: tuple[Any, ...]
    places: tuple[Place | None, ...]
    converters: Any
    keeping: Keeping = field(default_factory=Keeping)

    def bound(self, values: Sequence[Any], connection: Any) -> tuple[Any, ...]:
        return tuple(
            param if place is None else place.bound(values[place.of], connection)
            for param, place in zip(self.params, self.places, strict=True)
        )

    def count(self, values: Sequence[Any]) -> int:
        return self.keeping.ask(connections[self.queryset.db], lambda connection: self._count(connection, values))

    def _count(self, connection: Any, values: Sequence[Any]) -> int:
        with connection.cursor() as cursor:
            cursor.execute(self.sql, self.bound(values, connection))
            return int(cursor.fetchone()[0])

    def rows(self, values: Sequence[Any]) -> list[Any]:
        return self.keeping.ask(connections[self.queryset.db], lambda connection: self._rows(connection, values))

    def _rows(self, connection: Any, values: Sequence[Any]) -> list[Any]:
        compiler = copy.copy(self.compiler)
        compiler.connection = connection  # this thread's
        bound = self.bound(values, connection)
        compiler.as_sql = lambda *args, **kwargs: (self.sql, bound)
        compiler.get_converters = lambda expressions: self.converters
        found = list(self.queryset._iterable_class(_Asked(self.queryset, compiler)))
        if found and self.queryset._prefetch_related_lookups:
            prefetch_related_objects(found, *self.queryset._prefetch_related_lookups)
        return found


class _Asked:
    """What Django's iterables read of a query set, with the compiler that knows its SQL already."""

    def __init__(self, queryset: Any, compiler: Any) -> None:
        self.db = queryset.db
        self.query = _Query(queryset.query, compiler)
        self._known_related_objects: dict[Any, Any] = {}  # those of a placeholder
        self._fields = queryset._fields
        self._hints = queryset._hints


class _Query:
    def __init__(self, query: Any, compiler: Any) -> None:
        self._query, self._compiler = query, compiler

    def get_compiler(self, *_args: Any, **_options: Any) -> Any:
        return self._compiler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._query, name)


class _Written(Exception):
    """Django wrote a statement and is about to execute it."""


def _rows_of(queryset: Any, compiler: Any) -> tuple[str, Sequence[Any]] | None:
    try:
        sql, params = compiler.as_sql()
    except EmptyResultSet:
        return None
    return sql, params


def _count_of(queryset: Any, compiler: Any) -> tuple[str, Sequence[Any]] | None:
    """Return the statement with which Django counts, which it writes only to execute it."""

    def keep(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise _Written(sql, params)

    connection = connections[queryset.db]
    # What is not executed is not to be counted among a page's statements.
    logged, connection.force_debug_cursor = connection.force_debug_cursor, False
    try:
        with connection.execute_wrapper(keep):
            queryset.count()
    except _Written as written:
        sql, params = written.args
        return sql, params
    finally:
        connection.force_debug_cursor = logged
    return None


class Prepared(Generic[Row]):
    """What ``prepared`` returns: called like the function, it returns the rows."""

    def __init__(self, build: Callable[..., QuerySet[Any, Row]], names: Sequence[str] = ()) -> None:
        functools.update_wrapper(self, build)
        self.build = build
        self.names = names or tuple(inspect.signature(build).parameters)
        self.plans: dict[Any, Plan | None] = {}
        self._first: dict[int, Prepared[Row]] = {}

    def most(self, limit: int) -> Prepared[Row]:
        """The same query for no more than ``limit`` rows."""
        if limit not in self._first:
            if len(self._first) >= MOST_FORMS:
                self._first.clear()
            build = self.build
            self._first[limit] = Prepared(lambda *values, **form: build(*values, **form)[:limit], self.names)
        return self._first[limit]

    def __call__(self, *values: Any, **form: Any) -> list[Row]:
        plan = self._kept(_rows_of, values, form)
        return plan.rows(values) if plan is not None else list(self.build(*values, **form))

    def count(self, *values: Any, **form: Any) -> int:
        """Return the number of rows."""
        plan = self._kept(_count_of, values, form)
        return plan.count(values) if plan is not None else self.build(*values, **form).count()

    def first(self, *values: Any, **form: Any) -> Row | None:
        """Return the first row; the statement should ask for no more than that."""
        return next(iter(self(*values, **form)), None)

    def listed(self, *values: Any, **form: Any) -> Listed[Row]:
        """Return the rows as a sequence that is counted and read a page at a time."""
        return Listed(self, values, form)

    def _kept(self, statement: Statement, values: Sequence[Any], form: dict[str, Any]) -> Plan | None:
        if not all(map(_can_be_bound, values)):
            return None
        key = statement, tuple(map(type, values)), tuple(sorted(form.items())), connections["default"].vendor
        if key not in self.plans:
            if len(self.plans) >= MOST_FORMS:
                self.plans.clear()
            self.plans[key] = self._plan(statement, values, form)
        return self.plans[key]

    def _plan(self, statement: Statement, values: Sequence[Any], form: dict[str, Any]) -> Plan | None:
        """Write the statement with placeholders, and with others: nothing but their places may differ.

        None where the ORM sees that there can be no row, which it will see again.
        """
        first = self._written(statement, values, form, 0)
        second = self._written(statement, values, form, len(values))
        if first is None or second is None:
            return None
        queryset, compiler, sql, params, places = first
        missing = set(range(len(values))) - {place.of for place in places if place is not None}
        if any(self.names[at] != READER for at in missing):
            raise TypeError(f"{self.build.__qualname__} does not compare all of its values")
        if second[2] != sql or second[4] != places or any(
            one != other for one, other, place in zip(params, second[3], places, strict=True) if place is None
        ):  # fmt: skip
            raise TypeError(f"{self.build.__qualname__} uses a value otherwise than comparing it")
        select = compiler.select[: compiler.col_count] if statement is _rows_of else ()
        return Plan(queryset, compiler, sql, params, places, compiler.get_converters([column[0] for column in select]))

    def _written(self, statement: Statement, values: Sequence[Any], form: dict[str, Any], start: int) -> Any:
        holders = [PLACEHOLDERS[type(value)](start + place) for place, value in enumerate(values)]
        try:
            queryset = self.build(*holders, **form)
        except ValueError:  # a text for a field of numbers, say: the field knows what to make of the true one
            return None
        compiler = queryset.query.get_compiler(using=queryset.db)
        written = statement(queryset, compiler)
        if written is None:
            return None
        sql, params = written
        places = tuple(_place(param, holders, connections[queryset.db]) for param in params)
        return queryset, compiler, sql, tuple(params), places


class Listed(Generic[Row]):
    """Rows as a paginator wants them; the first page and the number of rows are statements that are written once."""

    def __init__(self, query: Prepared[Row], values: Sequence[Any], form: dict[str, Any]) -> None:
        self.query, self.values, self.form = query, values, form

    def count(self) -> int:
        return self.query.count(*self.values, **self.form)

    __len__ = count

    def __iter__(self) -> Iterator[Row]:
        return iter(self.query(*self.values, **self.form))

    @overload
    def __getitem__(self, part: int) -> Row: ...

    @overload
    def __getitem__(self, part: slice) -> list[Row]: ...

    def __getitem__(self, part: int | slice) -> Row | list[Row]:
        if isinstance(part, int):
            return self[part : part + 1][0]
        if part.start or part.stop is None:  # Each page of a long list would be a form of its own.
            return list(self.query.build(*self.values, **self.form)[part])
        return self.query.most(part.stop)(*self.values, **self.form)


def _can_be_bound(value: Any) -> bool:
    """Tell whether a value may take a placeholder's place; the ORM has an answer for the others."""
    return type(value) in PLACEHOLDERS and (type(value) is not int or -(2**63) <= value < 2**63)


def prepared(build: Callable[..., QuerySet[Any, Row]]) -> Prepared[Row]:
    """Make a function that returns a query set into one whose SQL is written once; see the module."""
    return Prepared(build)
