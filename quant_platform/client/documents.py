"""JSON documents as typed dataclasses: what a class names is read, what the server adds later is kept in ``raw``."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import UnexpectedAnswer

T = TypeVar("T")
Reader = Callable[[Any], Any]


def read(kind: type[T], document: object) -> T:
    """Return ``document`` as ``kind``; raises ``UnexpectedAnswer`` that names the field at fault."""
    if not isinstance(document, Mapping):
        raise UnexpectedAnswer(f"{kind.__name__}: an object was expected, not {type(document).__name__}")
    values: dict[str, Any] = {}
    for name, reader, required in _plan(kind):  # type: ignore[arg-type]
        if name == "raw":
            values[name] = document
        elif name in document:
            try:
                values[name] = reader(document[name])
            except UnexpectedAnswer:
                raise
            except (TypeError, ValueError, KeyError) as error:
                raise UnexpectedAnswer(f"{kind.__name__}.{name}: {error}") from error
        elif required:
            raise UnexpectedAnswer(f"{kind.__name__}: the answer has no field {name}")
    return kind(**values)


def reader_of(kind: type[T]) -> Callable[[object], T]:
    """Return ``read`` for one class."""
    return lambda document: read(kind, document)


@cache
def _plan(kind: Any) -> tuple[tuple[str, Reader, bool], ...]:
    hints = get_type_hints(kind)
    return tuple(
        (
            field.name,
            _reader(hints[field.name]),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    )


def _reader(hint: Any) -> Reader:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        rest = _reader(next(one for one in inner if one is not type(None)))
        return lambda value: None if value is None else rest(value)
    if origin is tuple:
        one = _reader(inner[0])
        return lambda value: tuple(one(item) for item in _sequence(value))
    if origin in (Literal, Mapping) or hint is Any or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return lambda value: value
    if dataclasses.is_dataclass(hint):
        return reader_of(hint)  # type: ignore[arg-type]
    return PLAIN[hint]


def _sequence(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"a list was expected, not {type(value).__name__}")
    return value


def _is(kind: type[Any]) -> Reader:
    def check(value: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{kind.__name__} was expected, not {type(value).__name__}")
        return value

    return check


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number was expected, not {type(value).__name__}")
    return float(value)


PLAIN: Mapping[Any, Reader] = {
    str: _is(str), int: _is(int), bool: _is(bool), float: _number,
    datetime: datetime.fromisoformat, date: date.fromisoformat,
}  # fmt: skip
