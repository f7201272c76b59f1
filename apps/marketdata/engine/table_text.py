"""Arrow tables as bytes of an answer: JSON columns, CSV and Arrow files.

pydantic's writer of JSON, which comes with the API, takes a quarter of the time that Arrow's casts to text take.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from pydantic_core import to_json

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
    members = (f"{json.dumps(name)}: {_values(table.column(name))}" for name in table.column_names)
    return "{" + ", ".join(members) + "}"


def _values(column: pa.ChunkedArray) -> str:
    if pa.types.is_temporal(column.type) and len(column) and not column.null_count:
        return f'["{_joined(_iso(column).combine_chunks(), QUOTED)}"]'  # nothing in them has to be escaped
    if column.type == pa.float32():
        return f"[{_narrow(column)}]"
    # Half of a table's time goes into making an object of each value one by one; numpy makes them all at once.
    values = column.to_numpy().tolist() if pa.types.is_float64(column.type) else column.to_pylist()
    return to_json(values, inf_nan_mode="null").decode()


def _narrow(column: pa.ChunkedArray) -> str:
    """Return numbers of single precision with the digits that they have: 0.1 and not 0.10000000149011612."""
    numbers = column.to_numpy()
    texts = pa.array(numbers).cast(pa.string())
    # Arrow writes a whole number without a point, unless it has an exponent.
    whole = pa.array((np.rint(numbers) == numbers) & (np.abs(numbers) < EXPONENT_FROM))
    if pc.any(whole).as_py():
        texts = pc.replace_with_mask(texts, whole, pc.binary_join_element_wise(texts.filter(whole), ".0", ""))
    known = np.isfinite(numbers)
    if not known.all():
        texts = pc.replace_with_mask(texts, pa.array(~known), "null")
    return _joined(texts, COMMA)


def _joined(texts: pa.Array, between: str) -> str:
    ends = pa.array([0, len(texts)], pa.int64())
    joined: str = pc.binary_join(pa.LargeListArray.from_arrays(ends, texts), between)[0].as_py()
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
