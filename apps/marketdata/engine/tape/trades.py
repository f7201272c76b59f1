"""Trades as tables: Binance's trades and aggTrades, any table with time, price and size, Chinese ones too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apps.marketdata.engine.derive import volume_unit
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers.columns import NAMES, PRICES, plain
from apps.marketdata.engine.readers.json_rows import read_json
from apps.marketdata.engine.readers.numbers import parse_numbers, shorten
from apps.marketdata.engine.readers.options import Progress, ReadOptions, no_progress
from apps.marketdata.engine.readers.rows import _symbols, _texts, _times
from apps.marketdata.engine.readers.tables import DELIMITERS, Table
from apps.marketdata.engine.symbols import canonical
from apps.marketdata.engine.tape.disk import TapeWriter
from apps.marketdata.engine.tape.model import TRADE, Columns
from apps.marketdata.engine.tape.sources import TEXTS, Source, share_of, sources_of, tables
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: Meaning → plain names, the best first; what bars call their columns counts for time and symbol as well.
TRADE_NAMES: Mapping[str, tuple[str, ...]] = {
    "datetime": (
        "transacttime", "tradetime", "exchangetime", "systemtime", "transactiontime", *NAMES["datetime"], "eventtime",
        "成交日期时间",
    ),
    "date": NAMES["date"],
    "time": (*NAMES["time"], "成交时间"),
    "symbol": NAMES["symbol"],
    "price": ("price", "tradeprice", "p", "成交价", "成交价格", "成交价元", "价格", "lastprice", "last", "最新价"),
    "size": (
        "size", "qty", "quantity", "tradesize", "tradeqty", "q", "volume", "vol", "baseqty", "成交量", "成交量手",
        "成交量股", "数量", "手数", "amount",
    ),
    "side": (
        "side", "takerside", "direction", "isbuyermaker", "buyermaker", "m", "bsflag", "bs", "性质", "买卖方向", "方向",
        "买卖性质",
    ),
    "id": ("aggtradeid", "tradeid", "id", "tid", "a", "成交编号"),
    "money": ("quoteqty", "turnover", "money", "cost", "quotevolume", "amount", "成交额", "成交金额", "成交额元"),
}  # fmt: skip
#: Binance's files without a header, by the number of their cells.
BARE = {
    6: ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker"),
    7: ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match"),
    8: ("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time", "is_buyer_maker",
        "is_best_match"),
}  # fmt: skip
BARE_AGG = BARE[8][:7]
BUY = {"buy", "b", "1", "bid", "buyer", "买", "买盘", "买入", "主动买", "+1"}
SELL = {"sell", "s", "-1", "ask", "seller", "卖", "卖盘", "卖出", "主动卖"}
NEITHER = {"", "0", "n", "none", "null", "nan", "unknown", "mid", "neutral", "-", "中性盘", "中性", "平"}
TRUE, FALSE = {"true", "t", "1"}, {"false", "f", "0"}
CLOCK = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?"
DAY_IN_NAME = re.compile(r"(?<!\d)(\d{4})[-_]?(\d{2})[-_]?(\d{2})(?!\d)")
NAME_WORDS = re.compile(r"(?i)^(.{1,32}?)[-_. ](?:agg_?trades?|trades?|ticks?|book|depth|quotes?|snapshots?)(?![a-z])")
MISSING = N_(
    "%(file)s has no column for %(missing)s. Its columns are %(columns)s. Rename them, for example to %(example)s, or "
    "say what they mean."
)
BAD_SIDE = N_(
    "%(file)s, line %(line)s, column %(column)s: “%(value)s” is no side of a trade. Write buy, sell or nothing, or "
    "leave the column out."
)
NO_DAY = N_(
    "%(file)s, line %(line)s, column %(column)s: “%(value)s” has no day. Put one into the file's name, like "
    "trades_2024-03-28.csv, or name the first day of the import."
)
NO_VALUE = N_("%(file)s, line %(line)s, column %(column)s: a trade needs a %(what)s. Fill it in or remove the line.")


def trade_columns(header: Sequence[str], mapping: Mapping[str, str] | None = None) -> dict[str, int]:
    """Return meaning → position of the columns of trades that a header names; ``mapping`` (column → meaning) wins."""
    names = [plain(name) for name in header]
    told = {plain(name): target for name, target in (mapping or {}).items()}
    found: dict[str, int] = {}
    for meaning, spellings in TRADE_NAMES.items():
        free = [at for at, name in enumerate(names) if name not in told and at not in found.values()]
        ranked = [(spellings.index(names[at]), at) for at in free if names[at] in spellings]
        if ranked:
            found[meaning] = min(ranked)[1]
    words = {"volume": "size", "amount": "money", "close": "price"}
    for at, name in enumerate(names):
        if told.get(name):
            found[words.get(told[name], told[name])] = at
    return found


def bare_names(line: str) -> tuple[str, ...]:
    """Return the columns of a line of Binance's trades without header, nothing where it is none."""
    cells = [cell.strip() for cell in line.split(",")]
    names = BARE.get(len(cells), ())
    if not names or not any(cell.lower() in ("true", "false") for cell in cells[5:]) or not cells[0].isdecimal():
        return ()
    if cells[5].isdecimal() and len(cells) == 7:
        names = BARE_AGG
    clock = cells[names.index("transact_time" if "transact_time" in names else "time")]
    return names if clock.isdecimal() and len(clock) in (13, 16) else ()


def header_of(source: Source) -> tuple[str, ...]:
    """Return the names of a file's columns, empty where there are none."""
    if source.ending in (".parquet", ".pq", ".feather", ".arrow"):
        table = next(tables(source, ReadOptions(), no_progress), None)
        return table.header if table else ()
    lines = [line for line in source.head().split("\n") if line.strip() and not line.startswith("#")]
    first = lines[0] if lines else ""
    return tuple(cell.strip().strip('"') for cell in first.split(max(DELIMITERS, key=first.count)))


def is_trades(source: Source) -> bool:
    """Tell by header or first line whether a file is one of trades, and not of bars."""
    if source.ending == ".json":
        return bool(re.match(r'\s*\[\s*\{[^\[\]]*"price"[^\[\]]*"(amount|qty|size)"', source.head()[:4000]))
    header = header_of(source)
    if source.ending in TEXTS and bare_names(",".join(header)):
        return True
    found, names = trade_columns(header), {plain(name) for name in header}
    bars = sum(bool(names & set(NAMES[name])) for name in PRICES)
    timed = "datetime" in found or "time" in found or "date" in found
    return bars < 2 and timed and {"price", "size"} <= set(found) and bool(names & set(TRADE_NAMES["price"][:7]))


def read_trades(path: Path, options: ReadOptions, writer: TapeWriter, on_progress: Progress) -> None:
    """Read every table of trades in ``path`` into ``writer``; refuses with file, line, column and value."""
    sources, lots = sources_of(path), Lots(options.volume_unit)
    for at, source in enumerate(sources):
        progress = share_of(on_progress, at, len(sources))
        if source.ending == ".json" and not source.member:
            found = iter([read_json(source.path, options)])
        else:
            names = options.columns or bare_names(source.head().split("\n", 1)[0])
            found = tables(source, options, progress, names)
        for table in found:
            for symbol, columns in by_symbol(table, lots.in_shares(trades_of(table, options)), options):
                writer.append(symbol, columns)
    if lots.unit > 1:
        writer.findings.append(Finding("volume_in_lots", "note", params={"unit": lots.unit}))


@dataclass
class Lots:
    """The shares in one unit of size: as told, or as the money traded shows in the first rows."""

    unit: int

    def in_shares(self, columns: Columns) -> Columns:
        """Return the columns with sizes in shares."""
        if not self.unit and "amount" in columns:
            told = {"amount": columns["amount"], "volume": columns["size"], "close": columns["price"]}
            self.unit = volume_unit(told)
        return {**columns, "size": columns["size"] * self.unit} if self.unit > 1 else columns


def trades_of(table: Table, options: ReadOptions) -> Columns:
    """Return the trades of a table as columns of the tape."""
    at = trade_columns(table.header, options.mapping)
    timed = "datetime" in at or "date" in at or "time" in at
    missing = [*([] if timed else ["time"]), *(name for name in ("price", "size") if name not in at)]
    if missing:
        raise Refusal(
            "missing_column", MISSING, field="file", file=table.file, missing=", ".join(missing),
            columns=shorten(", ".join(table.header)), example="time, price, size, side",
        )  # fmt: skip
    price, size = (_filled(table, at[name], name) for name in ("price", "size"))
    rows = len(table.lines)
    columns: Columns = {
        "time": times_of(table, at, options), "line": table.lines, "kind": np.full(rows, TRADE, np.int8),
        "side": sides_of(table, at["side"]) if "side" in at else np.zeros(rows, np.int8), "price": price, "size": size,
        "id": _ids(table, at),
    }  # fmt: skip
    if "money" in at:
        columns["amount"] = numbers_of(table, at["money"])
    return columns


def by_symbol(table: Table, columns: Columns, options: ReadOptions) -> list[tuple[str, Columns]]:
    """Split the rows by instrument, each part in the order of the table."""
    import pandas as pd

    at = trade_columns(table.header, options.mapping)
    codes, names = pd.factorize(pd.Series(_symbols(table, at.get("symbol"), named(table.file, options, at))))
    if len(names) == 1:
        return [(str(names[0]), columns)]
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(names) + 1))
    return [
        (str(name), {key: values[order[edges[at] : edges[at + 1]]] for key, values in columns.items()})
        for at, name in enumerate(names)
    ]


def named(file: str, options: ReadOptions, at: Mapping[str, int]) -> ReadOptions:
    """Return the options with the instrument a file's name tells: BTCUSDT of BTCUSDT-aggTrades-2024-03-28.csv."""
    found = re.match(NAME_WORDS, file)
    if options.symbol or "symbol" in at or not found:
        return options
    return replace(options, symbol=canonical(found.group(1)))


def numbers_of(table: Table, at: int) -> NDArray[np.float64]:
    """Return a column as doubles, NaN for empty cells."""
    return parse_numbers(
        table.columns[at], file=table.file, column=table.header[at], lines=table.lines,
        decimal_comma=table.decimal_comma,
    )  # fmt: skip


def _filled(table: Table, at: int, what: str) -> NDArray[np.float64]:
    values = numbers_of(table, at)
    if np.isnan(values).any():
        line = int(table.lines[int(np.argmax(np.isnan(values)))])
        raise Refusal(
            "missing_value", NO_VALUE, field="file", file=table.file, line=line, column=table.header[at], what=what
        )
    return values


def _ids(table: Table, at: Mapping[str, int]) -> NDArray[np.int64]:
    """Return whole-number ids, zeros where the source has none or other ones."""
    if "id" in at:
        texts = table.columns[at["id"]].cast(pa.string())
        try:
            return np.asarray(texts.cast(pa.int64()).fill_null(0).to_numpy(), dtype=np.int64)
        except pa.ArrowInvalid:
            pass
    return np.zeros(len(table.lines), dtype=np.int64)


def times_of(table: Table, at: Mapping[str, int], options: ReadOptions) -> NDArray[np.int64]:
    """Return ns since 1970 (UTC); a clock without a day takes it from the options or from the file's name."""
    positions = (at["datetime"],) if "datetime" in at else tuple(at[name] for name in ("date", "time") if name in at)
    moment = replace(options, daily=False)
    texts = _texts(table.columns[positions[0]]).str.strip()
    if len(positions) == 1 and len(texts) and texts.str.fullmatch(CLOCK).all():
        found = DAY_IN_NAME.search(table.file)
        day = options.first_day or ("-".join(found.groups()) if found else "")
        if not day:
            raise Refusal(
                "no_day", NO_DAY, field="first_day", file=table.file, line=int(table.lines[0]),
                column=table.header[positions[0]], value=shorten(texts.iloc[0]),
            )  # fmt: skip
        whole = pa.chunked_array([pa.array((day + " " + texts).to_list(), pa.string())])
        table = Table(table.file, (table.header[positions[0]],), [whole], table.lines)
        positions = (0,)
    return _times(table, positions, moment)[0].astype("datetime64[ns]").astype(np.int64)


def sides_of(table: Table, at: int) -> NDArray[np.int8]:
    """Return 1 for trades a buyer came for, -1 for a seller's, 0 where nobody says."""
    import pandas as pd

    codes, unique = pd.factorize(_texts(table.columns[at]).str.strip().str.lower())
    maker = "maker" in plain(table.header[at]) or plain(table.header[at]) == "m"
    meaning = {**dict.fromkeys(TRUE, -1), **dict.fromkeys(FALSE, 1)} if maker else dict.fromkeys(BUY, 1)
    if not maker:
        meaning |= dict.fromkeys(SELL, -1) | dict.fromkeys(NEITHER, 0)
    values = np.array([meaning.get(str(word), 9) for word in unique], dtype=np.int8)[codes]
    if (values == 9).any():
        row = int(np.argmax(values == 9))
        raise Refusal(
            "bad_side", BAD_SIDE, field="file", file=table.file, line=int(table.lines[row]), column=table.header[at],
            value=shorten(table.columns[at][row].as_py()),
        )  # fmt: skip
    return np.asarray(values, dtype=np.int8)
