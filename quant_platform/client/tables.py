"""Arrow tables from answers, and long lists of symbols in batches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .calls import ARROW, Answer, Call, pairs
from .errors import MissingExtra, UnexpectedAnswer

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 50
#: Operators that compare the symbols of a day: they must see all of them at once.
ACROSS = re.compile(r"\bCS[A-Za-z]*\s*\(")
Symbols = str | Sequence[str]


def arrow() -> Any:
    """Return pyarrow; raises ``MissingExtra``."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtra("tables need pyarrow: pip install pyarrow") from error
    return pa


def read_table(answer: Answer) -> pa.Table:
    """Return the table of an Arrow file; its schema's metadata says of which data it is and whether from the disk."""
    pa = arrow()
    try:
        table = pa.ipc.open_file(pa.BufferReader(answer.content)).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise UnexpectedAnswer(f"the answer is not a whole Arrow file: {error}") from error
    headers = answer.headers
    notes = {"dataset": unquote(headers.get("x-dataset", "")), "kept_at": answer.kept_at,
             "content_hash": headers.get("x-content-hash", "")}  # fmt: skip
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **notes})


def batches(symbols: Symbols) -> list[list[str]]:
    """Return the symbols, each once and in their order, at most 50 together. Raises ``ValueError`` for none."""
    names = list(dict.fromkeys([symbols] if isinstance(symbols, str) else symbols))
    if not names:
        raise ValueError("name at least one symbol")
    wrong = next((name for name in names if not name or "," in name), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is no symbol; pass several as a list")
    return [names[first : first + BATCH] for first in range(0, len(names), BATCH)]


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the tables as one, in their order."""
    if len(tables) == 1:
        return tables[0]
    pa = arrow()
    notes = tables[0].schema.metadata
    if len({(table.schema.metadata or {}).get(b"content_hash") for table in tables}) > 1:
        raise UnexpectedAnswer("the dataset changed between two batches; ask again, or name its version (name@3)")
    return pa.concat_tables(tables).replace_schema_metadata(notes)


def history_calls(
    symbols: Symbols, start: str, end: str, dataset: str, fields: Symbols, prices: str
) -> list[Call[pa.Table]]:
    """Return one call a batch."""
    arrow()
    names = fields if isinstance(fields, str) else ",".join(fields)
    rest = {"start": start, "end": end, "dataset": dataset, "fields": names, "prices": prices}
    return [table_call("/api/data/historical", {"symbols": ",".join(some), **rest}) for some in batches(symbols)]


def feature_calls(
    dataset: str, expressions: Symbols, set: str, symbols: Symbols, start: str, end: str, labels: bool
) -> list[Call[pa.Table]]:
    """Return one call a batch; one alone where an expression compares symbols, or all are asked for."""
    arrow()
    wanted = [expressions] if isinstance(expressions, str) else list(expressions)
    rest = {"dataset": dataset, "expressions": [one for one in wanted if one], "set": set, "start": start, "end": end,
            "labels": labels}  # fmt: skip
    if not symbols:
        return [table_call("/api/data/features", rest)]
    parts = batches(symbols)
    if any(ACROSS.search(one) for one in wanted):
        parts = [[name for some in parts for name in some]]
    return [table_call("/api/data/features", {"symbols": ",".join(some), **rest}) for some in parts]


def table_call(path: str, query: dict[str, Any]) -> Call[pa.Table]:
    return Call("GET", path, read_table, pairs(query), accept=ARROW, cached=True)
