"""A book of price levels, built up from stated books and changes, and the rows it gives."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from apps.marketdata.engine.tape.disk import TapeWriter
from apps.marketdata.engine.tape.model import LADDER, Columns, empty_columns

BUFFER_ROWS = 2048
Level = tuple[float, float]


class Side:
    """One side of a book: sizes by price, prices with the best one first."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.sizes: dict[float, float] = {}
        self.keys: list[float] = []

    def put(self, price: float, size: float) -> None:
        """Set what lies at a price; nothing (0) takes the level away."""
        key = self.sign * price
        if size == 0:
            if self.sizes.pop(price, None) is not None:
                del self.keys[bisect_left(self.keys, key)]
            return
        if price not in self.sizes:
            insort(self.keys, key)
        self.sizes[price] = size

    def replace(self, levels: Iterable[Level]) -> None:
        """Forget everything and take ``levels``."""
        self.sizes = {price: size for price, size in levels if size != 0}
        self.keys = sorted(self.sign * price for price in self.sizes)

    def best(self, count: int) -> list[Level]:
        """Return up to ``count`` levels, the best first."""
        prices = [self.sign * key for key in self.keys[:count]]
        return [(price, self.sizes[price]) for price in prices]


@dataclass
class Ladder:
    """The book of one symbol; bids by falling, asks by rising price."""

    bids: Side = field(default_factory=lambda: Side(-1))
    asks: Side = field(default_factory=lambda: Side(1))

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Set the levels named."""
        for price, size in bids:
            self.bids.put(price, size)
        for price, size in asks:
            self.asks.put(price, size)

    def state(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Replace the book by a stated one."""
        self.bids.replace(bids)
        self.asks.replace(asks)


class RowBuffer:
    """Collects rows of one symbol's book and hands them to the writer in chunks."""

    def __init__(self, symbol: str, levels: int, writer: TapeWriter) -> None:
        self.symbol, self.levels, self.writer = symbol, levels, writer
        self.columns: Columns = empty_columns(BUFFER_ROWS, levels)
        self.count = 0

    def add(self, ladder: Ladder, **event: Any) -> None:
        """Write one event with the book after it; unnamed columns stay empty."""
        at = self.count
        for name, value in event.items():
            self.columns[name][at] = value
        for price, size, side in (("bid_price", "bid_size", ladder.bids), ("ask_price", "ask_size", ladder.asks)):
            keys = side.keys[: self.levels]
            prices = keys if side.sign > 0 else [-key for key in keys]
            self.columns[price][at, : len(keys)] = prices
            self.columns[size][at, : len(keys)] = [side.sizes[key] for key in prices]
        self.count += 1
        if self.count == BUFFER_ROWS:
            self.flush()

    def flush(self) -> None:
        """Hand over what was collected."""
        if self.count:
            self.writer.append(self.symbol, {name: values[: self.count] for name, values in self.columns.items()})
            self.columns, self.count = empty_columns(BUFFER_ROWS, self.levels), 0


__all__ = ["LADDER", "Ladder", "Level", "RowBuffer", "Side"]
