"""A book in bytes: a tenth of the work of JSON, at ten thousand quotes a second.

One byte with the number of levels (bids × 16 + asks), then price and size of each level as little-endian doubles,
bids first, best first. No book is no byte.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import chain
from struct import Struct

from apps.marketdata.engine.quotes.feed import Side

#: What a book began with when it was JSON: no packed book begins so, for a side has five levels at most.
JSON_BEGINS = ord("[")


@lru_cache(maxsize=256)
def _layout(head: int) -> Struct:
    return Struct(f"<B{2 * (head >> 4) + 2 * (head & 15)}d")


def book_packed(bids: Side, asks: Side) -> bytes:
    """Return both sides as bytes, empty where there is none. A side has 15 levels at most."""
    head = len(bids) << 4 | len(asks)
    return _layout(head).pack(head, *chain(*bids, *asks)) if head else b""


def book_sides(book: bytes | memoryview | str) -> tuple[Side, Side]:
    """Return bids and asks, best first, as tuples of (price, size); an older version's JSON is read too."""
    if not book:
        return (), ()
    data = book.encode() if isinstance(book, str) else bytes(book)
    if data[0] == JSON_BEGINS:
        bids, asks = json.loads(data)
        return tuple((price, size) for price, size in bids), tuple((price, size) for price, size in asks)
    values = _layout(data[0]).unpack(data)
    levels = tuple(zip(values[1::2], values[2::2], strict=True))
    return levels[: data[0] >> 4], levels[data[0] >> 4 :]
