"""A question to the server, apart from how it is sent: what the two clients share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from .documents import read
from .errors import UnexpectedAnswer

T = TypeVar("T")
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
JSON, ARROW = "application/json", "application/vnd.apache.arrow.file"
Document = Mapping[str, Any]
Value = str | int | float | bool | None


@dataclass(frozen=True)
class Answer:
    """What came back: ``headers`` by lower-case name, ``content`` unpacked.

    ``kept_at`` is when it was fetched (ISO 8601) where it comes from the disk, else empty.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    kept_at: str = ""

    def json(self) -> Any:
        """Return the document; raises ``UnexpectedAnswer`` where there is none."""
        try:
            return parsed(self.content)
        except ValueError as error:
            start = self.content[:60].decode("utf-8", "replace")
            raise UnexpectedAnswer(f"the answer is not JSON; it begins with {start!r}") from error


def parsed(content: bytes) -> Any:
    """Return what a JSON document says; raises ``ValueError``.

    pydantic's parser takes a fifth of the time where it is installed; what it is stricter about is Python's to judge.
    """
    try:
        from pydantic_core import from_json

        return from_json(content)
    except (ImportError, ValueError):
        return json.loads(content)


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and how to read its answer.

    ``repeatable`` calls are tried again; a POST is not unless it only asks a question. ``cached``
    ones may be kept on the disk. ``answers`` are statuses beyond 2xx that are no errors.
    """

    method: str
    path: str
    read: Callable[[Answer], T]
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    accept: str = JSON
    repeatable: bool = False
    cached: bool = False
    public: bool = False
    answers: frozenset[int] = frozenset()

    @property
    def may_repeat(self) -> bool:
        return self.repeatable or self.method in SAFE

    def then(self, change: Callable[[T], Any]) -> Call[Any]:
        """Return the same call with its answer changed."""
        before = self.read
        return replace(self, read=lambda answer: change(before(answer)))  # type: ignore[arg-type]


def get(path: str, reader: Callable[[Any], T], **query: Value | Iterable[Value]) -> Call[T]:
    """Return a GET whose document ``reader`` reads."""
    return Call("GET", path, lambda answer: reader(answer.json()), query=pairs(query))


def post(path: str, reader: Callable[[Any], T], body: Any = None, *, repeatable: bool = False) -> Call[T]:
    """Return a POST whose document ``reader`` reads."""
    return Call("POST", path, lambda answer: reader(answer.json()), body=body, repeatable=repeatable)


def one(kind: type[T]) -> Callable[[Any], T]:
    return lambda document: read(kind, document)


def many(kind: type[T]) -> Callable[[Any], tuple[T, ...]]:
    """Return a reader of a JSON list."""

    def reader(document: Any) -> tuple[T, ...]:
        if not isinstance(document, list):
            raise UnexpectedAnswer(f"a list was expected, not {type(document).__name__}")
        return tuple(read(kind, item) for item in document)

    return reader


def mapping(document: Any) -> Mapping[str, Any]:
    """Return a JSON object as it is."""
    if not isinstance(document, Mapping):
        raise UnexpectedAnswer(f"an object was expected, not {type(document).__name__}")
    return document


def pairs(query: Mapping[str, Value | Iterable[Value]]) -> tuple[tuple[str, str], ...]:
    """Return the query's pairs; None and empty texts are left out, a list repeats its name."""
    found: list[tuple[str, str]] = []
    for name, value in query.items():
        values = [value] if value is None or isinstance(value, str | int | float | bool) else value
        found += [(name, _text(item)) for item in values if item is not None and item != ""]
    return tuple(found)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def part(text: str) -> str:
    """Return ``text`` as one part of a path, whatever characters it has. Raises ``ValueError`` for none."""
    if not text or text in (".", ".."):
        raise ValueError(f"{text!r} is no symbol or name")
    return quote(text, safe="")


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of ``values`` that are not None."""
    return {name: value for name, value in values.items() if value is not None}
