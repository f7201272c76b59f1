"""A-shares by day through the package tushare (Tushare Pro).

Calls, as https://tushare.pro/document/2 documents them (doc_id 27, 28, 25): ``pro_api(token)``,
``daily(ts_code, start_date, end_date)`` with vol in lots of 100 and amount in thousands of yuan,
``adj_factor(ts_code, start_date, end_date)`` whose product with the close is back-adjusted, and
``stock_basic(exchange, list_status, fields)``. One answer has at most 6,000 rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from apps.marketdata.engine.sources.config import SourceConfig, preset, symbol_list
from apps.marketdata.engine.sources.port import MOST_SYMBOLS, Fetched, Job, Said
from apps.marketdata.engine.sources.vendors import (
    FEW_DAYS,
    VendorConfig,
    Writer,
    asked,
    columns_of,
    each,
    first_day,
    last_day,
    token_of,
    tried,
)
from apps.marketdata.engine.symbols import canonical
from apps.ui.engine.text import N_

VENDOR = "tushare"
CALENDAR = "XSHG"
MOST_ROWS = 6_000
COLUMNS = ("ts_code", "trade_date", "open", "high", "low", "close", "pre_close", "vol", "amount")
HEADER = ("date", "open", "high", "low", "close", "prev_close", "volume", "amount", "factor")


class TushareConfig(VendorConfig):
    calendar: str = preset("calendar", CALENDAR)
    currency: str = preset("currency", "CNY")


class TushareSource:
    """Daily bars as traded, with the factor that makes them comparable."""

    label: ClassVar[str] = "Tushare Pro"
    summary: ClassVar[str] = N_("A-shares by day with factors. Needs the package tushare and your token.")
    config: ClassVar[type[SourceConfig]] = TushareConfig
    secret: ClassVar[str] = N_("Your token, as text.")
    requires: ClassVar[str] = "tushare"

    def test(self, job: Job) -> Said:
        name = symbol_list(job.config.symbols)[0]
        end = last_day(job, CALENDAR)
        rows = self._daily(self._api(job), code(name), end - timedelta(days=FEW_DAYS), end)
        return tried(VENDOR, name, [row["trade_date"] for row in rows])

    def symbols(self, job: Job) -> Sequence[str]:
        api = self._api(job)
        frame = asked(VENDOR, lambda: api.stock_basic(exchange="", list_status="L", fields="ts_code,symbol,name"))
        columns_of(VENDOR, frame, ["ts_code"])
        return [str(name) for name in frame["ts_code"]][:MOST_SYMBOLS]

    def fetch(self, job: Job) -> Fetched:
        api, writer, end = self._api(job), Writer(job, VENDOR), last_day(job, CALENDAR)
        for name in each(job, VENDOR):
            start = first_day(job, name)
            if start > end:
                continue
            rows = self._daily(api, code(name), start, end)
            factors = self._factors(api, code(name), start, end) if rows else {}
            writer.add(canonical(name), HEADER, [_row(row, factors) for row in rows])
        return writer.fetched(reading={"volume_unit": 1, "daily": True})

    @staticmethod
    def _api(job: Job) -> Any:
        import tushare

        token = token_of(job, VENDOR)
        return asked(VENDOR, lambda: tushare.pro_api(token))

    @staticmethod
    def _daily(api: Any, name: str, start: date, end: date) -> list[dict[str, Any]]:
        """Return the rows, oldest first; what does not fit into one answer is asked in parts, newest first."""
        found: list[dict[str, Any]] = []
        while start <= end:
            rows = _table(
                lambda until=end: api.daily(ts_code=name, start_date=f"{start:%Y%m%d}", end_date=f"{until:%Y%m%d}"),
                COLUMNS,
            )
            found = sorted(rows, key=lambda row: str(row["trade_date"])) + found
            if len(rows) < MOST_ROWS:
                break
            end = datetime.strptime(str(found[0]["trade_date"]), "%Y%m%d").date() - timedelta(days=1)  # noqa: DTZ007
        return found

    @staticmethod
    def _factors(api: Any, name: str, start: date, end: date) -> dict[str, float]:
        rows = _table(
            lambda: api.adj_factor(ts_code=name, start_date=f"{start:%Y%m%d}", end_date=f"{end:%Y%m%d}"),
            ("trade_date", "adj_factor"),
        )
        return {str(row["trade_date"]): row["adj_factor"] for row in rows}


def _table(ask: Any, columns: Sequence[str]) -> list[dict[str, Any]]:
    frame = asked(VENDOR, ask)
    if frame is None or not len(frame):
        return []
    found: list[dict[str, Any]] = frame[columns_of(VENDOR, frame, columns)].to_dict("records")
    return found


def _row(row: dict[str, Any], factors: dict[str, float]) -> list[Any]:
    prices = [row[name] for name in ("open", "high", "low", "close", "pre_close")]
    factor = factors.get(str(row["trade_date"]))
    return [str(row["trade_date"]), *prices, row["vol"] * 100, row["amount"] * 1000, factor]


def code(name: str) -> str:
    """Return how Tushare spells a share: 600000.SH."""
    plain = canonical(name)
    return f"{plain[2:]}.{plain[:2]}" if plain[:2] in ("SH", "SZ", "BJ") and plain[2:].isdigit() else name
