"""Text without a proper header: what its first lines can only mean."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from apps.marketdata.engine.readers.columns import meanings, plain

DATE = re.compile(
    r"\d{4}[-/.]?\d{2}[-/.]?\d{2}([T ]\d{2}:?\d{2}(:?\d{2})?)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}.*|\d{10}|\d{13}"
)
CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?")
AFTER_TIME = ("open", "high", "low", "close", "volume", "open_interest")


def guess_columns(line: str, delimiter: str) -> tuple[str, ...]:
    """Return names for the cells of a line of bars without header, nothing where it cannot be one.

    A time, or a date and a clock, then open, high, low, close in an order that holds as a bar,
    then perhaps volume and open interest.
    """
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    times = 2 if len(cells) > 1 and CLOCK.fullmatch(cells[1]) else 1
    if not DATE.fullmatch(cells[0]) or not times + 4 <= len(cells) <= times + len(AFTER_TIME):
        return ()
    try:
        numbers = [float(cell.replace(",", ".") if delimiter == ";" else cell) for cell in cells[times:]]
    except ValueError:
        return ()
    opened, high, low, close = numbers[:4]
    if not low <= min(opened, close) <= max(opened, close) <= high:
        return ()
    return (*("date", "time")[:times], *AFTER_TIME[: len(numbers)])


def with_clock(header: tuple[str, ...], second: str, delimiter: str) -> tuple[str, ...]:
    """Return the header with the time it forgot, where every row has a clock after the date."""
    cells = next(csv.reader([second], delimiter=delimiter), [])
    dated = header and plain(header[0]) in ("date", "day", "日期")
    if dated and len(cells) == len(header) + 1 and CLOCK.fullmatch(cells[1].strip()):
        return (header[0], "time", *header[1:])
    return header


def is_wide(header: Sequence[str]) -> bool:
    """Tell whether a table has one column per symbol: a date, and no column that is part of a bar."""
    known = meanings(header)
    parts = {"open", "high", "low", "close", "volume", "open_cents", "adj_close", "symbol"} & set(known)
    return not parts and ("date" in known or "datetime" in known) and len(header) > 1
