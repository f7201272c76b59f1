"""Closing prices side by side: a date and one column per symbol, or numbered rows without dates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import RawBars
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.clock import Where
from apps.marketdata.engine.readers.columns import meanings
from apps.marketdata.engine.readers.numbers import parse_numbers, shorten
from apps.marketdata.engine.readers.options import ReadOptions
from apps.marketdata.engine.readers.tables import Table
from apps.marketdata.engine.symbols import canonical
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

NO_DATES = N_(
    "%(file)s has one column per symbol but no dates. Say the day of its first row (first day 1990-01-02): "
    "the rows are numbered from there on the working days."
)
BAD_DAY = N_("%(value)s is not a day. Write the first day like 1990-01-02.")


def read_wide(
    table: Table, time: NDArray[np.datetime64], daily: bool, skip: Sequence[int], options: ReadOptions
) -> RawBars:
    """Return the closes of every column but those in ``skip``; cells without a value are no bars."""
    chosen = [at for at in range(len(table.header)) if at not in skip and table.header[at].strip()]
    lines, symbols, times, closes = [], [], [], []
    for at in chosen:
        values = parse_numbers(
            table.columns[at], file=table.file, column=table.header[at], lines=table.lines,
            decimal_comma=table.decimal_comma,
        )  # fmt: skip
        known = np.isfinite(values)
        name = canonical(table.header[at]) if options.symbols == "normal" else table.header[at].strip()
        lines.append(table.lines[known])
        times.append(time[known])
        closes.append(values[known])
        symbols.append(np.full(int(known.sum()), name[:32], dtype=object))
    findings = (*table.findings, Finding("only_close", "note"))
    return RawBars(
        table.file, np.concatenate(lines), np.concatenate(symbols), np.concatenate(times),
        {"close": np.concatenate(closes)}, daily, findings,
    )  # fmt: skip


def numbered(table: Table, options: ReadOptions) -> RawBars:
    """Number the rows of a table without dates from ``first_day`` on, on working days.

    Raises ``Refusal`` ``no_dates`` where nobody said the day.
    """
    if not options.first_day:
        raise Refusal("no_dates", NO_DATES, field="first_day", file=table.file)
    try:
        first = np.datetime64(options.first_day, "D")
    except ValueError as error:
        raise Refusal("bad_first_day", BAD_DAY, field="first_day", value=shorten(options.first_day)) from error
    places = np.arange(options.first_row, options.first_row + len(table.lines))
    days = np.busday_offset(first, places, roll="forward").astype("datetime64[ns]")
    made = read_wide(table, days, True, [], options)
    note = Finding("numbered_days", "note", params={"first": str(first), "calendar": "Mon–Fri"})
    return RawBars(made.file, made.line, made.symbol, made.time, made.fields, True, (*made.findings, note))


def without_dates(table: Table) -> bool:
    """Tell whether there is no date, hardly a column that means anything, and every first cell is a number."""
    known = meanings(table.header)
    strange = len(table.header) - len(known)  # columns called C, H, L or O among A to Z are no bars
    if {"date", "datetime", "time", "symbol"} & set(known) or strange < 2 or strange <= len(known):
        return False
    if not len(table.lines):
        return False
    where = Where(table.file, table.header[0], table.lines)
    try:
        for column in table.columns:
            parse_numbers(column.slice(0, 1), file=where.file, column=where.column, lines=table.lines[:1])
    except Refusal:
        return False
    return True
