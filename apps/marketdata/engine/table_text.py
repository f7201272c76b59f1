"""Arrow tables as bytes of an answer: JSON columns, CSV and Arrow files.

Arrow writes the texts of a column at once; a number at a time, Python's JSON needs four times as long.
"""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

#: Bytes from which a table may be packed, bytes of a column that tell whether it is worth it, and the share above which
#: it is not: prices of two digits come to half, adjusted ones to all.
WORTH_PACKING, SAMPLE, MOST_SHARE = 500_000, 2**14, 0.7


def with_texts(table: pa.Table) -> pa.Table:
    """Return the table with its ``time`` as ISO texts: days, or instants in UTC."""
    at = table.schema.get_field_index("time")
    column = table.column(at)
    if pa.types.is_date(column.type):
        texts = column.cast(pa.string())
    else:
        texts = pc.strftime(column.cast(pa.timestamp("s", tz="UTC")), format="%Y-%m-%dT%H:%M:%SZ")
    return table.set_column(at, "time", texts)


def json_columns(table: pa.Table) -> str:
    """Return ``{"name": [values], …}``; what is not a finite number is null, a float keeps its point (1.0)."""
    columns = zip(table.column_names, table.columns, strict=True)
    return "{" + ", ".join(f"{json.dumps(name)}: [{_values(column)}]" for name, column in columns) + "}"


def _values(column: pa.ChunkedArray) -> str:
    if pa.types.is_floating(column.type):
        texts = pc.if_else(pc.is_finite(column), _with_point(column), None)
    elif pa.types.is_integer(column.type):
        texts = column.cast(pa.string())
    else:
        return json.dumps(column.to_pylist())[1:-1]
    return _joined(texts.combine_chunks())


def _with_point(column: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = column.cast(pa.string())
    if not pc.any(pc.equal(column, pc.round(column))).as_py():
        return texts
    return pc.if_else(pc.match_substring_regex(texts, "[.e]"), texts, pc.binary_join_element_wise(texts, ".0", ""))


def _joined(texts: pa.Array) -> str:
    if not len(texts):
        return ""
    whole = pa.LargeListArray.from_arrays(pa.array([0, len(texts)], pa.int64()), texts.fill_null("null"))
    found: str = pc.binary_join(whole, ", ")[0].as_py()
    return found


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
