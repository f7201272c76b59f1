"""Books as tables: stated level by level in columns (vendors' snapshots, best quotes), or one level a row.

Columns: ``bid1_price``, ``asks[0].amount``, ``买一价``, ``b1_v`` and their like; a row is the book at its time. Vendors
of A-shares put the last price and the day's volume and amount beside it: what these grow by is a trade between two
rows. Rows with ``side``, ``price``, ``amount`` and a mark of whole books (``is_snapshot``, ``update_type``) are
changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apps.marketdata.engine.readers.columns import NAMES, plain
from apps.marketdata.engine.readers.numbers import shorten
from apps.marketdata.engine.readers.options import Progress, ReadOptions
from apps.marketdata.engine.readers.rows import _symbols, _texts
from apps.marketdata.engine.readers.tables import Table
from apps.marketdata.engine.tape.depth import Change, DepthBooks, Stated
from apps.marketdata.engine.tape.disk import TapeWriter
from apps.marketdata.engine.tape.model import LADDER, SNAPSHOT, Columns
from apps.marketdata.engine.tape.sources import Source, share_of, sources_of, tables
from apps.marketdata.engine.tape.trades import (
    BAD_SIDE,
    by_symbol,
    header_of,
    named,
    numbers_of,
    times_of,
    trade_columns,
)
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

DIGITS = {word: number for number, word in enumerate("一二三四五六七八九十", 1)}
SIDES = {"bid": "bid", "b": "bid", "buy": "bid", "买": "bid", "ask": "ask", "a": "ask", "sell": "ask", "offer": "ask",
         "s": "ask", "卖": "ask"}  # fmt: skip
WHAT = {
    "": "price", "price": "price", "prices": "price", "px": "price", "p": "price", "价": "price", "size": "size",
    "sizes": "size", "sz": "size", "qty": "size", "quantity": "size", "amount": "size", "volume": "size", "vol": "size",
    "v": "size", "q": "size", "量": "size", "手": "size", "distance": "distance", "notional": "notional",
}  # fmt: skip
_SIDE, _WHAT = r"(?P<side>bids?|asks?|offer|buy|sell|b|a|s)", "|".join(w for w in WHAT if w.isascii() and w)
PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^{_SIDE}(?P<what>{_WHAT})?(?P<level>\d{{1,3}})$",
        rf"^{_SIDE}(?P<level>\d{{1,3}})(?P<what>{_WHAT})?$",
        r"^申?(?P<side>[买卖])(?P<what>[价量手])?(?P<level>[一二三四五六七八九十]|\d{1,2})$",
        r"^申?(?P<side>[买卖])(?P<level>[一二三四五六七八九十]|\d{1,2})(?P<what>[价量手])?$",
        r"^(?:best)?(?P<side>bid|ask|offer)(?P<what>price|px|size|sz|qty|quantity|amount|volume|vol)?$",
    )
)
MIDDLE = ("midpoint", "mid", "midprice")
CLOSES = {"close", "closeprice", "收盘价", "收盘"}
CHANGE_MARKS = {"issnapshot": ("true", "1", "t"), "updatetype": ("snap", "snapshot")}
NO_LEVELS = N_(
    "%(file)s has no columns of a book. Its columns are %(columns)s. Name them like bid1_price, bid1_size, ask1_price, "
    "ask1_size, or 买一价, 买一量, 卖一价, 卖一量."
)
NO_TIME = N_("%(file)s has no column for the time. Its columns are %(columns)s. Rename one to time.")


@dataclass(frozen=True)
class BookColumns:
    """Positions by (side, what) and level from 1; ``base`` is where the source begins to count."""

    at: Mapping[tuple[str, str], Mapping[int, int]]
    levels: int
    middle: int | None = None

    @property
    def relative(self) -> bool:
        """Whether prices are distances from a midpoint and sizes are money."""
        return ("bid", "price") not in self.at


def book_columns(header: Sequence[str]) -> BookColumns | None:
    """Return the columns of a stated book, None where the header names none on both sides."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    names = [plain(name) for name in header]
    for at, name in enumerate(names):
        for pattern in PATTERNS:
            match = pattern.match(name)
            if match:
                parts = match.groupdict()
                level = parts.get("level") or "1"
                number = DIGITS.get(level) or int(level)
                key = SIDES[parts["side"].rstrip("s") or "s"], WHAT[parts["what"] or ""]
                found.setdefault(key, {}).setdefault(number, at)
                break
    middle = next((at for at, name in enumerate(names) if name in MIDDLE), None)
    kind = "price" if ("bid", "price") in found and ("ask", "price") in found else "distance"
    if kind == "distance" and (middle is None or ("bid", kind) not in found or ("ask", kind) not in found):
        return None
    base = min([*found["bid", kind], *found["ask", kind]])
    if base not in (0, 1):
        return None
    moved = {key: {level - base + 1: at for level, at in places.items()} for key, places in found.items()}
    levels = min(max(moved["bid", kind]), max(moved["ask", kind]))
    return BookColumns(moved, levels, middle)


def is_snapshots(source: Source) -> bool:
    """Tell by its header whether a table states books; bars that carry a quote stay bars."""
    names = header_of(source)
    plains = {plain(name) for name in names}
    if plains & CLOSES and {"open", "high", "low"} & {name.removesuffix("price") for name in plains}:
        return False
    return book_columns(names) is not None or is_changes(names)


def is_changes(header: Sequence[str]) -> bool:
    """Tell whether a table holds one level a row."""
    names = {plain(name) for name in header}
    return bool({"side", "price"} <= names and names & set(CHANGE_MARKS))


def read_snapshots(path: Path, options: ReadOptions, writer: TapeWriter, on_progress: Progress) -> None:
    """Read every table of books in ``path`` into ``writer``; refuses with file, line, column and value."""
    sources = sources_of(path)
    books = DepthBooks(writer, options.levels)
    grown = Growth()
    for at, source in enumerate(sources):
        progress = share_of(on_progress, at, len(sources))
        if is_changes(header_of(source)):
            read_changes(tables(source, options, progress, options.columns), options, books)
            continue
        for table in tables(source, options, progress, options.columns):
            for symbol, columns in by_symbol(table, _stated(table, options, writer.levels), options):
                writer.append(symbol, grown.trades(symbol, columns))
    books.finish()


def _stated(table: Table, options: ReadOptions, known: int) -> Columns:
    found = book_columns(table.header)
    at = trade_columns(table.header, options.mapping)
    if found is None:
        names = shorten(", ".join(table.header))
        raise Refusal("missing_column", NO_LEVELS, field="file", file=table.file, columns=names)
    if not {"datetime", "date", "time"} & set(at):
        names = shorten(", ".join(table.header))
        raise Refusal("missing_column", NO_TIME, field="file", file=table.file, columns=names)
    levels = known or min(found.levels, options.levels)
    rows = len(table.lines)
    columns: Columns = {
        "time": times_of(table, at, options), "line": table.lines, "kind": np.full(rows, SNAPSHOT, np.int8),
        "side": np.zeros(rows, np.int8), "price": np.full(rows, np.nan), "size": np.full(rows, np.nan),
        "id": np.zeros(rows, np.int64), **_ladder(table, found, levels),
    }  # fmt: skip
    taken = {position for places in found.at.values() for position in places.values()}
    for target, source in (("price", "price"), ("size", "size"), ("amount", "money")):
        if source in at and at[source] not in taken:
            columns[target] = numbers_of(table, at[source])
    for name in ("size", "bid_size", "ask_size") if options.volume_unit > 1 else ():
        columns[name] = columns[name] * options.volume_unit
    return columns


def _ladder(table: Table, found: BookColumns, levels: int) -> Columns:
    columns: Columns = {name: np.full((len(table.lines), levels), np.nan) for name in LADDER}
    middle = numbers_of(table, found.middle) if found.relative and found.middle is not None else None
    for side in ("bid", "ask"):
        for level in range(1, levels + 1):
            price, size = columns[f"{side}_price"], columns[f"{side}_size"]
            if middle is not None:
                distance, money = (_level(table, found, side, what, level) for what in ("distance", "notional"))
                price[:, level - 1] = middle * (1 + distance)
                size[:, level - 1] = money / price[:, level - 1]
            else:
                price[:, level - 1] = _level(table, found, side, "price", level)
                size[:, level - 1] = _level(table, found, side, "size", level)
        # An empty level is written as 0 (or left out): it is no level at price 0.
        gone = ~(columns[f"{side}_price"] != 0) | np.isnan(columns[f"{side}_price"])
        columns[f"{side}_price"][gone] = columns[f"{side}_size"][gone] = np.nan
    return columns


def _level(table: Table, found: BookColumns, side: str, what: str, level: int) -> NDArray[np.float64]:
    at = found.at.get((side, what), {}).get(level)
    return np.full(len(table.lines), np.nan) if at is None else numbers_of(table, at)


@dataclass
class Growth:
    """Turns the day's volume and amount so far into what was traded since the row before."""

    before: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    def trades(self, symbol: str, columns: Columns) -> Columns:
        """Return the columns with ``size`` (and ``amount``) as increments; a fall begins a new day."""
        day = columns["time"] // (86_400 * 10**9)
        grown = dict(columns)
        ends = [float("nan"), float("nan")]
        for place, name in ((1, "size"), (2, "amount")):
            if name not in columns or np.isnan(columns[name]).all():
                continue
            total = columns[name]
            last = self.before.get(symbol, (int(day[0]) if len(day) else 0, np.nan, np.nan))[place]
            known = np.concatenate([[last], total])[:-1]
            step = total - known
            grown[name] = np.where(step > 0, step, np.nan)
            ends[place - 1] = float(total[-1])
        if len(day):
            self.before[symbol] = (int(day[-1]), ends[0], ends[1])
        return grown


def read_changes(found: Iterator[Table], options: ReadOptions, books: DepthBooks) -> None:
    """Read one level a row; rows of one message share time, mark and update id."""
    for message in _messages(found, options):
        message.give(books)


@dataclass
class _Message:
    symbol: str
    time: int
    line: int
    whole: bool
    ids: tuple[int, int, int | None]
    bids: list[tuple[float, float]] = field(default_factory=list)
    asks: list[tuple[float, float]] = field(default_factory=list)

    def give(self, books: DepthBooks) -> None:
        """Hand the message to its book."""
        first, last, previous = self.ids
        if self.whole:
            books.of(self.symbol).take(Stated(self.time, self.line, self.bids, self.asks, last))
        else:
            change = Change(self.time, self.line, self.bids, self.asks, first, last, previous)
            books.of(self.symbol).take(change)


def _messages(found: Iterator[Table], options: ReadOptions) -> Iterator[_Message]:
    current: _Message | None = None
    for table in found:
        names = {plain(name): at for at, name in enumerate(table.header)}
        at = trade_columns(table.header, options.mapping)
        times, prices = times_of(table, at, options), numbers_of(table, at["price"])
        sizes, asks, wholes = numbers_of(table, at["size"]), _is_ask(table, names["side"]), _is_whole(table, names)
        symbols = _symbols(table, at.get("symbol"), named(table.file, options, at))
        numbers = [_whole_numbers(table, names.get(name)) for name in ("firstupdateid", "lastupdateid", "pu")]
        for row in range(len(table.lines)):
            first, last = int(numbers[0][row]), int(numbers[1][row])
            previous = int(numbers[2][row]) if "pu" in names and numbers[2][row] > 0 else None
            key = (str(symbols[row]), int(times[row]), bool(wholes[row]), (first or last, last, previous))
            if current is None or (current.symbol, current.time, current.whole, current.ids) != key:
                if current is not None:
                    yield current
                current = _Message(key[0], key[1], int(table.lines[row]), key[2], key[3])
            (current.asks if asks[row] else current.bids).append((float(prices[row]), float(sizes[row])))
    if current is not None:
        yield current


def _is_ask(table: Table, at: int) -> NDArray[np.bool_]:
    words = _texts(table.columns[at]).str.strip().str.lower()
    known = words.map({"bid": False, "b": False, "buy": False, "ask": True, "a": True, "sell": True, "s": True})
    if known.isna().any():
        row = int(np.argmax(known.isna().to_numpy()))
        raise Refusal(
            "bad_side", BAD_SIDE, field="file", file=table.file, line=int(table.lines[row]), column=table.header[at],
            value=shorten(words.iloc[row]),
        )  # fmt: skip
    return np.asarray(known.to_numpy(dtype=bool))


def _is_whole(table: Table, names: Mapping[str, int]) -> NDArray[np.bool_]:
    mark, words = next((mark, words) for mark, words in CHANGE_MARKS.items() if mark in names)
    texts = _texts(table.columns[names[mark]]).str.strip().str.lower()
    return np.asarray(texts.isin(words).to_numpy(dtype=bool))


def _whole_numbers(table: Table, at: int | None) -> NDArray[np.int64]:
    if at is None:
        return np.zeros(len(table.lines), dtype=np.int64)
    values = table.columns[at].cast(pa.string())
    try:
        return np.asarray(values.cast(pa.int64()).fill_null(0).to_numpy(), dtype=np.int64)
    except pa.ArrowInvalid:
        return np.nan_to_num(numbers_of(table, at)).astype(np.int64)


__all__ = ["NAMES", "book_columns", "is_changes", "is_snapshots", "read_changes", "read_snapshots"]
