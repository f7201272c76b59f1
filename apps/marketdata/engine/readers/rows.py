"""From a table of cells to rows of bars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import RawBars
from apps.marketdata.engine.derive import lot_counts, volume_unit
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.clock import Times, Where, bar_times, parse_coded_times, strange_offsets
from apps.marketdata.engine.readers.columns import map_columns, meanings
from apps.marketdata.engine.readers.dialects import is_wide
from apps.marketdata.engine.readers.numbers import parse_numbers
from apps.marketdata.engine.readers.options import ReadOptions
from apps.marketdata.engine.readers.tables import Table
from apps.marketdata.engine.readers.wide import numbered, read_wide, without_dates
from apps.marketdata.engine.symbols import canonical
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

if TYPE_CHECKING:
    import pandas as pd

NO_SYMBOL = N_("%(file)s, line %(line)s, column %(column)s: the symbol is empty. Fill it in or remove the line.")
NO_TIME = N_("%(file)s, line %(line)s, column %(column)s: the time is empty. Fill it in or remove the line.")
BAD_TYPE = N_("%(file)s: the column %(column)s holds %(type)s, which is not a time. Save it as a date or as text.")
OUT_OF_RANGE = N_("%(file)s: the column %(column)s holds times before 1678 or after 2261. Correct them.")
CLOCK = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?|\d{4,6}"


def symbol_of_file(name: str) -> str:
    """Return the instrument a file name begins with: AAPL of AAPL_2006-01-01.csv, BTC_USDT of BTC_USDT-5m.csv."""
    stem = re.sub(r"(\.(csv|txt|tsv|parquet|pq|feather|xlsx|xlsm|gz))+$", "", Path(name).name, flags=re.IGNORECASE)
    if re.fullmatch(r"\d{4,6}|[A-Za-z]{2,4}[._]?\d{6}|\d{6}[._]?[A-Za-z]{2,4}", stem):
        return stem
    found = re.match(r"^(.*?[^\W\d].*?)[-_ ]\d.*$", stem)
    return (found.group(1) if found else stem)[:32]


def to_bars(table: Table, options: ReadOptions) -> RawBars:
    """Find the columns, read times, symbols and numbers; any cell that cannot be is refused with its line."""
    seen: dict[str, Any] = {}
    if not options.mapping and is_wide(table.header):
        known = meanings(table.header)
        positions = tuple(known[name] for name in ("datetime", "date", "time") if name in known)
        time, daily = _times(table, positions[:1] if "datetime" in known else positions, options, seen)
        return replace(read_wide(table, time, daily, positions, options), seen=seen)
    if not options.mapping and without_dates(table):
        return numbered(table, options)
    columns = map_columns(table.header, table.file, options.mapping)
    notes: list[Finding] = []
    time, daily = _times(table, columns.time, options, seen, notes)
    fields = {}
    for name, (position, scale) in columns.fields.items():
        numbers = parse_numbers(
            table.columns[position], file=table.file, column=table.header[position], lines=table.lines,
            decimal_comma=table.decimal_comma,
        )  # fmt: skip
        # Dividing keeps 2183 cents at exactly 21.83; multiplying by 0.01 would not.
        fields[name] = numbers if scale == 1.0 else numbers / round(1 / scale)
    symbol = _symbols(table, columns.symbol, options, seen)
    fields, unit = _in_shares(_marks(fields), options, seen)
    if unit:
        notes.append(Finding("volume_in_lots", "note", params={"unit": unit}))
    findings = (*table.findings, *notes)
    return RawBars(table.file, table.lines, symbol, time, fields, daily, findings, columns.ignored, seen)


def _marks(fields: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """A vendor's mark of trading (1) is our mark of suspension (0), where there is no bar to the contrary."""
    traded = fields.pop("traded", None)
    if traded is not None and "suspended" not in fields:
        fields["suspended"] = np.where(np.isnan(traded), np.nan, (traded == 0).astype(np.float64))
    return fields


def _in_shares(
    fields: dict[str, NDArray[np.float64]], options: ReadOptions, seen: dict[str, Any]
) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Return the fields with volume in shares, and the unit it was converted from (0: it was in shares).

    A part of a file keeps the volume as it is: the unit is the whole's to tell.
    """
    if options.part and not options.volume_unit:
        seen |= dict(zip(("money", "lots"), lot_counts(fields), strict=True))
        return fields, 0
    unit = options.volume_unit or volume_unit(fields)
    if unit == 1 or "volume" not in fields:
        return fields, 0
    return {**fields, "volume": fields["volume"] * unit}, unit


def _symbols(
    table: Table, position: int | None, options: ReadOptions, seen: dict[str, Any] | None = None
) -> NDArray[np.object_]:
    plain_name = canonical if options.symbols == "normal" else str
    if position is None or options.symbol:
        name = options.symbol or plain_name(symbol_of_file(table.file))
        return np.full(len(table.lines), name, dtype=object)
    codes, unique = _coded(table.columns[position])
    names = unique.str.strip().str.lstrip("'").str.replace(r"^(\d+)\.0$", r"\1", regex=True)
    if (names == "").any():
        line = int(table.lines[int(np.argmax((names == "").to_numpy()[codes]))])
        raise Refusal(
            "empty_symbol", NO_SYMBOL, field="file", file=table.file, line=line, column=table.header[position]
        )
    digits, six = bool(names.str.fullmatch(r"\d{1,6}").all()), bool((names.str.len() == 6).any())
    if seen is not None:
        seen |= {"digits": digits, "six": six}
    if (digits and six) if options.zeros is None else options.zeros:
        names = names.str.zfill(6)  # a spreadsheet took the zeros in front
    symbols: NDArray[np.object_] = names.map(plain_name).to_numpy(dtype=object)[codes]
    return symbols


def _texts(column: pa.ChunkedArray) -> pd.Series:
    import pandas as pd

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return pd.Series(column.cast(pa.string()).fill_null("").to_numpy(zero_copy_only=False), dtype=str)


def _coded(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], pd.Series]:
    """Return the texts of a column as numbers of its different ones, in the order of their first appearance."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    found = column.cast(pa.string()).fill_null("").combine_chunks().dictionary_encode()
    import pandas as pd

    codes = found.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, pd.Series(found.dictionary.to_numpy(zero_copy_only=False), dtype=str)


def _seen_of(times: Times) -> dict[str, Any]:
    """Return what a part's times tell of the whole's: whether it is daily, which way its dates go, its offsets."""
    of_day = times.wall - times.wall.astype("datetime64[D]")
    return {
        "first": int(times.wall[0].astype("datetime64[ns]").astype(np.int64)),
        "one_clock": bool((of_day == of_day[0]).all()),
        "several": bool((times.wall != times.wall[0]).any()),
        "orders": times.orders,
        "offsets": times.offsets,
    }


def zone_findings(offsets: Sequence[str]) -> tuple[Finding, ...]:
    """Return the finding about offsets that one zone does not explain, if they are such."""
    offsets = strange_offsets(offsets)
    params = {"count": len(offsets), "offsets": ", ".join(offsets[:6])}
    return (Finding("mixed_time_zones", "warning", params=params),) if offsets else ()


def _times(
    table: Table,
    positions: tuple[int, ...],
    options: ReadOptions,
    seen: dict[str, Any] | None = None,
    notes: list[Finding] | None = None,
) -> tuple[NDArray[np.datetime64], bool]:
    where = Where(table.file, table.header[positions[0]], table.lines)
    if not len(table.lines):
        return np.array([], dtype="datetime64[ns]"), True
    column = table.columns[positions[0]]
    if pa.types.is_temporal(column.type):
        times = _typed(column, where)
    elif len(positions) == 1:
        codes, unique = _coded(column)
        times = parse_coded_times(codes, unique, where, date_order=options.date_order, part=options.part)
    else:
        import pandas as pd

        codes, found = pd.factorize(_time_text(table, positions))
        unique = pd.Series(found, dtype=str)
        times = parse_coded_times(codes, unique, where, date_order=options.date_order, part=options.part)
    if options.part and seen is not None:
        seen |= _seen_of(times)
    elif notes is not None:
        notes += zone_findings(times.offsets)
    return bar_times(times, where, time_zone=options.time_zone, daily=options.daily)


def _typed(column: pa.ChunkedArray, where: Where) -> Times:
    """Read a column that is a time already: a date, or a timestamp with or without a zone."""
    if not (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)):
        raise Refusal("bad_time", BAD_TYPE, field="file", file=where.file, column=where.column, type=str(column.type))
    zone = getattr(column.type, "tz", None)
    try:
        utc = column.cast(pa.timestamp("ns", tz="UTC" if zone else None)).to_pandas()
    except pa.ArrowInvalid as error:
        raise where.refuse("bad_time", OUT_OF_RANGE, 0, str(error)) from error
    empty = utc.isna().to_numpy()
    if empty.any():
        raise where.refuse("bad_time", NO_TIME, int(np.argmax(empty)), "")
    if not zone:
        wall = utc.to_numpy().astype("datetime64[ns]")
        return Times(wall, np.full(len(wall), np.datetime64("NaT", "ns")))
    local = utc.dt.tz_convert(zone).dt.tz_localize(None).to_numpy().astype("datetime64[ns]")
    return Times(local, utc.dt.tz_localize(None).to_numpy().astype("datetime64[ns]"))


def _time_text(table: Table, positions: tuple[int, ...]) -> pd.Series:
    """Return the date's text, joined with the clock's column where there is one that means something."""
    date = _texts(table.columns[positions[0]])
    if len(positions) == 1:
        return date
    clock = _texts(table.columns[positions[1]]).str.strip()
    if clock.str.fullmatch(CLOCK).all():
        padded = clock.where(clock.str.contains(":"), clock.str.zfill(6).where(clock.str.len() > 4, clock))
        return date.str.strip() + " " + padded
    whole = clock.str.len() > date.str.len()
    return clock if whole.all() else date
