"""LEAN's data folder: zipped text without header, one layout per kind of security and resolution.

daily and hour: ``yyyymmdd hh:mm,…``; minute and second: milliseconds of the day in the file's
name. Trades are open, high, low, close, volume; quotes are bid and ask bars with their sizes.
Times are the start of a bar on the clock of the data; equity and option prices are
ten-thousandths. What LEAN's documentation calls ``map_files`` and ``factor_files`` lie beside.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apps.marketdata.engine.assemble import RawBars
from apps.marketdata.engine.readers.clock import Times, Where, bar_times, parse_times
from apps.marketdata.engine.readers.numbers import parse_numbers
from apps.marketdata.engine.readers.options import MEGABYTE, ReadOptions
from apps.marketdata.engine.readers.tables import TOO_LARGE, UNREADABLE, Table, decode, read_cells
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

if TYPE_CHECKING:
    import pandas as pd

TRADE = ("time", "open", "high", "low", "close", "volume")
QUOTE = (
    "time", "bid_open", "bid_high", "bid_low", "bid_close", "bid_size", "ask_open", "ask_high", "ask_low", "ask_close",
    "ask_size",
)  # fmt: skip
PRICES = ("open", "high", "low", "close")
NOT_LEAN = N_(
    "%(file)s is not one of LEAN's files of trades or quotes (equity/…/daily/aapl.zip, "
    "equity/…/minute/spy/20131007_trade.zip). Unpack it and import the CSV inside."
)
OTHER = N_("%(file)s holds %(what)s, not bars. Import the files of trades or quotes.")
SECURITIES = ("equity", "crypto", "cryptofuture", "forex", "cfd", "future", "option", "index")
RESOLUTIONS = ("daily", "hour", "minute", "second", "tick")
STEP = {"hour": 3_600_000, "minute": 60_000, "second": 1000}
ZONES = {"equity": "America/New_York", "option": "America/New_York", "future": "America/New_York"}
SCALED = ("equity", "option")
EQUITY_SCALE = 10_000
DAY_IN_NAME = re.compile(r"(\d{8})_")


@dataclass(frozen=True)
class Layout:
    """What the path tells: kind of security, resolution, trades or quotes, the underlying name."""

    security: str
    resolution: str
    quotes: bool
    name: str

    @property
    def scale(self) -> float:
        return EQUITY_SCALE if self.security in SCALED else 1.0


def layout_of(path: Path) -> Layout:
    """Read the layout from the folders a file lies in; an uploaded file alone counts as daily equity."""
    parts = [part.lower() for part in path.absolute().parts]
    security = next((part for part in parts if part in SECURITIES), "")
    resolution = next((part for part in parts if part in RESOLUTIONS), "")
    fine = resolution in ("minute", "second", "tick")
    stem = path.stem.lower()
    name = parts[-2] if fine and len(parts) > 1 else re.split(r"_(?:trade|quote|\d{4})", stem)[0]
    return Layout(security, resolution, "_quote" in stem, name.upper())


def read_lean(path: Path, options: ReadOptions, *, beside_trades: bool = False) -> RawBars:
    """Read one zip of bars; its members are contracts where there are several.

    ``beside_trades``: quotes give only bid, ask and their sizes, not prices of their own.
    Raises ``Refusal`` ``not_lean``, ``not_bars`` for open interest and ticks.
    """
    layout = layout_of(path)
    if "openinterest" in path.stem.lower():
        raise Refusal("not_bars", OTHER, field="file", file=path.name, what="open interest")
    if layout.resolution == "tick":
        raise Refusal("not_bars", OTHER, field="file", file=path.name, what="ticks")
    parts = _parts(path, list(members(path, options.limit_bytes)), layout, options, beside_trades)
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.fields)
    return RawBars(
        path.name, np.concatenate([part.line for part in parts]), np.concatenate([part.symbol for part in parts]),
        np.concatenate([part.time for part in parts]),
        {name: np.concatenate([part.fields[name] for part in parts]) for name in names},
        all(part.daily for part in parts),
    )  # fmt: skip


def members(path: Path, limit: int) -> Iterator[tuple[str, str]]:
    """Yield name and text of the members, at most ``limit`` bytes in all."""
    left = limit
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".csv")]
            if not names:
                raise Refusal("not_lean", NOT_LEAN, field="file", file=path.name)
            for name in names:
                with archive.open(name) as member:
                    data = member.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise Refusal(
                        "file_too_large", TOO_LARGE, status=413, field="file", file=path.name, limit=limit // MEGABYTE
                    )
                yield name, decode(data, path.name).replace("\r\n", "\n")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        reason = type(error).__name__
        raise Refusal(
            "unreadable_file", UNREADABLE, field="file", file=path.name, format="zip", reason=reason
        ) from error


def _parts(
    path: Path, found: list[tuple[str, str]], layout: Layout, options: ReadOptions, beside_trades: bool
) -> list[RawBars]:
    """Read members of one width together: thousands of contracts have a row or two each."""
    groups: dict[int, list[tuple[str, str]]] = {}
    for member, text in found:
        groups.setdefault(text.split("\n", 1)[0].count(",") + 1, []).append((member, text))
    parts = []
    for width, group in groups.items():
        names = {len(TRADE): TRADE, len(QUOTE): QUOTE}.get(width)
        if names is None:
            raise Refusal("not_lean", NOT_LEAN, field="file", file=path.name)
        try:
            parts.append(_together(path, group, names, layout, options, beside_trades))
        except Refusal:
            # One after the other, so that the line said is the member's own.
            parts += [_together(path, [one], names, layout, options, beside_trades) for one in group]
    return parts


def _together(
    path: Path, group: list[tuple[str, str]], names: tuple[str, ...], layout: Layout, options: ReadOptions,
    beside_trades: bool,
) -> RawBars:  # fmt: skip
    texts = [text if text.endswith("\n") or len(group) == 1 else f"{text}\n" for _member, text in group]
    table = read_cells("".join(texts), ",", names, path.name, 0)
    starts = np.cumsum([0, *(text.count("\n") for text in texts[:-1])])
    member = np.searchsorted(starts, table.lines, side="left") - 1
    table = replace(table, lines=table.lines - starts[member])
    columns = dict(zip(names, table.columns, strict=True))
    time, daily = _times(path, columns["time"], layout, options, table)
    numbers = {
        name: parse_numbers(column, file=path.name, column=name, lines=table.lines)
        for name, column in columns.items()
        if name != "time"
    }
    numbers = _scaled(numbers, layout)
    fields = _quotes(numbers, beside_trades) if names is QUOTE else numbers
    symbols = np.array([options.symbol or contract(layout, name) for name, _text in group], dtype=object)
    return RawBars(path.name, table.lines, symbols[member], time, fields, daily)


def _scaled(numbers: dict[str, NDArray[np.float64]], layout: Layout) -> dict[str, NDArray[np.float64]]:
    prices = {name: values for name, values in numbers.items() if name not in ("volume", "bid_size", "ask_size")}
    scale = layout.scale
    if not layout.security:
        # Without its folder: whole numbers throughout are ten-thousandths.
        whole = all(np.all(values[np.isfinite(values)] % 1 == 0) for values in prices.values())
        scale = EQUITY_SCALE if whole else 1.0
    return {name: values / scale if name in prices else values for name, values in numbers.items()}


def _quotes(numbers: dict[str, NDArray[np.float64]], beside_trades: bool) -> dict[str, NDArray[np.float64]]:
    """Return the mid as prices (one side where the other is unknown), and the closing quote."""
    fields = {
        "bid": numbers["bid_close"], "ask": numbers["ask_close"],
        "bid_size": numbers["bid_size"], "ask_size": numbers["ask_size"],
    }  # fmt: skip
    if beside_trades:
        return fields
    for name in PRICES:
        bid, ask = numbers[f"bid_{name}"], numbers[f"ask_{name}"]
        fields[name] = np.where(np.isnan(bid), ask, np.where(np.isnan(ask), bid, (bid + ask) / 2))
    return fields


def contract(layout: Layout, member: str) -> str:
    """Name a contract by its member: ES201312, AAPL_20150117_C1000; elsewhere the underlying itself."""
    stem = Path(member).stem.lower()
    if layout.security == "future" and (found := re.search(r"_(\d{6,8})$", stem)):
        return f"{layout.name}{found.group(1)}"
    if layout.security == "option" and (found := re.search(r"_(call|put)_(\d+)_(\d{8})$", stem)):
        strike = f"{int(found.group(2)) / EQUITY_SCALE:g}"
        return f"{layout.name}_{found.group(3)}_{found.group(1)[0].upper()}{strike}"
    return layout.name


def _times(
    path: Path, column: pa.ChunkedArray, layout: Layout, options: ReadOptions, table: Table
) -> tuple[NDArray[np.datetime64], bool]:
    import pandas as pd

    where = Where(path.name, "time", table.lines)
    zone = ZONES.get(layout.security, "UTC") if options.time_zone == "UTC" else options.time_zone
    texts = pd.Series(column.to_numpy(zero_copy_only=False), dtype=str)
    if texts.str.contains(" ", regex=False).all():
        times = parse_times(texts, where)
    else:
        times = Times(milliseconds(path, texts, where), np.full(len(texts), np.datetime64("NaT", "ns")))
    if layout.resolution in STEP:
        step = np.timedelta64(STEP[layout.resolution], "ms")
        return bar_times(replace(times, wall=times.wall + step), where, time_zone=zone, daily=False)
    return bar_times(times, where, time_zone=zone)


def milliseconds(path: Path, texts: pd.Series, where: Where) -> NDArray[np.datetime64]:
    """Return the wall clock of milliseconds after midnight of the day in the file's name."""
    import pandas as pd

    found = DAY_IN_NAME.match(path.name)
    counts = pd.to_numeric(texts, errors="coerce")
    if not found or counts.isna().any():
        at = int(np.argmax(counts.isna())) if found else 0
        raise where.refuse("not_lean", NOT_LEAN, at, texts.iloc[at])
    day = pd.Timestamp(found.group(1)).to_datetime64().astype("datetime64[ns]")
    wall: NDArray[np.datetime64] = day + (counts.to_numpy() * 1e6).astype("timedelta64[ns]")
    return wall
