"""JSON of any shape to quotes: which field says what is a table, written by whoever adds the feed."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from apps.marketdata.engine.quotes.feed import LEVELS, Quote, Side
from apps.marketdata.engine.symbols import canonical
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
BAD_MAPPING = N_(
    "The mapping is wrong at %(name)s. It maps %(known)s to the source's names; symbol, last and time must be there."
)
BAD_UNIT = N_("The unit of time is %(unit)s; use one of %(known)s.")


@dataclass(frozen=True)
class FieldMap:
    """Where a message says what: names, or paths with dots (``data.p``, ``data.0.price``).

    ``items`` leads to a list of quotes (or an object of quotes by symbol) inside a message; without it the message,
    or each member of it, is one. ``bids`` and ``asks`` lead to (price, size) pairs or objects with ``price`` and
    ``size``; where prices and sizes are lists of their own, ``bid_sizes`` and ``ask_sizes`` lead to the sizes.
    ``unit`` is that of a number in ``time``; text is read as ISO 8601. ``lot`` turns sizes and volume into shares.
    """

    symbol: str = "symbol"
    last: str = "last"
    time: str = "time"
    items: str = ""
    volume: str = "volume"
    amount: str = "amount"
    prev_close: str = "prev_close"
    bids: str = "bids"
    asks: str = "asks"
    bid_sizes: str = ""
    ask_sizes: str = ""
    unit: str = "ms"
    lot: float = 1.0

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> FieldMap:
        """Return the mapping that ``document`` describes; raises ``Refusal`` ``bad_mapping``."""
        known = {field.name for field in fields(cls)}
        for name, value in document.items():
            wrong = name not in known or (name == "lot") != (isinstance(value, int | float) and value is not True)
            if wrong or (name != "lot" and not isinstance(value, str)):
                raise cls._wrong(str(name))
        found = cls(**document)
        if found.unit not in UNITS:
            raise Refusal("bad_mapping", BAD_UNIT, field="mapping", unit=found.unit[:20], known=", ".join(UNITS))
        if not (found.symbol and found.last and found.time and found.lot > 0 and math.isfinite(found.lot)):
            raise cls._wrong("symbol, last, time, lot")
        return found

    @classmethod
    def _wrong(cls, name: str) -> Refusal:
        known = ", ".join(field.name for field in fields(cls))
        return Refusal("bad_mapping", BAD_MAPPING, field="mapping", name=name[:40], known=known)


def parse_message(text: str | bytes, mapping: FieldMap, received: float, rejected: Counter[str]) -> list[Quote]:
    """Return the quotes in a message; what is none is counted in ``rejected``. Never raises.

    A message without any of the mapping's fields (a greeting, an acknowledgement) is passed over.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        rejected["not_json"] += 1
        return []
    found = []
    for item, name in _items(message, mapping):
        try:
            quote = _quote(item, name, mapping, received)
        except (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError):
            rejected["not_understood"] += 1
        else:
            found.append(quote)
    return found


def _items(message: Any, mapping: FieldMap) -> Iterator[tuple[Any, str]]:
    """Yield what may be a quote, each with the symbol it is filed under, if any."""
    place = at(message, mapping.items) if mapping.items else message
    if isinstance(place, list):
        yield from ((item, "") for item in place)
    elif isinstance(place, dict) and mapping.items and at(place, mapping.last) is None:
        yield from ((item, name) for name, item in place.items())
    elif isinstance(place, dict):
        if any(at(place, name) is not None for name in (mapping.symbol, mapping.last)):
            yield place, ""
    elif place is not None and mapping.items:
        yield place, ""


def at(document: Any, path: str) -> Any:
    """Return what ``path`` leads to, None where it leads nowhere."""
    if isinstance(document, dict) and path in document:
        return document[path]
    for part in path.split("."):
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdecimal() and len(part) < 6 and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document


def _quote(item: Any, name: str, mapping: FieldMap, received: float) -> Quote:
    symbol = at(item, mapping.symbol) or name
    if not isinstance(symbol, str):
        raise TypeError(symbol)
    lot = mapping.lot
    volume = number(at(item, mapping.volume))
    return Quote(
        symbol=canonical(symbol), last=required(at(item, mapping.last)), received=received,
        time=seconds(at(item, mapping.time), mapping.unit),
        bids=side(at(item, mapping.bids), at(item, mapping.bid_sizes) if mapping.bid_sizes else None, lot),
        asks=side(at(item, mapping.asks), at(item, mapping.ask_sizes) if mapping.ask_sizes else None, lot),
        volume=None if volume is None else volume * lot, amount=number(at(item, mapping.amount)),
        prev_close=number(at(item, mapping.prev_close)),
    )  # fmt: skip


def number(value: Any) -> float | None:
    """Return a number or numeric text as float; None for nothing. Raises ``ValueError`` or ``TypeError``."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise TypeError(value)
    return float(value)


def required(value: Any) -> float:
    found = number(value)
    if found is None:
        raise ValueError(value)
    return found


def seconds(value: Any, unit: str) -> float:
    """Return a time as seconds since 1970; text that is no number is ISO 8601, UTC without an offset."""
    if isinstance(value, str) and not value.replace(".", "", 1).isdecimal():
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return required(value) / UNITS[unit]


def side(prices: Any, sizes: Any, lot: float) -> Side:
    """Return one side of a book, best first as the source has it; empty levels (price 0) end it."""
    if prices is None:
        return ()
    if isinstance(prices, int | float | str):
        prices, sizes = [prices], [sizes]
    pairs: Sequence[Any] = list(zip(prices, sizes, strict=True)) if sizes is not None else list(prices)
    found = []
    for pair in pairs[:LEVELS]:
        price, size = (pair["price"], pair["size"]) if isinstance(pair, dict) else (pair[0], pair[1])
        level = required(price)
        if level == 0:
            break
        found.append((level, required(size) * lot))
    return tuple(found)
