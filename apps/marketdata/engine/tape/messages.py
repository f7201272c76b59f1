"""Depth as messages, one JSON document a line: Binance's streams and snapshots, Bybit's order book topics.

A line may begin with the time it was received (``1680652700599351 {…}``) and may wrap the message in its stream
(``{"stream": …, "data": …}``). Times of the exchange win over times of receipt.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.json_rows import json_list
from apps.marketdata.engine.readers.numbers import shorten
from apps.marketdata.engine.readers.options import Progress, ReadOptions
from apps.marketdata.engine.readers.rows import symbol_of_file
from apps.marketdata.engine.tape.depth import Change, DepthBooks, Stated, Trade, pairs
from apps.marketdata.engine.tape.disk import TapeWriter
from apps.marketdata.engine.tape.sources import TEXTS, Source, blocks, share_of, sources_of
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

BAD_LINE = N_(
    "%(file)s, line %(line)s: “%(value)s” is no JSON message. Each line is one message, perhaps after the time it was "
    "received. Remove the line, or fetch the file again."
)
BAD_FIELD = N_(
    "%(file)s, line %(line)s, column %(column)s: “%(value)s” is not what a message of depth or trades has there. "
    "Fetch the file again."
)
NO_SYMBOL = N_(
    "%(file)s, line %(line)s: the snapshot does not say whose book it is, and the messages are of %(known)s. "
    "Name the symbol of the import."
)
NO_DEPTH = N_("%(file)s holds no order book: neither a snapshot nor an update of depth is in it.")
#: Units by the digits of a count since 1970.
UNITS = {10: 10**9, 13: 10**6, 16: 1000, 19: 1}
SIGNS = re.compile(r'"(depthUpdate|lastUpdateId|topic"\s*:\s*"orderbook)')
OTHERS = ("bookTicker", "markPrice", "kline", "24hrTicker", "forceOrder", "miniTicker")


def is_depth(source: Source) -> bool:
    """Tell by the first lines whether a file is one of depth messages."""
    return source.ending in TEXTS and bool(SIGNS.search(source.head()))


@dataclass
class Feed:
    """What is known while the lines of all files are read."""

    books: DepthBooks
    options: ReadOptions
    source: str = ""
    line: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    unnamed: list[Stated] = field(default_factory=list)
    depth: bool = False

    def message(self, document: Mapping[str, Any], received: int | None) -> None:
        """Take one message apart and hand it to its book."""
        stream = str(document.get("stream", ""))
        data = document.get("data") if "data" in document else document
        if not isinstance(data, Mapping):
            raise self.refuse("data", data)
        topic = str(document.get("topic", ""))
        if topic.startswith("orderbook"):
            self._bybit(document, data, received)
        elif data.get("e") == "depthUpdate":
            self._named(str(data["s"]), self._change(data, received))
        elif "lastUpdateId" in data:
            self._stated(data, stream, received)
        elif data.get("e") in ("trade", "aggTrade"):
            self._named(str(data["s"]), self._trade(data, received))
        else:
            kind = str(data.get("e") or stream.partition("@")[2].partition("@")[0] or topic or "?")[:24]
            self.left_out[kind] += 1

    def refuse(self, column: str, value: object) -> Refusal:
        return Refusal(
            "bad_message", BAD_FIELD, field="file", file=self.source, line=self.line, column=column,
            value=shorten(value),
        )  # fmt: skip

    def _named(self, symbol: str, message: Change | Stated | Trade) -> None:
        self.depth |= not isinstance(message, Trade)
        name = self.options.symbol or symbol
        book = self.books.of(name)
        waiting, self.unnamed = self.unnamed, []
        for stated in waiting:
            book.take(stated)
        book.take(message)

    def _stated(self, data: Mapping[str, Any], stream: str, received: int | None) -> None:
        stated = Stated(
            self._time(data, received, needed=False), self.line, self._levels(data, "bids"), self._levels(data, "asks"),
            self._count(data, "lastUpdateId"),
        )  # fmt: skip
        self.depth = True
        symbol = str(data.get("s") or stream.partition("@")[0].upper())
        known = list(self.books.books)
        if symbol or self.options.symbol:
            self._named(symbol, stated)
        elif len(known) == 1:
            self._named(known[0], stated)
        elif not known:
            self.unnamed.append(stated)
        else:
            raise Refusal(
                "no_symbol", NO_SYMBOL, field="symbol", file=self.source, line=self.line, known=", ".join(known[:6])
            )

    def _change(self, data: Mapping[str, Any], received: int | None) -> Change:
        return Change(
            self._time(data, received) or 0, self.line, self._levels(data, "b"), self._levels(data, "a"),
            self._count(data, "U"), self._count(data, "u"), self._count(data, "pu") if "pu" in data else None,
        )  # fmt: skip

    def _trade(self, data: Mapping[str, Any], received: int | None) -> Trade:
        price, size = (self._number(data, name) for name in ("p", "q"))
        # "m": the buyer was the maker, so the seller came to the book.
        side = -1 if data.get("m") is True else 1 if data.get("m") is False else 0
        number = self._count(data, "t" if "t" in data else "a")
        return Trade(self._time(data, received) or 0, self.line, price, size, side, number)

    def _bybit(self, document: Mapping[str, Any], data: Mapping[str, Any], received: int | None) -> None:
        time = self._time({"T": document.get("cts"), "E": document.get("ts")}, received) or 0
        bids, asks, number = self._levels(data, "b"), self._levels(data, "a"), self._count(data, "u")
        symbol = str(data.get("s") or "")
        if document.get("type") == "snapshot":
            self._named(symbol, Stated(time, self.line, bids, asks, number))
        else:
            self._named(symbol, Change(time, self.line, bids, asks, number, number))

    def _levels(self, data: Mapping[str, Any], name: str) -> list[tuple[float, float]]:
        try:
            return pairs(data[name])
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise self.refuse(name, data.get(name)) from error

    def _count(self, data: Mapping[str, Any], name: str) -> int:
        value = data.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise self.refuse(name, value)
        return value

    def _number(self, data: Mapping[str, Any], name: str) -> float:
        try:
            return float(data[name])
        except (KeyError, ValueError, TypeError) as error:
            raise self.refuse(name, data.get(name)) from error

    def _time(self, data: Mapping[str, Any], received: int | None, *, needed: bool = True) -> int | None:
        for name in ("T", "E"):
            if data.get(name):
                moment = nanoseconds(data[name])
                if moment is None:
                    raise self.refuse(name, data[name])
                return moment
        if received is None and needed:
            raise self.refuse("E", data.get("E"))
        return received


def nanoseconds(value: object) -> int | None:
    """Return ns since 1970 of a count of s, ms, us or ns, told by its digits; None for anything else."""
    text = str(value)
    unit = UNITS.get(len(text)) if text.isdecimal() else None
    found = int(text) * unit if unit else None
    return found if found is not None and found < 2**63 else None


def read_messages(path: Path, options: ReadOptions, writer: TapeWriter, on_progress: Progress) -> None:
    """Read every file of messages in ``path`` into ``writer``; refuses with file, line, column and value."""
    feed = Feed(DepthBooks(writer, options.levels), options)
    sources = [source for source in sources_of(path) if source.ending in TEXTS]
    for at, source in enumerate(sources):
        for line, text in _lines(source, options, share_of(on_progress, at, len(sources))):
            feed.source, feed.line = source.name, line
            _take(feed, text)
    for stated in feed.unnamed:
        feed.books.of(options.symbol or symbol_of_file(feed.source) or "BOOK").take(stated)
    if not feed.depth:
        raise Refusal("not_book", NO_DEPTH, field="file", file=path.name)
    feed.books.finish()
    for kind, count in feed.left_out.items():
        writer.findings.append(Finding("messages_left_out", "note", params={"count": count, "kind": kind}))


def _take(feed: Feed, text: str | Mapping[str, Any]) -> None:
    received = None
    document: Any = text
    if isinstance(text, str):
        stamp, _, rest = text.partition(" ")
        if stamp.isdecimal():
            received, text = nanoseconds(stamp), rest
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
    if not isinstance(document, Mapping):
        raise Refusal("bad_json", BAD_LINE, field="file", file=feed.source, line=feed.line, value=shorten(text))
    try:
        feed.message(document, received)
    except KeyError as error:
        raise feed.refuse(str(error.args[0]), None) from error


def _lines(
    source: Source, options: ReadOptions, on_progress: Progress
) -> Iterator[tuple[int, str | Mapping[str, Any]]]:
    if not source.member and source.head().lstrip()[:1] == "[":
        yield from enumerate(json_list(source.path, options.limit_bytes), 1)
        return
    for block, first in blocks(source, options, on_progress):
        for at, line in enumerate(block.split("\n")):
            if line.strip():
                yield first + at, line.strip()
