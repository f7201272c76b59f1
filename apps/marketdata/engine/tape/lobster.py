"""LOBSTER: pairs of a message and an orderbook file, one line of each per event.

Times are seconds after midnight of the day in the file's name, on the exchange's clock (New York unless another zone
is named); prices are 1/10,000 dollar; an empty level is ±9999999999. Both files may lie in a folder or in one zip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.numbers import parse_numbers, shorten
from apps.marketdata.engine.readers.options import Progress, ReadOptions, no_progress
from apps.marketdata.engine.readers.tables import DELIMITERS, Table
from apps.marketdata.engine.tape.disk import TapeWriter
from apps.marketdata.engine.tape.model import HALT, LADDER, Columns
from apps.marketdata.engine.tape.sources import Source, share_of, sources_of, tables
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

NAME = re.compile(r"(?P<symbol>.+?)_(?P<day>\d{4}-\d{2}-\d{2})_.*(?P<what>message|orderbook)(_\d+)?\.csv(\.gz)?$", re.I)
ZONE, SCALE, DUMMY = "America/New_York", 10_000.0, 9_999_999_999
SIDES = ("ask_price", "ask_size", "bid_price", "bid_size")
MESSAGE = ("time", "type", "order id", "size", "price", "direction")
NO_PAIR = N_(
    "%(file)s has no %(what)s file beside it. A LOBSTER day is two files; put %(wanted)s into the same folder."
)
NOT_LOBSTER = N_(
    "%(path)s holds no LOBSTER files. Their names are like AMZN_2012-06-21_34200000_57600000_message_10.csv and "
    "…_orderbook_10.csv."
)
LENGTHS = N_(
    "%(file)s has %(rows)s lines and %(other)s has %(others)s; each event has one line in both. Fetch both files again."
)
BAD_TYPE = N_("%(file)s, line %(line)s, column %(column)s: “%(value)s” is no event type; LOBSTER knows 1 to 7.")
BAD_SIDE = N_("%(file)s, line %(line)s, column %(column)s: “%(value)s” is no direction; 1 is a buy order, -1 a sell.")
BAD_SECONDS = N_(
    "%(file)s, line %(line)s, column %(column)s: “%(value)s” is no time; LOBSTER counts 0 to 86400 seconds "
    "from midnight."
)
BAD_WIDTH = N_(
    "%(file)s has %(cells)s columns; an orderbook file has four for each level (ask price, ask size, bid price, bid "
    "size) and a message file six."
)


@dataclass(frozen=True)
class Day:
    """The two files of one symbol and day."""

    symbol: str
    day: str
    message: Source
    orderbook: Source


def is_lobster(path: Path) -> bool:
    """Tell by the names whether a file, folder or zip holds LOBSTER's pairs."""
    try:
        return any(NAME.match(source.name) for source in sources_of(path))
    except (Refusal, OSError):
        return False


def read_lobster(path: Path, options: ReadOptions, writer: TapeWriter, on_progress: Progress) -> None:
    """Read every pair of ``path`` into ``writer``, day after day; refuses with file, line, column and value."""
    days = _days(path)
    levels = {day.orderbook: _width(day.orderbook) // 4 for day in days}
    kept = min([*levels.values(), options.levels])
    for at, day in enumerate(days):
        _read_day(day, options, writer, kept, share_of(on_progress, at, len(days)))


def _days(path: Path) -> list[Day]:
    beside = path if path.is_dir() or path.name.lower().endswith(".zip") else path.parent
    found: dict[tuple[str, str], dict[str, Source]] = {}
    for source in sources_of(beside):
        match = NAME.match(source.name)
        if match:
            key = match["symbol"], match["day"]
            found.setdefault(key, {})[match["what"].lower()] = source
    if beside != path:
        own = NAME.match(path.name)
        found = {key: pair for key, pair in found.items() if own and key == (own["symbol"], own["day"])}
    if not found:
        raise Refusal("not_lobster", NOT_LOBSTER, field="file", path=path.name)
    for pair in found.values():
        if len(pair) == 1:
            what, source = next(iter(pair.items()))
            other = "orderbook" if what == "message" else "message"
            wanted = re.sub(what, other, source.name, flags=re.IGNORECASE)
            raise Refusal("no_pair", NO_PAIR, field="file", file=source.name, what=other, wanted=wanted)
    return [Day(symbol, day, pair["message"], pair["orderbook"]) for (symbol, day), pair in sorted(found.items())]


def _width(source: Source) -> int:
    first = source.head().lstrip("\n").split("\n", 1)[0]
    cells = max(first.count(mark) for mark in DELIMITERS) + 1 if first.strip() else 0
    if cells < 4 or cells % 4:
        raise Refusal("row_length", BAD_WIDTH, field="file", file=source.name, cells=cells)
    return cells


def _names(source: Source, what: str) -> tuple[str, ...]:
    if what == "message":
        return MESSAGE
    return tuple(f"{name} {level + 1}" for level in range(_width(source) // 4) for name in SIDES)


def _read_day(day: Day, options: ReadOptions, writer: TapeWriter, kept: int, on_progress: Progress) -> None:
    midnight = _midnight(day.day, ZONE if options.time_zone == "UTC" else options.time_zone)
    symbol = options.symbol or day.symbol
    messages = tables(day.message, options, on_progress, MESSAGE)
    books = tables(day.orderbook, options, no_progress, _names(day.orderbook, "orderbook"))
    short = rows = 0
    for message, book in _in_step(messages, books, day):
        columns = _events(message, midnight)
        columns |= _levels(book, kept)
        short += int(np.isnan(columns["bid_price"][:, -1]).sum() + np.isnan(columns["ask_price"][:, -1]).sum())
        rows += len(message.lines)
        writer.findings += _halts(symbol, columns)
        writer.append(symbol, columns)
    if short:
        params = {"count": short, "levels": kept, "rows": rows}
        writer.findings.append(Finding("dummy_levels", "note", symbol, params=params))


def _midnight(day: str, zone: str) -> int:
    import pandas as pd

    moment = pd.Timestamp(day).tz_localize(zone)
    return int(moment.tz_convert("UTC").tz_localize(None).as_unit("ns").value)


def _in_step(messages: Iterator[Table], books: Iterator[Table], day: Day) -> Iterator[tuple[Table, Table]]:
    """Yield tables of equal length out of both files; a different number of lines is refused."""
    left: list[Table | None] = [None, None]
    counts = [0, 0]
    streams = (messages, books)
    while True:
        for at, stream in enumerate(streams):
            if left[at] is None:
                left[at] = next(stream, None)
                counts[at] += len(left[at].lines) if left[at] is not None else 0  # type: ignore[union-attr]
        message, book = left
        if message is None or book is None:
            if message is not None or book is not None:
                for at, stream in enumerate(streams):
                    counts[at] += sum(len(table.lines) for table in stream)
                raise Refusal(
                    "row_length", LENGTHS, field="file", file=day.message.name, rows=counts[0],
                    other=day.orderbook.name, others=counts[1],
                )  # fmt: skip
            return
        rows = min(len(message.lines), len(book.lines))
        yield _cut(message, 0, rows), _cut(book, 0, rows)
        left = [_cut(table, rows) if len(table.lines) > rows else None for table in (message, book)]


def _cut(table: Table, first: int, end: int | None = None) -> Table:
    rows = (len(table.lines) if end is None else end) - first
    columns = [column.slice(first, rows) for column in table.columns]
    return Table(table.file, table.header, columns, table.lines[first : first + rows])


def _numbers(table: Table, at: int) -> NDArray[np.float64]:
    return parse_numbers(table.columns[at], file=table.file, column=table.header[at], lines=table.lines)


def _refuse(table: Table, at: int, bad: NDArray[np.bool_], code: str, message: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise Refusal(
            code, message, field="file", file=table.file, line=int(table.lines[row]), column=table.header[at],
            value=shorten(table.columns[at][row].as_py()),
        )  # fmt: skip


def _events(table: Table, midnight: int) -> Columns:
    seconds, kind, order, size, price, side = (_numbers(table, at) for at in range(6))
    _refuse(table, 0, ~((seconds >= 0) & (seconds <= 86_400)), "bad_time", BAD_SECONDS)
    _refuse(table, 1, ~np.isin(kind, range(1, 8)), "bad_event", BAD_TYPE)
    _refuse(table, 5, ~np.isin(side, (-1, 1)), "bad_side", BAD_SIDE)
    for at, values in ((2, order), (3, size), (4, price)):
        _refuse(table, at, np.isnan(values), "bad_number", MISSING_NUMBER)
    halted = kind == HALT
    traded = (kind == 4) | (kind == 5)
    return {
        # Doubles hold nanoseconds of one day exactly enough: 86,400 s is 2^16.4, a nanosecond 2^-30.
        "time": midnight + np.round(seconds * 1e9).astype(np.int64),
        "line": table.lines, "kind": kind.astype(np.int8), "id": order.astype(np.int64),
        # An execution names the standing order; the side of a trade is the one that came to it.
        "side": np.where(traded, -side, side).astype(np.int8),
        "price": np.where(halted, np.nan, price / SCALE), "size": np.where(halted, np.nan, size),
    }  # fmt: skip


MISSING_NUMBER = N_("%(file)s, line %(line)s, column %(column)s: there is no number. Fetch the file again.")


def _levels(table: Table, kept: int) -> Columns:
    columns: Columns = {name: np.full((len(table.lines), kept), np.nan) for name in LADDER}
    for level in range(kept):
        for place, name in enumerate(SIDES):
            values = _numbers(table, 4 * level + place)
            _refuse(table, 4 * level + place, np.isnan(values), "bad_number", MISSING_NUMBER)
            columns[name][:, level] = values / SCALE if name.endswith("price") else values
    for side in ("bid", "ask"):
        gone = np.abs(columns[f"{side}_price"]) >= DUMMY / SCALE
        columns[f"{side}_price"][gone] = columns[f"{side}_size"][gone] = np.nan
    return columns


def _halts(symbol: str, columns: Columns) -> Sequence[Finding]:
    """Say where trading stopped and went on: a row of stops counts from the first."""
    at = np.flatnonzero(columns["kind"] == HALT)
    firsts = [row for before, row in pairwise([-2, *at.tolist()]) if row != before + 1]
    return [
        Finding(
            "trading_halt", "note", symbol, columns["time"][row].astype("datetime64[ns]"), int(columns["line"][row])
        )
        for row in firsts
    ]
