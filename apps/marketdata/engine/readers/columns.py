"""Which column is which: header names in English and Chinese, however a vendor spells them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

MISSING = N_(
    "%(file)s has no column for %(missing)s. Its columns are %(columns)s. Rename them, for example to %(example)s."
)
TWICE = N_("%(file)s has the column %(column)s twice. Remove or rename one of them.")

# Earlier names win where a file has several; compared without case, blanks and punctuation.
NAMES: Mapping[str, tuple[str, ...]] = {
    "datetime": (
        "datetime", "timestamp", "timestampms", "opentime", "candlebegintime", "tradetime", "ts",
        "日期时间", "时间戳",
    ),
    "date": (
        "date", "day", "tradedate", "tradingdate", "tradingday", "dt", "日期", "交易日期", "交易日", "indexlevel0",
    ),
    "time": ("time", "clock", "时间", "交易时间"),
    "symbol": (
        "symbol", "ticker", "tic", "instrument", "code", "tscode", "secid", "securitycode", "stockcode", "kdcode",
        "sid", "pair", "contract", "股票代码", "证券代码", "代码", "合约", "合约代码", "品种", "name",
    ),
    "open": ("open", "openprice", "openingprice", "opening", "o", "1open", "开盘价", "开盘", "今开"),
    "high": (
        "high", "highprice", "highestprice", "highest", "ceilingprice", "ceiling", "max", "h", "2high",
        "最高价", "最高",
    ),
    "low": ("low", "lowprice", "lowestprice", "lowest", "floorprice", "floor", "min", "l", "3low", "最低价", "最低"),
    "close": ("close", "closeprice", "closingprice", "closing", "last", "c", "4close", "收盘价", "收盘", "最新价"),
    "volume": ("volume", "vol", "v", "tradevolume", "5volume", "6volume", "成交量", "成交量股"),
    "amount": (
        "amount", "turnover", "money", "quotevolume", "quoteassetvolume", "tradevalue",
        "成交额", "成交金额", "成交额元",
    ),
    "adj_close": ("adjclose", "adjustedclose", "adjcp", "adjcloseprice", "5adjustedclose", "复权收盘价", "后复权价"),
    "factor": ("factor", "adjfactor", "adjustfactor", "复权因子"),
    "prev_close": ("prevclose", "preclose", "previousclose", "lastclose", "前收盘", "前收盘价", "昨收", "昨收价"),
    "vwap": ("vwap", "averageprice", "avgprice", "均价", "成交均价"),
    "suspended": ("suspended", "suspendflag", "ispaused", "paused", "停牌"),
    "traded": ("tradestatus", "tradingstatus", "istrading"),
    "st": ("isst", "st"),
    "limit_up": ("limitup", "uplimit", "highlimit", "upstopprice", "涨停价"),
    "limit_down": ("limitdown", "downlimit", "lowlimit", "downstopprice", "跌停价"),
    "open_interest": ("openinterest", "openint", "oi", "hold", "持仓量"),
    "funding": ("fundingrate", "lastfundingrate", "funding", "资金费率"),
    "split_ratio": ("splitratio", "stocksplits", "splitfactor", "11splitfactor"),
    "cash_dividend": ("exdividend", "dividends", "dividend", "divcash", "cashdividend"),
    "open_cents": ("opencents",),
    "high_cents": ("highcents",),
    "low_cents": ("lowcents",),
    "close_cents": ("closecents",),
}  # fmt: skip
PRICES = ("open", "high", "low", "close")
OPTIONAL = (
    "volume", "amount", "adj_close", "factor", "prev_close", "vwap", "suspended", "traded", "st", "limit_up",
    "limit_down", "open_interest", "funding", "split_ratio", "cash_dividend",
)  # fmt: skip
_MEANING = {spelling: (target, rank) for target, names in NAMES.items() for rank, spelling in enumerate(names)}


@dataclass(frozen=True)
class ColumnMap:
    """Positions of the columns: of the time (one, or date and clock), the symbol and each field with its unit."""

    time: tuple[int, ...]
    symbol: int | None
    fields: Mapping[str, tuple[int, float]]
    ignored: tuple[str, ...]


def plain(name: str) -> str:
    """Return a header without case, blanks, quotes and punctuation."""
    return re.sub(r"[\W_]+", "", name.replace("\ufeff", "").lower())


def is_header(cells: Sequence[str]) -> bool:
    """Tell whether a line names columns: two known names at least."""
    return len({_MEANING[plain(cell)][0] for cell in cells if plain(cell) in _MEANING}) >= 2


def meanings(header: Sequence[str], mapping: Mapping[str, str] | None = None) -> dict[str, int]:
    """Return meaning → position of the columns we know; ``mapping`` (column → meaning, empty to leave out) wins."""
    told = {plain(name): target for name, target in (mapping or {}).items()}
    best: dict[str, tuple[int, int]] = {}
    for position, cell in enumerate(header):
        name = plain(cell)
        target, rank = (told[name], -1) if name in told else _MEANING.get(name, ("", 0))
        if target and (target not in best or rank < best[target][0]):
            best[target] = (rank, position)
    return {target: position for target, (_, position) in best.items()}


def numeric_columns(header: Sequence[str], mapping: Mapping[str, str] | None = None) -> frozenset[int]:
    """Return the positions of the columns that can only hold numbers."""
    words = {"datetime", "date", "time", "symbol"}
    return frozenset(at for name, at in meanings(header, mapping).items() if name not in words)


def map_columns(header: Sequence[str], file: str, mapping: Mapping[str, str] | None = None) -> ColumnMap:
    """Find every column we know; refuse what is missing (``missing_column``) or there twice (``duplicate_column``)."""
    at = meanings(header, mapping)
    fields = {name: (at[name], 1.0) for name in (*PRICES, *OPTIONAL) if name in at}
    fields |= {name: (at[f"{name}_cents"], 0.01) for name in PRICES if name not in at and f"{name}_cents" in at}
    time = _time_columns(at)
    missing = [*([] if time else ["date"]), *(name for name in PRICES if name not in fields)]
    if missing:
        _refuse_missing(missing, header, file)
    _refuse_twice(header, file)
    used = {*time, at.get("symbol"), *(position for position, _ in fields.values())}
    ignored = tuple(cell.strip() for position, cell in enumerate(header) if position not in used and cell.strip())
    return ColumnMap(time, at.get("symbol"), fields, ignored)


def _time_columns(at: Mapping[str, int]) -> tuple[int, ...]:
    if "datetime" in at:
        return (at["datetime"],)
    return tuple(at[name] for name in ("date", "time") if name in at)


def _refuse_twice(header: Sequence[str], file: str) -> None:
    names = [cell.strip().lower() for cell in header if cell.strip()]
    twice = next((name for name in names if names.count(name) > 1 and plain(name) in _MEANING), None)
    if twice:
        raise Refusal("duplicate_column", TWICE, field="file", file=file, line=1, column=twice[:40])


def _refuse_missing(missing: Sequence[str], header: Sequence[str], file: str) -> None:
    columns = ", ".join(cell.strip()[:24] or "–" for cell in header[:12]) + (" …" if len(header) > 12 else "")
    raise Refusal(
        "missing_column", MISSING, field="file", file=file, missing=", ".join(missing), column=missing[0],
        columns=columns, example=", ".join(missing),
    )  # fmt: skip
