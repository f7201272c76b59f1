"""Tables as JSON, CSV and Arrow files: the same values as they went in."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine import table_text
from apps.marketdata.engine.table_text import arrow_bytes, csv_bytes, json_columns, with_texts

columns = st.one_of(
    st.lists(st.one_of(st.none(), st.floats()), max_size=8).map(lambda values: pa.array(values, pa.float64())),
    st.lists(st.one_of(st.none(), st.floats(width=32)), max_size=8).map(lambda values: pa.array(values, pa.float32())),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=8).map(
        lambda values: pa.array(values, pa.int64())
    ),
    st.lists(st.one_of(st.none(), st.text()), max_size=8).map(lambda values: pa.array(values, pa.string())),
)


@given(columns, st.text())
def test_json_says_what_is_in_the_table(column, name):
    found = json.loads(json_columns(pa.table({name: column})))
    for said, value in zip(found.pop(name), column.to_pylist(), strict=True):
        known = value if not isinstance(value, float) or math.isfinite(value) else None
        assert type(said) is type(known)
        if column.type == pa.float32() and known is not None:
            assert np.float32(said) == np.float32(known)
        else:
            assert said == known
    assert not found


@given(st.lists(st.tuples(*[st.one_of(st.none(), st.floats())] * 3), max_size=8))
def test_columns_written_together_stay_apart(rows):
    names = ("a", "b", "c")
    values = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    table = pa.table({name: pa.array(values[name], pa.float64()) for name in names})
    table = table.append_column("narrow", pa.array([0.1] * len(rows), pa.float32()))
    found = json.loads(json_columns(table))
    assert found.pop("narrow") == [0.1] * len(rows)
    for name in names:
        known = [value if value is not None and math.isfinite(value) else None for value in values[name]]
        assert found[name] == known
        assert [type(value) for value in found[name]] == [type(value) for value in known]


def test_a_whole_number_stays_a_float_however_large_it_is():
    numbers = [sign * 10.0**power + step for power in range(23) for step in (-1.0, 0.0, 1.0) for sign in (1, -1)]
    found = json.loads(json_columns(pa.table({"volume": numbers})))["volume"]
    assert found == numbers
    assert {type(value) for value in found} == {float}


def test_symbols_in_several_pieces_are_named_in_their_order():
    pieces = [pa.array(["A,B", '"', None]).dictionary_encode(), pa.array(["C", "A,B"]).dictionary_encode()]
    assert json.loads(json_columns(pa.table({"symbol": pa.chunked_array(pieces)})))["symbol"] == [
        "A,B", '"', None, "C", "A,B",
    ]  # fmt: skip


def test_days_and_instants_are_iso_texts():
    days = pa.table({"time": pa.array([0, 366]).cast(pa.int32()).view(pa.date32())})
    assert json_columns(with_texts(days)) == '{"time": ["1970-01-01","1971-01-02"]}'
    assert json_columns(days) == json_columns(with_texts(days))
    assert json.loads(json_columns(pa.table({"time": pa.array([None, 0], pa.int32()).view(pa.date32())[:0]}))) == {
        "time": []
    }
    moments = pa.table({"time": pa.array([0, 90 * 10**9], pa.timestamp("ns", tz="UTC"))})
    assert json.loads(json_columns(with_texts(moments)))["time"] == ["1970-01-01T00:00:00Z", "1970-01-01T00:01:30Z"]
    assert json_columns(moments) == json_columns(with_texts(moments))


def test_a_symbol_with_a_comma_is_quoted():
    table = pa.table({"symbol": ["A,B", "C"], "time": ["2020-01-01", "2020-01-02"], "close": [1.0, None]})
    assert csv_bytes(table).decode().splitlines() == ["symbol,time,close", '"A,B","2020-01-01",1', '"C","2020-01-02",']


@pytest.mark.parametrize("packs", [True, False])
def test_a_large_table_is_packed_where_that_makes_it_much_smaller(monkeypatch, packs):
    monkeypatch.setattr(table_text, "WORTH_PACKING", 1000)
    numbers = np.random.default_rng(5).random(4000)
    table = pa.table({"close": np.round(numbers, 1) if packs else numbers})
    content = arrow_bytes(table)
    assert pa.ipc.open_file(io.BytesIO(content)).read_all().equals(table)
    assert (len(content) < 0.8 * table.nbytes) == packs
