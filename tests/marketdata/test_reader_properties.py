"""Whatever is thrown at the reader: bars come back exactly, nonsense is a refusal and never a crash."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.marketdata.engine.readers import ReadOptions, read_bars
from apps.ui.engine.refusal import Refusal

PRICE = st.floats(min_value=1e-6, max_value=1e9, allow_nan=False).map(lambda value: float(repr(value)))
DAYS = st.lists(st.integers(0, 20_000), min_size=1, max_size=25, unique=True)
DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%b %d %Y")


@st.composite
def tables(draw):
    days = draw(DAYS)
    values = draw(st.lists(st.tuples(*[PRICE] * 5), min_size=len(days), max_size=len(days)))
    return days, values


def read(content: bytes, name="X.csv", **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return read_bars(path, ReadOptions(**options))


def read_or_sentence(content: bytes, name: str, **options) -> object:
    """Return the number of bars, or the sentence of the refusal; any other exception is a failure."""
    try:
        return read(content, name, **options).rows
    except Refusal as refusal:
        return str(refusal)


@settings(max_examples=60, deadline=None)
@given(
    tables(), st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]), st.sampled_from(DATES),
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]), st.booleans(),
)  # fmt: skip
def test_random_bars_survive_every_dialect_exactly(table, delimiter, ending, date_format, encoding, chinese):
    days, values = table
    head = (
        ["日期", "开盘价", "最高价", "最低价", "收盘价", "成交量"]
        if chinese
        else ["Date", "Open", "High", "Low", "Close", "Volume"]
    )
    start = np.datetime64("1980-01-01", "D")
    written = [(start + day).astype(object).strftime(date_format) for day in days]
    lines = [[date, *map(repr, row)] for date, row in zip(written, values, strict=True)]
    text = ending.join(delimiter.join(line) for line in [head, *lines]) + ending
    made = read(text.encode(encoding))
    order = np.argsort(days)
    assert (made.panel.times == (start + np.array(days)[order]).astype("datetime64[ns]")).all()
    for column, name in enumerate(("open", "high", "low", "close", "volume")):
        assert made.panel.fields[name][0].tolist() == [values[at][column] for at in order]
    assert made.lines[0].tolist() == (order + 2).tolist()


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from(["X.csv", "X.csv.gz", "X.parquet", "X.feather", "X.xlsx", "equity/X.zip"])
)
def test_random_bytes_are_refused_or_read_but_never_crash(content, name):
    assert read_or_sentence(content, name)


CELLS = st.text(alphabet=st.sampled_from("0123456789-/.: ,;\"'abNaoneT\t\x00–é中\n\r"), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=5, max_size=6), max_size=6), st.booleans())
def test_nonsense_under_a_good_header_is_refused_or_read_but_never_crashes(rows, lenient):
    text = "date,open,high,low,close,volume\n2024-01-02,1,2,1,2,3\n" + "\n".join(",".join(row) for row in rows)
    assert read_or_sentence(text.encode(), "X.csv", lenient=lenient)
