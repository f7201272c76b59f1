"""The run capsule: all that a result depends on, as one document, and what two of them differ in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA = 1
#: What may differ without a result having to: how the threads were asked for (``device.threads`` says how
#: many there are), what earlier attempts ran on, how much history of the idea a backtest was given.
UNCOMPARED = (
    "schema", "session", "earlier", "ledger",
    "environment.variables.OMP_NUM_THREADS", "environment.variables.MKL_NUM_THREADS",
)  # fmt: skip
#: Stands for a value that one of the two does not have.
ABSENT = "–"


@dataclass(frozen=True)
class Difference:
    """One leaf that differs: its dotted ``name``, and both values as JSON has them."""

    name: str
    original: Any
    again: Any

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "original": self.original, "again": self.again}


def digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a capsule, whatever the order of its keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def leaves(document: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of every leaf; an empty table or list is a leaf.

    A list of tables that have a ``name`` is taken by name, any other list by position.
    """
    if isinstance(document, Mapping) and document:
        for key in document:
            yield from leaves(document[key], f"{name}.{key}" if name else str(key))
    elif isinstance(document, list) and document and isinstance(document[0], Mapping | list):
        for place, one in enumerate(document):
            key = one.get("name", place) if isinstance(one, Mapping) else place
            yield from leaves(one, f"{name}.{key}")
    else:
        yield name, document


def differences(original: Mapping[str, Any], again: Mapping[str, Any]) -> list[Difference]:
    """Return what differs between two capsules and may matter, in the order of the names."""
    one, other = dict(leaves(original)), dict(leaves(again))
    return [
        Difference(name, one.get(name, ABSENT), other.get(name, ABSENT))
        for name in sorted(one.keys() | other.keys())
        if one.get(name, ABSENT) != other.get(name, ABSENT) and not _uncompared(name)
    ]


def _uncompared(name: str) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in UNCOMPARED)
