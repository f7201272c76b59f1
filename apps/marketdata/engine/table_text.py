"""Arrow tables as bytes of an answer: JSON columns, CSV and Arrow files.

Arrow writes the texts of a column at once; a number at a time, Python's JSON needs twice as long.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

#: Bytes from which a table may be packed, bytes of a column that tell whether it is worth it, and the share above which
#: it is not: prices of two digits come to half, adjusted ones to all.
WORTH_PACKING, SAMPLE, MOST_SHARE = 500_000, 2**14, 0.7
#: From here on Arrow writes whole numbers with an exponent.
EXPONENT_FROM = 1e10
COMMA, QUOTED = ",", '","'


def with_texts(table: pa.Table) -> pa.Table:
    """Return the table with its ``time`` as ISO texts: days, or instants in UTC."""
    at = table.schema.get_field_index("time")
    return table.set_column(at, "time", _iso(table.column(at)))


def _iso(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_date(column.type):
        return column.cast(pa.string())
    return pc.strftime(column.cast(pa.timestamp("s", tz="UTC")), format="%Y-%m-%dT%H:%M:%SZ")


def json_columns(table: pa.Table) -> str:
    """Return ``{"name": [values], …}``; what is not a finite number is null, a float keeps its point (1.0).

    Days and instants are the texts of ``with_texts``.
    """
    texts = ["" if pa.types.is_floating(column.type) else _values(column) for column in table.columns]
    for kind in {column.type for column in table.columns if pa.types.is_floating(column.type)}:
        at = [place for place, column in enumerate(table.columns) if column.type == kind]
        for place, text in zip(at, _floats([table.column(place) for place in at]), strict=True):
            texts[place] = text
    members = zip(table.column_names, texts, strict=True)
    return "{" + ", ".join(f"{json.dumps(name)}: [{text}]" for name, text in members) + "}"


def _values(column: pa.ChunkedArray) -> str:
    if pa.types.is_integer(column.type):
        texts = column.cast(pa.string()).fill_null("null")
    elif pa.types.is_temporal(column.type) and len(column) and not column.null_count:
        return f'"{_joined(_iso(column).combine_chunks(), QUOTED)[0]}"'  # nothing in them has to be escaped
    else:
        return json.dumps(column.to_pylist(), separators=(",", ":"))[1:-1]
    return _joined(texts.combine_chunks())[0]


def _floats(columns: Sequence[pa.ChunkedArray]) -> list[str]:
    """Return the numbers of columns of one type and length; all of them at once, which takes two thirds of the time."""
    numbers = np.concatenate([column.to_numpy() for column in columns])
    known = np.isfinite(numbers)
    texts = pa.array(numbers).cast(pa.string())
    # Arrow writes a whole number without a point, unless it has an exponent.
    whole = pa.array((np.rint(numbers) == numbers) & (np.abs(numbers) < EXPONENT_FROM))
    if pc.any(whole).as_py():
        pointed = pc.binary_join_element_wise(texts.filter(whole), ".0", "")
        texts = pc.replace_with_mask(texts, whole, pointed)
    if not known.all():
        texts = pc.replace_with_mask(texts, pa.array(~known), "null")
    return _joined(texts, parts=len(columns))


def _joined(texts: pa.Array, between: str = COMMA, parts: int = 1) -> list[str]:
    """Return the texts of each of ``parts`` equal parts as one."""
    ends = pa.array(np.arange(parts + 1, dtype=np.int64) * (len(texts) // parts))
    joined: list[str] = pc.binary_join(pa.LargeListArray.from_arrays(ends, texts), between).to_pylist()
    return joined


def csv_bytes(table: pa.Table) -> bytes:
    """Return the table as CSV; quotes only where a text has a comma, a quote or a line break in it."""
    for style in ("none", "needed"):
        out = io.BytesIO((",".join(table.column_names) + "\n").encode())
        out.seek(0, io.SEEK_END)
        try:
            pa_csv.write_csv(table, out, pa_csv.WriteOptions(include_header=False, quoting_style=style))
        except pa.ArrowInvalid:
            continue
        break
    return out.getvalue()


def arrow_bytes(table: pa.Table) -> bytes:
    """Return the table as an Arrow file, packed where it is large and that makes it much smaller."""
    packed = "lz4" if table.nbytes > WORTH_PACKING and _packs(table) else None
    options = pa.ipc.IpcWriteOptions(compression=packed, use_threads=packed is not None)
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema, options=options) as writer:
        writer.write_table(table)
    return out.getvalue()


def _packs(table: pa.Table) -> bool:
    """Tell, by the beginnings of the columns, whether packing leaves at most ``MOST_SHARE`` of the table."""
    codec, left = pa.Codec("lz4"), 0.0
    for column in table.columns:
        values: Any = column.chunk(0).buffers()[-1]
        sample = values[:SAMPLE]
        left += column.nbytes * len(codec.compress(sample)) / len(sample)
    return bool(left <= MOST_SHARE * table.nbytes)
