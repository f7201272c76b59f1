"""Small files of trades and books, and what a reader makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.marketdata.engine.readers import ReadOptions
from apps.marketdata.engine.tape import Tape, load_tape, read_tape
from apps.marketdata.engine.tape.disk import TapeWriter
from apps.marketdata.engine.tape.model import LADDER, TRADE, empty_columns
from apps.ui.engine.refusal import Refusal

SECOND = 10**9
START = int(np.datetime64("2024-03-28T01:30:00", "ns").astype(np.int64))
AGG = (
    "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
    "10,100.5,2,1,1,1711589400000,true\n11,100.6,1,2,2,1711589401000,false\n12,100.4,3,3,4,1711589461000,true\n"
)


@pytest.fixture
def put(tmp_path):
    """Write a file into a folder of its own and return its path."""

    def put_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put_file


@pytest.fixture
def read(tmp_path):
    """Read a path and return the stored tape and the findings of the reader."""

    def read_path(path: Path, **options):
        found = read_tape(path, ReadOptions(**options), tmp_path / "store", tmp_path / "spool")
        return load_tape(found.folder), found

    return read_path


@pytest.fixture
def refused(tmp_path):
    """Read a path that is refused and return the refusal; nothing may be left behind."""

    def refuse_path(path: Path, **options) -> Refusal:
        before = list((tmp_path / "store").rglob("*"))
        with pytest.raises(Refusal) as caught:
            read_tape(path, ReadOptions(**options), tmp_path / "store", tmp_path / "spool")
        assert list((tmp_path / "store").rglob("*")) == before
        assert list((tmp_path / "spool").rglob("*")) == []
        return caught.value

    return refuse_path


def book_columns(rows, *, levels=2):
    """Columns of a book out of rows (seconds, kind, side, price, size, bids, asks)."""
    columns = empty_columns(len(rows), levels)
    for at, (second, kind, side, price, size, bids, asks) in enumerate(rows):
        columns["time"][at] = START + int(second * SECOND)
        columns["line"][at], columns["kind"][at], columns["side"][at] = at + 1, kind, side
        columns["price"][at], columns["size"][at] = price, size
        for name, ladder in (("bid", bids), ("ask", asks)):
            for level, (level_price, level_size) in enumerate(ladder):
                columns[f"{name}_price"][at, level], columns[f"{name}_size"][at, level] = level_price, level_size
    return columns


def trade_columns(rows):
    """Columns of trades out of rows (seconds, price, size, side, id)."""
    columns = empty_columns(len(rows), 0)
    for at, (second, price, size, side, number) in enumerate(rows):
        columns["time"][at], columns["line"][at], columns["kind"][at] = START + int(second * SECOND), at + 1, TRADE
        columns["side"][at], columns["price"][at], columns["size"][at], columns["id"][at] = side, price, size, number
    return columns


@pytest.fixture
def tape_of(tmp_path):
    """Store columns by symbol and return the tape."""

    def make(parts, **meta) -> Tape:
        writer = TapeWriter(tmp_path / "spool" / "made")
        for symbol, columns in parts.items():
            writer.append(symbol, columns)
        return load_tape(writer.store(tmp_path / "store", meta))

    return make


def ladder_rows(tape: Tape, symbol: str):
    """The books of a symbol as pairs of lists of (price, size), one per row."""
    first, end = tape.bounds(symbol)
    found = []
    for row in range(first, end):
        values = [np.asarray(tape.columns[name][row]) for name in LADDER]
        found.append(
            tuple(
                [(float(p), float(s)) for p, s in zip(values[at], values[at + 1], strict=True) if np.isfinite(p)]
                for at in (0, 2)
            )
        )
    return found
